package storetest

import (
	"decayctl/internal/fact"
	"decayctl/internal/job"
	"decayctl/internal/rule"
	"decayctl/internal/store"
)

// tooMany is more steps than any test needs: a store that repeats itself must fail the test.
const tooMany = 1000

// share is a worker of a job.
type share struct {
	*scene
	store.Joined
}

// claim claims up to size facts. There must be some.
func (h *share) claim(size int) store.Claim {
	h.t.Helper()
	c, err := h.s.Claim(h.ctx, h.Lease, size)
	if err != nil || c.End() {
		h.t.Fatalf("claimed %+v, %v", c, err)
	}
	return c
}

// read reads all facts of a claim.
func (h *share) read(c store.Claim) []fact.Candidate {
	h.t.Helper()
	found, err := Candidates(h.ctx, h.s, store.CandidatesParams{Range: c.Range, AsOf: h.Job.AsOf, Prefilter: store.Prefilter{Live: true}})
	if err != nil {
		h.t.Fatal(err)
	}
	return found
}

// batch is a batch that expires facts of a claim by the floor, and covers the claim up to the last of them.
func (h *share) batch(c store.Claim, found []fact.Candidate) store.Batch {
	b := store.Batch{Lease: h.Lease, Claim: c, UpTo: c.After, AsOf: h.Job.AsOf, Stamp: h.Job.Stamp}
	for i := range found {
		id := "retract_" + found[i].ID + "-" + h.Job.Tag()
		b.Expiries = append(b.Expiries, store.Expiry{Decision: Decision(&found[i], rule.Verdict{Action: rule.Expire, Rules: []string{rule.NameFloor}}), Retraction: id})
		b.UpTo = store.After(found[i].ID)
	}
	b.ClosesClaim = b.UpTo == c.Last
	return b
}

// whole is a batch that expires all facts of a claim and closes it.
func (h *share) whole(c store.Claim) store.Batch {
	h.t.Helper()
	b := h.batch(c, h.read(c))
	b.UpTo, b.ClosesClaim = c.Last, true
	return b
}

func (h *share) apply(b store.Batch) store.Applied {
	h.t.Helper()
	applied, err := h.s.Apply(h.ctx, b)
	if err != nil || len(applied.Changed) > 0 {
		h.t.Fatalf("applied %+v, %v", applied, err)
	}
	return applied
}

// sweep expires all facts that are left, a batch for each claim, and finishes the job.
func (h *share) sweep(size int) job.Job {
	h.t.Helper()
	return h.sweepBy(size, h.whole)
}

func (h *share) sweepBy(size int, batch func(store.Claim) store.Batch) job.Job {
	h.t.Helper()
	for range tooMany {
		c, err := h.s.Claim(h.ctx, h.Lease, size)
		if err != nil {
			h.t.Fatal(err)
		}
		if c.End() {
			return h.finish(job.Done)
		}
		h.apply(batch(c))
	}
	h.t.Fatal("claims without end")
	return job.Job{}
}

// finish finishes a job, which must succeed.
func (h *share) finish(want job.State) job.Job {
	h.t.Helper()
	return h.finishAt(want, store.UndonePlace(h.find(h.Job.ID)))
}

// finishAt is finish for a worker that knows how far the job is undone.
func (h *share) finishAt(want job.State, at store.Cursor) job.Job {
	h.t.Helper()
	j, done, err := h.s.Finish(h.ctx, h.Lease, at)
	if err != nil || !done || j.State != want {
		h.t.Fatalf("finished: %v, %s, %v; want %s", done, j.State, err, want)
	}
	return j
}

// changes reads all changes of a job, in small steps.
func (g *scene) changes(j job.Job, size int) (all []job.Change) {
	g.t.Helper()
	at := store.Cursor{}
	for range tooMany {
		found, err := g.s.Changes(g.ctx, store.ChangesParams{Job: j, After: at, Size: size})
		if err != nil {
			g.t.Fatal(err)
		}
		if !found.Last.Set {
			return all
		}
		all, at = append(all, found.List...), found.Last
	}
	g.t.Fatalf("changes without end, by now after %q", at.ID)
	return nil
}

// takeBack undoes what is left to undo and finishes the job.
func (h *share) takeBack(size int) job.Job {
	h.t.Helper()
	return h.takeBackFrom(h.find(h.Job.ID), size)
}

// takeBackFrom is takeBack with an earlier state of the job.
func (h *share) takeBackFrom(j job.Job, size int) job.Job {
	h.t.Helper()
	at := store.UndonePlace(j)
	for range tooMany {
		found, err := h.s.Changes(h.ctx, store.ChangesParams{Job: j, After: at, Size: size})
		if err != nil {
			h.t.Fatal(err)
		}
		if !found.Last.Set {
			return h.finishAt(job.Undone, at) // a look at the job would count its before-images, which the tests of plans refuse
		}
		if _, err := h.s.Restore(h.ctx, store.RestoreParams{Lease: h.Lease, Job: j, After: at, Changes: found}); err != nil {
			h.t.Fatal(err)
		}
		at = found.Last
	}
	h.t.Fatalf("an undo without end, by now after %q", at.ID)
	return j
}

// lost checks that err is *job.Lost, with the state of the job.
func (h *share) lost(what string, err error, state job.State) {
	h.t.Helper()
	if e := is[*job.Lost](h.t, what, err); e.ID != h.Job.ID || e.State != state {
		h.t.Errorf("%s: lost %s, which is %s; want %s, which is %s", what, e.ID, e.State, h.Job.ID, state)
	}
}
