package sqlite_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"decayctl/internal/fact"
	"decayctl/internal/rule"
	"decayctl/internal/store"
	"decayctl/internal/store/sqlite"
	"decayctl/internal/store/storetest"
	"decayctl/internal/sweep"
)

// TestHostileIDs: SQLite stores any text as an id, and its text functions end at a NUL.
func TestHostileIDs(t *testing.T) {
	t.Parallel()
	ids := []string{"a", "a\x00b", "a|b", "|", "'", `"\`, "not \xff utf-8", "\x80|\x00|", "0.25|a"}
	slices.Sort(ids)
	floor, day := rule.Floor(0.5), rule.TTL(86400)
	policy := rule.Policy{ID: "old", Relation: "*", Mode: rule.ModeRetract, TTL: &day}
	for name, rules := range map[string]rule.Set{
		"a floor":  {Floor: &floor},
		"a policy": {Policies: []rule.Policy{policy}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := newFile(t)
			d := database(t, path)
			for _, id := range ids {
				d.Insert(t, storetest.Fact(id))
				d.Edge(t, id, nil)
			}
			s, err := sqlite.Open(context.Background(), path, store.OpenParams{LockTimeout: time.Minute, Now: time.Now})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = s.Close() })
			j, err := storetest.Sweep(context.Background(), storetest.Engine(s), store.StartParams{Rules: rules, AsOf: storetest.AsOf}, sweep.Work{})
			if err != nil || j.Counts.Decayed != int64(len(ids)) {
				t.Errorf("%+v, %v", j.Counts, err)
			}
			for _, query := range []string{
				"SELECT fact_id FROM fact_validity_overrides ORDER BY fact_id",
				"SELECT id FROM entity_edges WHERE decay_epoch IS NOT NULL ORDER BY id",
				"SELECT fact_id FROM fact_retractions ORDER BY fact_id",
			} {
				if got := d.Rows(t, query); !slices.Equal(got, ids) {
					t.Errorf("%s: %q", query, got)
				}
			}
		})
	}
}

// TestHoldWithABlobScope: a hold whose scope is not one of the four covers every scope, and a blob is not one of them.
func TestHoldWithABlobScope(t *testing.T) {
	t.Parallel()
	path := newFile(t)
	d := database(t, path)
	d.Insert(t, storetest.Fact("a"), storetest.Fact("b", func(c *fact.Candidate) { c.Scope = "team" }))
	d.Exec(t, `INSERT INTO tombstones (id, entity_uri, scope, tenant_id, legal_hold, signed_by, signature, created_at)
		VALUES ('h', (SELECT entity FROM facts WHERE id = 'a'), CAST('local' AS BLOB), 'default', 1, 'admin', 'x', '2026-01-01T00:00:00+00:00')`)
	if got := run(t, open(t, path, false), false); got.Kept[rule.LegalHold] != 2 || got.Decayed != 0 {
		t.Errorf("%+v", got)
	}
}

// TestEdgeWithATextConfidence: SQLite stores text in a column of numbers. That must not keep this fact, or the next
// ones, from expiring.
func TestEdgeWithATextConfidence(t *testing.T) {
	t.Parallel()
	path := newFile(t)
	d := database(t, path)
	d.Insert(t, storetest.Fact("a"), storetest.Fact("b"))
	d.Edge(t, "a", nil)
	d.Exec(t, "UPDATE entity_edges SET confidence = 'high', decay_epoch = 'never'")
	if got := run(t, open(t, path, false), false); got.Decayed != 2 {
		t.Errorf("%+v", got)
	}
	if rows := d.Rows(t, "SELECT confidence FROM entity_edges WHERE valid_until IS NOT NULL"); !slices.Equal(rows, []string{"high"}) {
		t.Errorf("%q", rows)
	}
}
