package storetest

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"decayctl/internal/job"
	"decayctl/internal/rule"
	"decayctl/internal/store"
)

// testClaims: each batch moves the low end of its claim and adds its counts. The last batch ends the claim.
func testClaims(t *testing.T, d Database) {
	g := d.scene(t)
	g.many(10)
	h := g.start()
	c := h.claim(6)
	if want := (store.Range{Last: store.After("0005"), Facts: 6}); !cmp.Equal(c.Range, want) {
		t.Fatalf("claimed %+v, want %+v", c, want)
	}
	if other := h.claim(3); other.After != c.Last || other.Last != store.After("0008") || other.Facts != 3 || other.Number == c.Number {
		t.Errorf("beside it %+v", other)
	}
	found := h.read(c)
	g.clock.move(time.Minute)

	b := h.batch(c, found[:2])
	b.Count = job.Counts{Examined: 1, Kept: map[rule.Protection]int64{rule.LegalHold: 1}, Retries: 2} // the third fact is kept
	b.UpTo = store.After("0002")
	applied := h.apply(b)
	want := job.Counts{
		Examined: 3, Selected: 2, Decayed: 2, ByRule: map[string]int64{rule.NameFloor: 2}, Kept: map[rule.Protection]int64{rule.LegalHold: 1},
		Tenants: map[string]int64{"default": 2}, Batches: 1, Retries: 2,
	}
	check := func(what string, counts job.Counts, low store.Cursor, left int) {
		t.Helper()
		j := g.find(h.Job.ID)
		for _, got := range []job.Counts{counts, j.Counts} {
			if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(job.Counts{}, "LongestLock")); diff != "" {
				t.Errorf("%s (-want +got):\n%s", what, diff)
			}
		}
		if !j.Updated.Equal(g.clock.now()) {
			t.Errorf("%s: the job was changed at %s", what, j.Updated)
		}
		g.checkNode(h.Job.ID)
		open, there, err := g.s.LookupClaim(g.ctx, h.Lease, c.Number)
		if err != nil || there != (left > 0) || there && (open.After != low || open.Last != c.Last || open.Facts != left || open.Number != c.Number) {
			t.Errorf("%s: the claim is %+v, %v, %v; want %d after %v", what, open, there, err, left, low)
		}
	}
	check("a first batch", applied.Counts, store.After("0002"), 3)

	// If the answer of a COMMIT was lost, the batch is repeated. It must be refused, and not written twice.
	untouched := g.unchanged()
	_, err := g.s.Apply(g.ctx, b)
	h.lost("a batch that is written already", err, job.Running)
	untouched("a batch that is written already")

	// A batch without a fact to write moves the claim too.
	c.Range = store.Range{After: store.After("0002"), Last: c.Last, Facts: 3}
	g.clock.move(time.Minute)
	applied = h.apply(store.Batch{Lease: h.Lease, Claim: c, UpTo: store.After("0003"), Count: job.Counts{Examined: 1}, AsOf: AsOf, Stamp: h.Job.Stamp})
	want.Examined++
	check("a batch without facts to write", applied.Counts, store.After("0003"), 2)

	c.After, c.Facts = store.After("0003"), 2
	b = h.batch(c, found[4:])
	b.Count.AddFailure("0005", "refused")
	applied = h.apply(b)
	want.Add(job.Counts{Examined: 2, Selected: 2, Decayed: 2, ByRule: map[string]int64{rule.NameFloor: 2}, Tenants: map[string]int64{"default": 2}, Batches: 1})
	want.AddFailure("0005", "refused")
	check("the last batch", applied.Counts, store.Cursor{}, 0)
	if j := g.find(h.Job.ID); j.OpenClaims != 1 || j.End {
		t.Errorf("one claim is open and one fact unclaimed: %+v", j)
	}
}

// testFinish: a job is done when every fact is claimed and no claim is open.
func testFinish(t *testing.T, d Database) {
	g := d.scene(t)
	g.many(5)
	h := g.start()
	open := func(what string) {
		t.Helper()
		untouched := g.unchanged()
		if j, done, err := g.s.Finish(g.ctx, h.Lease, store.Cursor{}); err != nil || done || j.State != job.Running {
			t.Errorf("%s: finished %v, %s, %v", what, done, j.State, err)
		}
		untouched(what)
	}
	open("nothing is claimed")
	first := h.claim(2)
	open("a claim is open")
	h.apply(h.whole(first))
	open("facts are left to claim")
	c := h.claim(3)
	open("the last facts are claimed")
	if end, err := g.s.Claim(g.ctx, h.Lease, 5); err != nil || !end.End() {
		t.Fatalf("%+v, %v", end, err)
	}
	open("the last claim is open")
	b := h.whole(c)
	b.Expiries = b.Expiries[:1]
	b.Count.Examined = 2
	b.Count.AddFailure("0003", "refused")
	b.Count.AddFailure("0004", "refused")
	h.apply(b)
	g.clock.move(time.Minute)
	j := h.finish(job.Failed)
	if j.StopReason != "2 facts could not be written" || !j.Completed.Equal(g.clock.now()) {
		t.Errorf("%+v", j)
	}
	g.count(0, "decayctl_workers")
	g.checkNode(j.ID)
	if diff := cmp.Diff(g.find(j.ID), j, sameJob); diff != "" {
		t.Errorf("told otherwise (-is +told):\n%s", diff)
	}

	// A resume finds nothing more to do.
	again := g.join(j.ID, false)
	if c, err := g.s.Claim(g.ctx, again.Lease, 5); err != nil || !c.End() {
		t.Errorf("%+v, %v", c, err)
	}
	again.finish(job.Failed)
}

// testLeave: a worker that leaves does not wait, and its claims go to other workers. Nothing of a claim counts as done.
func testLeave(t *testing.T, d Database) {
	g := d.scene(t)
	g.many(6)
	for _, to := range []job.State{job.Paused, job.Failed} {
		h := g.start()
		c := h.claim(4)
		counts := h.Job.Counts
		g.clock.move(time.Minute)
		left, err := g.s.Leave(g.ctx, h.Lease, to, "the time is up")
		if err != nil {
			t.Fatal(err)
		}
		j := g.find(h.Job.ID)
		if diff := cmp.Diff(j, left, sameJob); diff != "" {
			t.Errorf("told otherwise (-is +told):\n%s", diff)
		}
		if j.State != to || j.StopReason != "the time is up" || len(j.Workers) > 0 || j.OpenClaims != 1 || j.Completed.IsZero() == to.Finished() || !cmp.Equal(j.Counts, counts) {
			t.Errorf("left as %+v", j)
		}
		g.checkNode(j.ID)
		if left, err := g.s.Leave(g.ctx, h.Lease, job.Failed, "twice"); err != nil || left.State != to || left.StopReason != j.StopReason {
			t.Errorf("left twice: %+v, %v", left, err)
		}
		again := g.join(j.ID, false).claim(1)
		if !cmp.Equal(again, c) {
			t.Errorf("handed out again as %+v, was %+v", again, c)
		}
		g.move(j.ID, job.Cancelled)
	}

	// An undo stays undoing, and only another undo continues it.
	h := g.start()
	h.sweep(4)
	h = g.join(h.Job.ID, true)
	if left, err := g.s.Leave(g.ctx, h.Lease, job.Paused, "interrupted"); err != nil || left.State != job.Undoing || len(left.Workers) > 0 {
		t.Errorf("left an undo: %+v, %v", left, err)
	}
	g.join(h.Job.ID, true).takeBack(4)
}

// testTwoCounts: the counts of several workers add up.
func testTwoCounts(t *testing.T, d Database) {
	g := d.scene(t)
	g.many(9)
	h := g.start()
	h.apply(h.whole(h.claim(4)))
	if _, err := g.s.Leave(g.ctx, h.Lease, job.Paused, ""); err != nil {
		t.Fatal(err)
	}
	j := g.join(h.Job.ID, false).sweep(3)
	want := job.Counts{Examined: 9, Selected: 9, Decayed: 9, ByRule: map[string]int64{rule.NameFloor: 9}, Tenants: map[string]int64{"default": 9}, Batches: 3}
	if diff := cmp.Diff(want, j.Counts, cmpopts.IgnoreFields(job.Counts{}, "LongestLock")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// testShared: if the store allows several workers, they share a job, and sweep the claims of a dead worker once. If not, the
// second worker is told why.
func testShared(t *testing.T, d Database) {
	g := d.scene(t)
	g.many(200)
	first := g.start()
	if alone := g.s.Tuning().SingleWorkerReason; alone != "" {
		untouched := g.unchanged()
		_, err := g.s.Join(g.ctx, store.JoinParams{ID: first.Job.ID, Worker: g.worker()})
		if e := is[*job.Busy](t, "a second worker", err); e.Why != alone || !strings.Contains(err.Error(), alone) {
			t.Errorf("told %v", err)
		}
		untouched("a second worker")
		return
	}
	for range 3 {
		first.claim(10)
	}
	c := first.claim(10)
	first.apply(first.batch(c, first.read(c)[:5]))
	g.end(first.Job.ID)

	var shares []*share
	for range 4 {
		h := g.join(first.Job.ID, false)
		h.s = g.other()
		shares = append(shares, h)
	}
	if j := g.find(first.Job.ID); len(j.Workers) != 4 || !j.Live() {
		t.Fatalf("workers %+v", j.Workers)
	}
	claimed := make([][]string, len(shares))
	var all sync.WaitGroup
	for i, h := range shares {
		all.Go(func() {
			for range tooMany {
				c, err := h.s.Claim(g.ctx, h.Lease, 7)
				if err != nil || c.End() {
					if err != nil {
						t.Errorf("claim: %v", err)
					}
					return
				}
				claimed[i] = append(claimed[i], fmt.Sprintf("%04d %s", c.Number, c.Last.ID))
				found, err := Candidates(g.ctx, h.s, store.CandidatesParams{Range: c.Range, AsOf: AsOf, Prefilter: store.Prefilter{Live: true}})
				if err != nil || len(found) != c.Facts {
					t.Errorf("%d facts in %+v, %v", len(found), c, err)
					return
				}
				half := h.batch(c, found[:len(found)/2])
				rest := h.batch(c, found[len(found)/2:])
				rest.Claim.After, rest.Claim.Facts = half.UpTo, c.Facts-len(half.Expiries)
				for _, b := range []store.Batch{half, rest} {
					if applied, err := h.s.Apply(g.ctx, b); err != nil || len(applied.Changed) > 0 {
						t.Errorf("apply: %+v, %v", applied, err)
						return
					}
				}
			}
		})
	}
	all.Wait()
	once := slices.Concat(claimed...)
	slices.Sort(once)
	if n := len(once); len(slices.Compact(once)) != n {
		t.Errorf("a claim was handed out twice: %v", claimed)
	}
	if left, err := g.s.Leave(g.ctx, shares[0].Lease, job.Paused, "one of several"); err != nil || left.State != job.Running || len(left.Workers) != 3 {
		t.Errorf("one of several has left: %+v, %v", left, err)
	}
	j := shares[1].finish(job.Done)
	if j.Counts.Examined != 200 || j.Counts.Decayed != 200 || len(j.Workers) > 0 {
		t.Errorf("%+v", j)
	}
	g.count(200, "fact_retractions")
	g.count(0, "decayctl_claims")
	_, _, err := g.s.Finish(g.ctx, shares[2].Lease, store.Cursor{})
	shares[2].lost("a job that another has finished", err, job.Done)
}
