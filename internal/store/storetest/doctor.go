package storetest

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"decayctl/internal/store"
)

// testIndexes: a dropped index is named, and the given statement creates it.
func testIndexes(t *testing.T, d Database) {
	missing := func() (all []store.MissingIndex) {
		t.Helper()
		found, err := d.openBare(t, true).Diagnose(t.Context()) // anew: a file that is read only may be taken not to change
		if err != nil {
			t.Fatal(err)
		}
		return found.MissingIndexes
	}
	named := func(what string, want ...string) (statements []string) {
		t.Helper()
		var got []string
		for _, i := range missing() {
			got = append(got, i.Table+" "+strings.Join(i.Columns, ", "))
			statements = append(statements, i.Statement)
			if i.Effect == "" {
				t.Errorf("%s: no effect of %+v", what, i)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
		return statements
	}
	named("the node's own schema")
	for name, on := range map[string]string{
		"idx_fact_retractions_fact_id": "fact_retractions (fact_id)",
		"idx_fact_retractions_fact_ts": "fact_retractions (fact_id, retracted_at)",
		"idx_tombstones_entity_uri":    "tombstones (entity_uri)",
		"idx_facts_tenant":             "facts (tenant_id)",
		"idx_tombrevoke_tombstone_id":  "tombstone_revocations (tombstone_id)",
	} {
		t.Cleanup(func() {
			d.Exec(t, "DROP INDEX IF EXISTS "+name)
			d.Exec(t, "CREATE INDEX "+name+" ON "+on)
		})
	}
	d.Exec(t, "DROP INDEX idx_fact_retractions_fact_id")
	named("one of two that serve")
	d.Exec(t, "DROP INDEX idx_fact_retractions_fact_ts")
	named("both gone", "fact_retractions fact_id")
	d.Exec(t, "DROP INDEX idx_tombstones_entity_uri")
	d.Exec(t, "DROP INDEX idx_tombrevoke_tombstone_id")
	d.Exec(t, "DROP INDEX idx_facts_tenant")
	statements := named("more gone", "facts tenant_id", "tombstones entity_uri", "tombstone_revocations tombstone_id", "fact_retractions fact_id")
	for _, statement := range statements {
		d.Exec(t, statement)
	}
	named("made as it was told to")
	d.Exec(t, "DROP INDEX IF EXISTS fact_retractions_fact_id_idx") // as PostgreSQL names what has no name
	d.Exec(t, "DROP INDEX IF EXISTS tombstones_entity_uri_idx")
	d.Exec(t, "DROP INDEX IF EXISTS facts_tenant_id_idx")
	d.Exec(t, "DROP INDEX IF EXISTS tombstone_revocations_tombstone_id_idx")
}
