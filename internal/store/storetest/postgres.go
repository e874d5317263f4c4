package storetest

import (
	"database/sql"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// OpenPostgres connects a test to its PostgreSQL database, with the schema in the search_path.
func OpenPostgres(t testing.TB, dsn, schema string) *sql.DB {
	t.Helper()
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	config.RuntimeParams["client_encoding"] = "UTF8" // whatever the database has
	config.RuntimeParams["search_path"] = pgx.Identifier{schema}.Sanitize()
	db := stdlib.OpenDB(*config)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// Reuse lets many tests share few databases, since creating one takes PostgreSQL longer than most tests. A database is emptied
// for the next test, so tests must leave the schema as it was. They may change decayctl's own tables.
func Reuse(make func() Database) func(t *testing.T) Database {
	var mu sync.Mutex
	var free []Database
	return func(t *testing.T) Database {
		t.Helper()
		mu.Lock()
		defer mu.Unlock()
		var d Database
		if n := len(free); n > 0 {
			d, free = free[n-1], free[:n-1]
		} else {
			d = make()
		}
		t.Cleanup(func() {
			d.Exec(t, `TRUNCATE facts, fact_validity_overrides, fact_retractions, entity_edges, fact_quarantine_status,
				tombstones, tombstone_revocations, memory_cards, fact_embedding_status, jobs CASCADE`)
			d.forgetJobs(t)
			mu.Lock()
			defer mu.Unlock()
			free = append(free, d)
		})
		return d
	}
}

// forgetJobs empties decayctl's own tables, if there are any. The row of decayctl_store stays.
func (d Database) forgetJobs(t testing.TB) {
	t.Helper()
	for _, table := range d.Rows(t, `SELECT table_name FROM information_schema.tables
		WHERE table_schema = current_schema() AND table_name IN ('decayctl_jobs', 'decayctl_workers', 'decayctl_claims', 'decayctl_before')`) {
		d.Exec(t, "DELETE FROM "+table)
	}
	if d.Rows(t, "SELECT to_regclass('decayctl_store')")[0] != "-" {
		d.Exec(t, "UPDATE decayctl_store SET last_stamp = NULL, pruned_before = NULL")
	}
}
