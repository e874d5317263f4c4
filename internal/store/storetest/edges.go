package storetest

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"decayctl/internal/fact"
	"decayctl/internal/job"
	"decayctl/internal/rule"
	"decayctl/internal/store"
	"decayctl/internal/sweep"
)

// readMeanwhile changes a store once facts have been read that are to be written.
type readMeanwhile struct {
	store.Store
	change func()
}

func (m *readMeanwhile) Candidates(ctx context.Context, p store.CandidatesParams) ([]fact.Candidate, error) {
	found, err := m.Store.Candidates(ctx, p)
	if p.Edges && m.change != nil {
		m.change()
		m.change = nil
	}
	return found, err
}

// testEdgesAsTheyAre: edges may be read with the facts, and are read again where somebody has written since. All that
// there are end, and an undo gives back what they were when they did.
func testEdgesAsTheyAre(t *testing.T, d Database) {
	floor := rule.Floor(0.5)
	own, later := "2031-01-01T00:00:00+00:00", "2032-01-01T00:00:00+00:00"
	d.Insert(t, Fact("a"), Fact("b"), Fact("c"))
	d.Edge(t, "a", &own)
	d.Edge(t, "aa", &own) // of no fact
	d.Edge(t, "c", nil)
	const edges = "SELECT id, valid_until, decay_epoch FROM entity_edges ORDER BY id"
	sweepAndBack := func(change func(), ended string, before []string) {
		t.Helper()
		s := &readMeanwhile{Store: d.open(t, false), change: change}
		j, err := Sweep(context.Background(), Engine(s), store.StartParams{Rules: rule.Set{Floor: &floor}, AsOf: AsOf}, sweep.Work{})
		if err != nil || j.Counts.Decayed != 3 || s.change != nil {
			t.Fatalf("%+v, %v", j, err)
		}
		if rows := d.Rows(t, "SELECT count(*) FROM entity_edges WHERE valid_until = $1", fact.FormatInstant(AsOf)); rows[0] != ended {
			t.Errorf("%s edges ended, want %s", rows[0], ended)
		}
		if j = d.takeBack(t, j.ID); j.State != job.Undone {
			t.Errorf("%+v", j)
		}
		if diff := cmp.Diff(before, d.Rows(t, edges)); diff != "" {
			t.Errorf("(-before +undone):\n%s", diff)
		}
	}
	sweepAndBack(nil, "2", []string{"a | " + own + " | -", "aa | " + own + " | -", "c | - | -"})
	sweepAndBack(func() {
		d.Exec(t, "UPDATE entity_edges SET valid_until = $1, decay_epoch = 7 WHERE id = 'a'", later)
		d.Edge(t, "b", &own)
	}, "3", []string{"a | " + later + " | 7", "aa | " + own + " | -", "b | " + own + " | -", "c | - | -"})
}
