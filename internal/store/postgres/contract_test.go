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

// kind is one way to have a store in PostgreSQL.
type kind struct {
	name    string
	options pgtest.DatabaseOptions
	pooled  bool
	noKeys  bool     // batches skip foreign keys
	odd     []string // decisions; the role has an odd value of each of their settings, and the tables have otherForm
	only    []string // words of the names of promises; none is all
}

// TestContract holds four kinds of stores to the contract: the plain one, one that differs in all that it may, and, as far as
// they concern what differs, one without foreign keys in batches and one on which decayctl runs the statements for a Citus
// cluster. TestSoakContract has the differences one by one. The settings for speed and for logs make the server many times slower:
// TestOddSettingChangesNothing has them in a sweep, and TestSoakContract in the contract.
func TestContract(t *testing.T) {
	t.Parallel()
	exercise(t, []kind{
		{name: "public"},
		{
			name: "without foreign keys", noKeys: true,
			only: []string{
				"protect", "override", "retraction", "edge", "changed", "held", "batch", "vectors", "before-image", "an undo restores",
				"a second sweep", "deadlock", "lost",
			},
		},
		{
			name:    "another schema, of an older node, in an ICU collation and in another form, through PgBouncer, by a role with odd settings",
			options: pgtest.DatabaseOptions{Schema: "acme_memory", Older: true, ICULocale: "en-US"},
			pooled:  true,
			odd:     []string{"pinned", "explicit", "no use", "libraries", "loud"},
		},
		{
			name:    "with the statements for a Citus cluster",
			options: pgtest.DatabaseOptions{Schema: "acme", LikeCitus: true},
			only: []string{
				"ranges", "long texts", "context", "tenants", "prefilter", "keep_last", "protect", "override", "retraction", "edge", "changed", "held",
				"batch", "lock", "interrupted", "vectors", "before-image", "refuses", "an undo restores", "a second sweep", "deadlock",
			},
		},
	})
}

// exercise holds each kind of store to the contract.
func exercise(t *testing.T, kinds []kind) {
	t.Helper()
	cluster := pgtest.Start(t)
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			var pooler *pgtest.Pooler
			if kind.pooled {
				pooler = pgtest.Bouncer(t, cluster)
			}
			storetest.Exercise(t, storetest.Reuse(func() storetest.Database {
				db := cluster.NewDatabase(t, kind.options)
				if len(kind.odd) > 0 {
					c := newCarried(t, db)
					c.carryAll(t, kind.odd...)
					c.d.Exec(t, otherForm)
					if pooler != nil {
						return database(t, db, pooler.URLAs(db, c.role.Name, c.role.Password))
					}
					return c.d
				}
				if pooler != nil {
					return database(t, db, pooler.URL(db))
				}
				if kind.noKeys {
					return withoutKeys(database(t, db, db.URL))
				}
				return database(t, db, db.URL)
			}), kind.only...)
		})
	}
}

// withoutKeys is a store whose batches skip foreign keys.
func withoutKeys(d storetest.Database) storetest.Database {
	open := d.Open
	d.Open = func(p store.OpenParams) (store.Store, error) {
		s, err := open(p)
		if err != nil || p.ReadOnly {
			return s, err
		}
		if _, err = store.SkipForeignKeys(context.Background(), s); err != nil {
			_ = s.Close()
			return nil, err
		}
		return s, nil
	}
	return d
}

func TestOwnTablesLost(t *testing.T) {
	t.Parallel()
	db := pgtest.Start(t).NewDatabase(t, pgtest.DatabaseOptions{Schema: "acme_memory"})
	storetest.ExerciseOwnLost(t, database(t, db, db.URL))
}

// otherForm is what the tables may have unlike the node's.
const otherForm = `
	DO $$ DECLARE c record; BEGIN
		FOR c IN SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = current_schema() AND data_type = 'text' LOOP
			EXECUTE format('ALTER TABLE %I ALTER %I TYPE varchar', c.table_name, c.column_name);
		END LOOP;
	END $$;
	CREATE DOMAIN words AS text CHECK (value <> 'no'); CREATE DOMAIN few_words AS words; CREATE DOMAIN given AS few_words DEFAULT 'x' NOT NULL;
	ALTER TABLE facts ALTER scope TYPE words, ALTER relation TYPE few_words, ALTER entity TYPE varchar(2000),
		ADD tomorrow text NOT NULL DEFAULT 'x', ADD size int GENERATED ALWAYS AS (length(value_v)) STORED;
	ALTER TABLE fact_validity_overrides ALTER reason TYPE few_words, ALTER updated_at TYPE varchar(40), ADD later given NOT NULL, ADD tomorrow bigint GENERATED ALWAYS AS IDENTITY;
	ALTER TABLE tombstones ALTER legal_hold TYPE bigint;
	ALTER TABLE memory_cards ALTER is_stale TYPE smallint;
	ALTER TABLE jobs ALTER estimated_s TYPE bigint, ADD tomorrow timestamptz NOT NULL DEFAULT now();
	ALTER TABLE entity_edges SET UNLOGGED; ALTER TABLE memory_cards SET UNLOGGED`
