package sqlite_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"decayctl/internal/store"
)

// TestIndexesThatDoNotServe: a partial index, or one with another collation, counts as missing.
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
	} {
		d.Exec(t, statement)
	}
	found, err := open(t, path, true).Diagnose(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		`CREATE INDEX "idx_tombstones_entity_uri" ON "tombstones" ("entity_uri");`,
		`CREATE INDEX "idx_memory_cards_is_stale" ON "memory_cards" ("is_stale");`,
	}
	if diff := cmp.Diff(want, statements(found.MissingIndexes)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func statements(missing []store.MissingIndex) (all []string) {
	for _, i := range missing {
		all = append(all, i.Statement)
	}
	return all
}
