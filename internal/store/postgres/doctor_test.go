package postgres_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"decayctl/internal/store/pgtest"
)

// TestIndexesThatDoNotServe: a partial, unordered, invalid or unfinished index counts as missing. Each partition needs
// its own.
func TestIndexesThatDoNotServe(t *testing.T) {
	t.Parallel()
	db := pgtest.Start(t).NewDatabase(t, pgtest.DatabaseOptions{Schema: `the "node"`})
	d := database(t, db, db.URL)
	for _, statement := range []string{
		"DROP INDEX idx_tombstones_entity_uri",
		"CREATE INDEX few ON tombstones (entity_uri) WHERE legal_hold <> 0",
		`CREATE INDEX other ON tombstones (entity_uri COLLATE "POSIX")`,
		"CREATE INDEX patterns ON tombstones (entity_uri text_pattern_ops)",
		"CREATE INDEX expression ON tombstones (lower(entity_uri))",
		"CREATE INDEX second ON tombstones (scope, entity_uri)",
		"CREATE INDEX hashed ON tombstones USING hash (entity_uri)",
		"CREATE INDEX beside ON tombstones (scope) INCLUDE (entity_uri)",
		"CREATE INDEX half ON tombstones (entity_uri)",
		"UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'half'::regclass",

		// Any order of the columns will do, and columns behind them.
		"ALTER TABLE memory_cards DROP CONSTRAINT memory_cards_pkey",
		"CREATE INDEX turned ON memory_cards (scope, entity_uri, tenant_id, is_stale)",

		"DROP TABLE entity_edges",
		`CREATE TABLE entity_edges (id text, valid_until text, confidence real NOT NULL, decay_epoch bigint, scope text) PARTITION BY LIST (scope)`,
		"CREATE TABLE edges_local PARTITION OF entity_edges FOR VALUES IN ('local')",
		"CREATE TABLE edges_team PARTITION OF entity_edges FOR VALUES IN ('team')",
		"CREATE TABLE edges_other PARTITION OF entity_edges DEFAULT PARTITION BY LIST (scope)",
		"CREATE TABLE edges_rest PARTITION OF edges_other DEFAULT",
		"CREATE INDEX ON edges_local (id)",
	} {
		d.Exec(t, statement)
	}
	s, err := open(t, db.URL, db.Schema, true)
	if err != nil {
		t.Fatal(err)
	}
	diagnose := func() (statements []string) {
		t.Helper()
		found, err := s.Diagnose(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range found.MissingIndexes {
			statements = append(statements, i.Statement)
		}
		return statements
	}
	want := []string{
		`CREATE INDEX CONCURRENTLY ON "the ""node"""."tombstones" ("entity_uri");`,
		`CREATE INDEX CONCURRENTLY ON "the ""node"""."edges_rest" ("id");`,
		`CREATE INDEX CONCURRENTLY ON "the ""node"""."edges_team" ("id");`,
	}
	if diff := cmp.Diff(want, diagnose()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, statement := range want {
		d.Exec(t, statement)
	}
	if left := diagnose(); left != nil {
		t.Errorf("after its own statements: %v", left)
	}
}
