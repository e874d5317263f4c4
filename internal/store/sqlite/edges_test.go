package sqlite_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"decayctl/internal/fact"
	"decayctl/internal/rule"
	"decayctl/internal/store"
	"decayctl/internal/store/sqlite"
	"decayctl/internal/store/storetest"
	"decayctl/internal/sweep"
)

// TestEdgesOfAnotherForm: a table of edges may differ from the node's, or have triggers. Each edge ends once, and an
// undo restores it. No statement reads all edges for each fact.
func TestEdgesOfAnotherForm(t *testing.T) {
	t.Parallel()
	const columns = `subject, relation, object, scope, garden_id, tenant_id DEFAULT 'default', received_from, valid_until TEXT,
		confidence REAL NOT NULL, source_trust, decay_epoch INTEGER, created_at`
	remade := func(table string) string {
		return "DROP TABLE entity_edges; CREATE TABLE entity_edges (" + table
	}
	for name, change := range map[string]string{
		"the node's":       "",
		"no key":           remade("id TEXT, " + columns + ")"),
		"an index":         remade("id TEXT, " + columns + "); CREATE INDEX edges_id ON entity_edges (id)"),
		"no row numbers":   remade("id TEXT PRIMARY KEY, " + columns + ") WITHOUT ROWID"),
		"a column rowid":   remade("id TEXT PRIMARY KEY, rowid, " + columns + ")"),
		"another order":    remade("id TEXT, " + columns + "); CREATE UNIQUE INDEX edges_id ON entity_edges (id COLLATE NOCASE); CREATE INDEX edges_ids ON entity_edges (id)"),
		"a trigger before": "CREATE TRIGGER follow AFTER INSERT ON fact_validity_overrides BEGIN UPDATE entity_edges SET valid_until = NEW.valid_until WHERE id = NEW.fact_id; END",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := newFile(t)
			d, floor := database(t, path), rule.Floor(0.5)
			d.Exec(t, change)
			const facts = 200
			for i := range facts {
				id := fmt.Sprintf("%03d", i)
				d.Insert(t, storetest.Fact(id, func(c *fact.Candidate) {
					if i%3 == 0 {
						c.Confidence = 0.9 // lives
					}
				}))
				d.Edge(t, id, nil)
				if i%50 == 7 {
					d.Exec(t, "UPDATE entity_edges SET decay_epoch = 7 WHERE id = $1", id)
				}
			}
			if name == "an index" { // two edges of a fact, and one that differs: as many as there are facts
				d.Edge(t, "005", nil)
			}
			const edges = "SELECT id, valid_until, decay_epoch, confidence FROM entity_edges ORDER BY id"
			before := d.Rows(t, edges)
			s, err := sqlite.Open(context.Background(), path, store.OpenParams{LockTimeout: time.Minute, Now: time.Now})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = s.Close() })
			p := &planner{plans: map[string][]string{}}
			s.Watch(func(tx sqlite.Querier, query string) { p.explain(t, tx, query) })
			j, err := storetest.Sweep(context.Background(), storetest.Engine(s), store.StartParams{Rules: rule.Set{Floor: &floor}, AsOf: storetest.AsOf}, sweep.Work{BatchSize: 10})
			if err != nil || j.Counts.Decayed != facts-facts/3-1 {
				t.Fatalf("%d, %v", j.Counts.Decayed, err)
			}
			wrong := d.Rows(t, "SELECT e.id FROM entity_edges e JOIN facts f USING (id) WHERE (f.confidence < 0.5) <> ((e.valid_until = $1 AND e.decay_epoch = $2) IS TRUE)",
				fact.FormatInstant(storetest.AsOf), storetest.AsOf.UnixMilli())
			if len(wrong) > 0 {
				t.Errorf("edges that should have ended, or should not have: %s", wrong)
			}
			d.TakeBack(t, j.ID)
			if diff := cmp.Diff(before, d.Rows(t, edges)); diff != "" {
				t.Errorf("(-before +undone):\n%s", diff)
			}
			for query, steps := range p.plans {
				first := func(scanned string) int {
					return slices.IndexFunc(steps, func(step string) bool { return strings.HasPrefix(step+" ", "SCAN "+scanned+" ") })
				}
				if list, edges := first("json_each"), first("e"); list >= 0 && list < edges {
					t.Errorf("%s\n%q", query, steps)
				}
			}
		})
	}
}
