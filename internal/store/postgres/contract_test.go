package postgres_test

import (
	"context"
	"testing"

	"decayctl/internal/store"
	"decayctl/internal/store/pgtest"
	"decayctl/internal/store/postgres"
	"decayctl/internal/store/storetest"
)

// database is a PostgreSQL fact store under test, reached by dsn.
func database(t testing.TB, db *pgtest.Database, dsn string) storetest.Database {
	t.Helper()
	fixtures := storetest.OpenPostgres(t, db.URL, db.Schema)
	return storetest.Database{
		SQL: fixtures,
		Open: func(p store.OpenParams) (store.Store, error) {
			return postgres.Open(context.Background(), dsn, db.Schema, p)
		},
		Lock: func(t testing.TB, factID string) func() {
			t.Helper()
			tx, err := fixtures.BeginTx(context.Background(), nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := tx.ExecContext(context.Background(), "SELECT 1 FROM fact_validity_overrides WHERE fact_id = $1 FOR UPDATE", factID); err != nil {
				t.Fatal(err)
			}
			return func() {
				if err := tx.Rollback(); err != nil {
					t.Error(err)
				}
			}
		},
	}
}

func TestContract(t *testing.T) {
	t.Parallel()
	cluster := pgtest.Start(t)
	for _, kind := range []struct {
		name    string
		options pgtest.DatabaseOptions
		pooled  bool
	}{
		{"public", pgtest.DatabaseOptions{}, false},
		{"another schema, of an older node", pgtest.DatabaseOptions{Schema: "acme_memory", Older: true}, false},
		{"an ICU collation", pgtest.DatabaseOptions{ICULocale: "en-US"}, false},
		{"through PgBouncer", pgtest.DatabaseOptions{Schema: "pooled"}, true},
	} {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			var pooler *pgtest.Pooler
			if kind.pooled {
				pooler = pgtest.Bouncer(t, cluster)
			}
			storetest.Exercise(t, storetest.Reuse(func() storetest.Database {
				db := cluster.NewDatabase(t, kind.options)
				if pooler != nil {
					return database(t, db, pooler.URL(db))
				}
				return database(t, db, db.URL)
			}))
		})
	}
}
