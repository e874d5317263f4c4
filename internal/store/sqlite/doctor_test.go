package sqlite_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"decayctl/internal/store"
)

// TestIndexesThatDoNotServe: an index of some rows, or in another order, is none.
func TestIndexesThatDoNotServe(t *testing.T) {
	t.Parallel()
	path := newFile(t)
	d := database(t, path)
	for _, statement := range []string{
		"DROP INDEX idx_tombstones_entity_uri",
		"CREATE INDEX few ON tombstones (entity_uri) WHERE legal_hold <> 0",
		"CREATE INDEX other ON tombstones (entity_uri COLLATE NOCASE)",
		"CREATE INDEX expression ON tombstones (lower(entity_uri))",
		"CREATE INDEX second ON tombstones (scope, entity_uri)",
		"DROP INDEX idx_memory_cards_stale",
		"DROP TABLE fact_validity_overrides",
		"CREATE TABLE fact_validity_overrides (fact_id, valid_until, confidence, reason, updated_at, updated_by)",
		"CREATE INDEX many ON fact_validity_overrides (fact_id)",
		"CREATE UNIQUE INDEX wide ON fact_validity_overrides (fact_id, updated_at)",
		"DROP TABLE fact_quarantine_status", // a view has no indexes, and is the administrator's own affair
		"CREATE VIEW fact_quarantine_status AS SELECT id AS fact_id, quarantine_status FROM facts",
	} {
		d.Exec(t, statement)
	}
	found, err := open(t, path, true).Diagnose(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		`CREATE UNIQUE INDEX "idx_fact_validity_overrides_fact_id" ON "fact_validity_overrides" ("fact_id");`,
		`CREATE INDEX "idx_tombstones_entity_uri" ON "tombstones" ("entity_uri");`,
		`CREATE INDEX "idx_memory_cards_is_stale" ON "memory_cards" ("is_stale");`,
	}
	if diff := cmp.Diff(want, statements(found.Indexes)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func statements(missing []store.MissingIndex) (all []string) {
	for _, i := range missing {
		all = append(all, i.Statement)
	}
	return all
}
