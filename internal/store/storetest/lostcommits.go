package storetest

import (
	"testing"

	"decayctl/internal/job"
	"decayctl/internal/store"
)

// An asynchronous standby that becomes the primary lacks the last commits of the old one. These tests put rows back by hand,
// as such a standby has them, while a worker goes on with what it knows.

// testLostClaim: a claim that was lost, and whose number the store gives to other facts, writes nothing.
func testLostClaim(t *testing.T, d Database) {
	g := d.scene(t)
	g.many(6)
	h := g.start()
	before := g.Rows(t, "SELECT next_claim FROM decayctl_jobs")[0]
	c := h.claim(2)
	b := h.whole(c)
	g.Exec(t, "DELETE FROM decayctl_claims")
	g.Exec(t, "UPDATE decayctl_jobs SET frontier = NULL, next_claim = CAST($1 AS integer)", before)
	again := h.claim(4)
	if again.Number != c.Number || again.Last == c.Last {
		t.Fatalf("%+v, then %+v", c, again)
	}
	untouched := g.unchanged()
	_, err := g.s.Apply(g.ctx, b)
	h.lost("a claim that was lost", err, job.Running)
	untouched("a claim that was lost")
	h.apply(h.whole(again))
	if j := h.sweep(4); j.Counts.Examined != 6 || j.Counts.Decayed != 6 {
		t.Errorf("%+v", j.Counts)
	}
}

// testReleasedClaims: a claim that a worker had finished, in a commit that was lost, is given back and claimed once more.
// A claim of another worker stays.
func testReleasedClaims(t *testing.T, d Database) {
	g := d.scene(t)
	g.many(6)
	h := g.start()
	lost := h.claim(2)
	h.apply(h.whole(h.claim(2)))
	other := h.claim(2)
	g.Exec(t, "UPDATE decayctl_claims SET worker = 77 WHERE claim = $1", other.Number)
	if err := g.s.ReleaseClaims(g.ctx, h.Lease); err != nil {
		t.Fatal(err)
	}
	d.expect(t, "SELECT claim FROM decayctl_claims WHERE worker = 77", d.Rows(t, "SELECT max(claim) FROM decayctl_claims")...)
	if again := h.claim(2); again.Number != lost.Number || again.After != lost.After || again.Last != lost.Last {
		t.Errorf("%+v, then %+v", lost, again)
	}
}

// testLostUndo: an undo whose last batch was lost neither goes on behind the batch nor ends.
func testLostUndo(t *testing.T, d Database) {
	g := d.scene(t)
	g.many(6)
	h := g.start()
	h.sweep(6)
	undo := g.join(h.Job.ID, true)
	restore := store.RestoreParams{Lease: undo.Lease, Job: undo.Job}
	next := func() store.RestoreParams {
		t.Helper()
		found, err := g.s.Changes(g.ctx, store.ChangesParams{Job: undo.Job, After: restore.After, Size: 2})
		if err != nil || len(found.List) != 2 {
			t.Fatalf("%+v, %v", found, err)
		}
		restore.Changes = found
		return restore
	}
	first := next()
	restore.After = first.Changes.Last
	second := next()
	untouched := g.unchanged()
	_, err := g.s.Restore(g.ctx, second)
	undo.lost("a batch behind one that was lost", err, job.Undoing)
	_, _, err = g.s.Finish(g.ctx, undo.Lease, second.After)
	undo.lost("the end behind a batch that was lost", err, job.Undoing)
	untouched("an undo behind a batch that was lost")
	for _, batch := range []store.RestoreParams{first, second} {
		if _, err := g.s.Restore(g.ctx, batch); err != nil {
			t.Fatal(err)
		}
	}
	if j := undo.takeBack(2); j.Counts.Restored != 6 {
		t.Errorf("%+v", j.Counts)
	}
}
