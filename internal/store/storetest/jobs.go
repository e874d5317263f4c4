package storetest

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"decayctl/internal/job"
	"decayctl/internal/rule"
	"decayctl/internal/store"
)

// in makes a job in a state. Its workers are dead.
func (g *scene) in(state job.State, change ...func(*store.StartParams)) job.Job {
	g.t.Helper()
	h := g.start(append(change, func(p *store.StartParams) { p.Later = state == job.Pending })...)
	id := h.Job.ID
	switch state {
	case job.Paused, job.Cancelled:
		g.move(id, state)
	case job.Failed:
		if _, err := g.s.Leave(g.ctx, h.Lease, job.Failed, "the disk is full"); err != nil {
			g.t.Fatal(err)
		}
	case job.Done:
		h.sweep(100)
	case job.Undoing:
		h.sweep(100)
		g.join(id, true)
	case job.Undone:
		h.sweep(100)
		g.join(id, true).takeBack(100)
	}
	g.end(id)
	j := g.find(id)
	if j.State != state {
		g.t.Fatalf("the job is %s, not %s", j.State, state)
	}
	return j
}

// try asks for a transition as the commands do.
func (g *scene) try(id string, to job.State) error {
	if to.Worked() {
		_, err := g.s.Join(g.ctx, store.JoinParams{ID: id, Undo: to == job.Undoing, Worker: g.worker()})
		return err
	}
	_, err := g.s.Move(g.ctx, id, to, "by hand")
	return err
}

// testTransitions asks for every state from every state. The states done, failed and undone, to which only a worker leads,
// have other tests: here they are refused.
func testTransitions(t *testing.T, d Database) {
	g := d.scene(t)
	g.many(3)
	for _, from := range job.States {
		for _, to := range job.States {
			if from.May(to) && !to.Worked() && to != job.Paused && to != job.Cancelled {
				continue
			}
			what := string(from + " to " + to)
			before := g.in(from)
			g.clock.move(time.Minute)
			untouched := g.unchanged()
			err := g.try(before.ID, to)
			if !from.May(to) {
				if e := is[*job.Illegal](t, what, err); e.ID != before.ID || e.From != from || e.To != to {
					t.Errorf("%s: got %+v", what, e)
				}
				untouched(what)
			} else if err != nil {
				t.Errorf("%s: %v", what, err)
			} else {
				g.checkMoved(what, before, to)
			}
			g.end(before.ID)
		}
	}
}

func (g *scene) checkMoved(what string, before job.Job, to job.State) {
	g.t.Helper()
	now, j := g.clock.now(), g.find(before.ID)
	workers, reason, started := 0, "by hand", before.Started
	if to.Worked() {
		workers, reason = 1, ""
	}
	if to == job.Running && started.IsZero() {
		started = now
	}
	if j.State != to || j.StopReason != reason || !j.Started.Equal(started) || !j.Updated.Equal(now) || j.Completed.IsZero() == to.Finished() {
		g.t.Errorf("%s: %+v", what, j)
	}
	if len(j.Workers) != workers || j.Live() != (workers == 1) {
		g.t.Errorf("%s: workers %+v", what, j.Workers)
	}
	if diff := cmp.Diff(before.Counts, j.Counts); diff != "" {
		g.t.Errorf("%s changed the counts:\n%s", what, diff)
	}
	g.checkNode(j.ID)
}

// testStart: a new job is stored with all its properties.
func testStart(t *testing.T, d Database) {
	g := d.scene(t)
	ttl, floor := rule.TTL(90*86400), rule.Floor(0.35)
	limit, err := rule.ParseLimit("5%")
	if err != nil {
		t.Fatal(err)
	}
	p := g.params(func(p *store.StartParams) {
		p.Rules = rule.Set{TTL: &ttl, Floor: &floor}
		p.Scope, p.Tenant, p.MaxExpire, p.Total = "team", "acme'; --", limit, 123_456
	})
	joined, err := g.s.Start(g.ctx, p)
	if err != nil {
		t.Fatal(err)
	}
	now := g.clock.now()
	want := job.Job{
		ID: p.ID, State: job.Running, Rules: p.Rules, AsOf: AsOf, Stamp: stamp, Scope: "team", Tenant: "acme'; --", MaxExpire: limit, Total: 123_456,
		Created: now, Started: now, Updated: now, Workers: []job.Worker{{Number: 1, Owner: p.Worker.Owner, Joined: now, Live: true}},
	}
	for what, got := range map[string]job.Job{"started": joined.Job, "found": g.find(p.ID)} {
		if diff := cmp.Diff(want, got, sameJob); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
		if left := got.Workers[0].Left; left <= 0 || left > time.Hour {
			t.Errorf("%s: %s of the lease are left", what, left)
		}
	}
	if joined.Lease != (store.Lease{JobID: p.ID, Worker: 1, Time: time.Hour}) || len(joined.Paused)+len(joined.RemovedWorkers) > 0 {
		t.Errorf("%+v", joined)
	}
	d.expect(t, "SELECT fingerprint FROM decayctl_jobs", p.Rules.Fingerprint())
	d.expect(t, "SELECT last_stamp FROM decayctl_store", stampText)
	if err := g.s.ClearMaxExpire(g.ctx, joined.Lease); err != nil || g.find(p.ID).MaxExpire != nil {
		t.Errorf("the limit was checked, and is still to be checked (%v)", err)
	}

	// A pending job has no worker and waits for no other job. It has its own stamp all the same.
	waiting := g.start(func(p *store.StartParams) { p.Later, p.AsOf = true, time.Time{} })
	if j := waiting.Job; waiting.Lease.Worker != 0 || j.State != job.Pending || len(j.Workers) > 0 || !j.Started.IsZero() || !j.AsOf.Equal(now) {
		t.Errorf("for later: %+v", waiting.Joined)
	}
	third := g.start(func(p *store.StartParams) { p.Later = true })
	for i, j := range []job.Job{waiting.Job, third.Job} {
		if want := stamp.Add(time.Duration(i+1) * time.Second); !j.Stamp.Equal(want) {
			t.Errorf("a job of the same second has the stamp %s, want %s", j.Stamp, want)
		}
	}
	g.clock.move(-time.Hour) // a clock that is set back
	if j := g.start(func(p *store.StartParams) { p.Later = true }).Job; !j.Stamp.Equal(stamp.Add(3 * time.Second)) {
		t.Errorf("after the clock was set back: %s", j.Stamp)
	}
}

// testStartRace starts eight sweeps at once, as cron on eight hosts may do.
func testStartRace(t *testing.T, d Database) {
	g := d.scene(t)
	won := g.race(8, func(s store.Store, p store.WorkerParams) error {
		params := g.params()
		params.Worker = p
		_, err := s.Start(g.ctx, params)
		return err
	})
	if won != 1 {
		t.Errorf("%d of 8 sweeps of the same facts were let in", won)
	}
	g.count(1, "decayctl_jobs")
	g.count(1, "jobs")
	g.count(1, "decayctl_workers")
}

// race calls enter at once for n openings of the store, and counts the successes. The others must fail with *job.Busy.
func (g *scene) race(n int, enter func(store.Store, store.WorkerParams) error) (won int) {
	g.t.Helper()
	var all sync.WaitGroup
	errs := make([]error, n)
	begin := make(chan struct{})
	for i := range n {
		s, p := g.other(), g.worker()
		all.Go(func() {
			<-begin
			errs[i] = enter(s, p)
		})
	}
	close(begin)
	all.Wait()
	for _, err := range slices.DeleteFunc(errs, func(err error) bool { return err == nil }) {
		_ = is[*job.Busy](g.t, "a race", err)
		n--
	}
	return n
}
