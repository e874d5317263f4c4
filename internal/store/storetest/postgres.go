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
			d.Exec(t, empty)
			mu.Lock()
			defer mu.Unlock()
			free = append(free, d)
		})
		return d
	}
}

// empty deletes the rows of all tables that a test may have written. The row of decayctl_store stays. TRUNCATE makes the files
// of a table and its indexes anew, which took a third of the time of all statements. So DELETE empties a table of at most two pages.
// It leaves the pages, and the store estimates its facts by them.
const empty = `DO $$ DECLARE name text; BEGIN
	FOREACH name IN ARRAY ARRAY['memory_cards', 'jobs', 'fact_embedding_status', 'fact_quarantine_status', 'tombstone_revocations', 'tombstones',
		'entity_edges', 'fact_retractions', 'fact_validity_overrides', 'facts', 'decayctl_before', 'decayctl_claims', 'decayctl_workers', 'decayctl_jobs'] LOOP
		CONTINUE WHEN to_regclass(name) IS NULL;
		IF pg_relation_size(name::regclass) > 16384 OR (SELECT reltuples > 0 FROM pg_class WHERE oid = name::regclass) THEN
			EXECUTE format('TRUNCATE %I CASCADE', name);
		ELSE
			EXECUTE format('DELETE FROM %I', name);
		END IF;
	END LOOP;
	IF to_regclass('decayctl_store') IS NOT NULL THEN
		UPDATE decayctl_store SET last_stamp = NULL, pruned_before = NULL;
	END IF;
END $$`
