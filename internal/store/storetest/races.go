package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"decayctl/internal/fact"
	"decayctl/internal/job"
	"decayctl/internal/store"
)

// testPipeline uses one store from several goroutines, as a sweep does: one claims, one writes, one renews the lease.
func testPipeline(t *testing.T, d Database) {
	g := d.scene(t)
	g.many(120)
	h := g.start()
	claims, done := make(chan store.Claim, 2), make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		defer close(claims)
		for range tooMany {
			c, err := g.s.Claim(g.ctx, h.Lease, 7)
			if err != nil {
				t.Errorf("claim: %v", err)
			}
			if err != nil || c.End() {
				return
			}
			claims <- c
		}
	})
	all.Go(func() {
		defer close(done)
		for c := range claims {
			found, err := Candidates(g.ctx, g.s, store.CandidatesParams{Range: c.Range, AsOf: AsOf, Prefilter: store.Prefilter{Live: true}})
			if err != nil {
				t.Errorf("read: %v", err)
				continue
			}
			if applied, err := g.s.Apply(g.ctx, h.batch(c, found)); err != nil || len(applied.Changed) > 0 {
				t.Errorf("apply: %+v, %v", applied, err)
			}
		}
	})
	all.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				if err := g.s.Renew(g.ctx, h.Lease); err != nil {
					t.Errorf("renew: %v", err)
					return
				}
			}
		}
	})
	all.Wait()
	if j := h.finish(job.Done); j.Counts.Examined != 120 || j.Counts.Decayed != 120 {
		t.Errorf("counted %+v", j.Counts)
	}
}

// testTakenMeanwhile: a job is taken away from a worker whose batch waits for a lock on a fact. The batch must write nothing,
// and taking the job must not wait for it.
func testTakenMeanwhile(t *testing.T, d Database) {
	g := d.scene(t)
	if g.s.Tuning().SingleWorkerReason != "" {
		return // PostgreSQL from here on; elsewhere a batch is alone in the store from its beginning to its end
	}
	for i, test := range []struct {
		what  string
		state job.State
		take  func(h *share)
	}{
		{"paused", job.Paused, func(h *share) { h.move(h.Job.ID, job.Paused) }},
		{"cancelled", job.Cancelled, func(h *share) { h.move(h.Job.ID, job.Cancelled) }},
		{"taken over", job.Running, func(h *share) {
			h.end(h.Job.ID)
			next := h.join(h.Job.ID, false)
			if _, err := h.s.Claim(h.ctx, next.Lease, 1); err != nil { // the batch's own, or if that is locked, none
				h.t.Error(err)
			}
		}},
	} {
		id := fmt.Sprintf("%04d", i)
		d.Insert(t, Fact(id, Overridden(fact.Override{Confidence: ptr(0.3)})))
		h := g.start()
		b := h.whole(h.claim(10))
		release, s, wrote := d.Lock(t, id), g.other(), make(chan error)
		go func() {
			_, err := s.Apply(g.ctx, b)
			wrote <- err
		}()
		g.awaitLock()
		test.take(h)
		release()
		h.lost(test.what+" meanwhile", <-wrote, test.state)
		g.count(0, "fact_retractions")
		g.count(0, "fact_validity_overrides WHERE valid_until IS NOT NULL")
		if j := g.find(h.Job.ID); j.State != test.state || j.Counts.Examined != 0 {
			t.Errorf("%s: %+v", test.what, j)
		}
		if test.state == job.Running {
			g.move(h.Job.ID, job.Cancelled)
		}
	}
}

// awaitLock returns when a session of PostgreSQL waits for a lock.
func (g *scene) awaitLock() {
	g.t.Helper()
	Await(func() bool {
		return g.Rows(g.t, "SELECT count(*) FROM "+g.sessions()+" WHERE datname = current_database() AND wait_event_type = 'Lock'")[0] != "0"
	})
}

// testWaitEnds: a wait for a lock of the store, or for the connection of writes, ends with the caller's context.
func testWaitEnds(t *testing.T, d Database) {
	g := d.scene(t)
	d.Insert(t, Fact("a", Overridden(fact.Override{Confidence: ptr(0.3)})), Fact("b"))
	h := g.start()
	b := h.whole(h.claim(1))
	release := d.Lock(t, "a")
	ctx, cancel := context.WithCancel(g.ctx)
	errs := make(chan error)
	for range 3 {
		go func() {
			_, err := g.s.Apply(ctx, b)
			errs <- err
		}()
	}
	cancel()
	for range 3 {
		if err := <-errs; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want the interruption", err)
		}
	}
	release()
	h.apply(b)
	h.sweep(10)
	g.count(2, "fact_retractions")
}

// testSharedCards: two sweeps write ranges at once whose facts share memory cards, in opposite order. Both must succeed
// without a deadlock.
func testSharedCards(t *testing.T, d Database) {
	const cards, rounds = 40, 5
	var facts []fact.Candidate
	for round := range rounds {
		for side := range 2 {
			for i := range cards {
				entity := i
				if side == 1 {
					entity = cards - 1 - i
				}
				facts = append(facts, Fact(fmt.Sprintf("%d-%d-%03d", round, side, i), func(c *fact.Candidate) { c.Entity = fmt.Sprintf("e%03d", entity) }))
			}
		}
	}
	d.Insert(t, facts...)
	for i := range cards {
		d.Card(t, fmt.Sprintf("e%03d", i), "default", "local", 0)
	}
	stores := [2]store.Store{d.open(t, false), d.open(t, false)}
	all := everything(t, stores[0])
	for round := range rounds {
		d.Exec(t, "UPDATE memory_cards SET is_stale = 0")
		var both sync.WaitGroup
		for side, s := range stores {
			from := (round*2 + side) * cards
			b := batch(t, s, all[from:from+cards], true, func(p *store.StartParams) { p.Scope = fact.Scopes[side] }) // jobs that do not overlap
			both.Go(func() {
				applied, err := s.Apply(context.Background(), b)
				if err != nil || len(applied.Changed) != 0 {
					t.Errorf("round %d, side %d: %+v, %v", round, side, applied, err)
				}
			})
		}
		both.Wait()
		d.expect(t, "SELECT count(*) FROM memory_cards WHERE is_stale = 0", "0")
	}
	d.expect(t, "SELECT count(*) FROM fact_retractions", fmt.Sprint(len(facts)))
}

func testLocked(t *testing.T, d Database) {
	d.Insert(t, Fact("a", Overridden(fact.Override{Confidence: ptr(0.3)})), Fact("b"))
	impatient, err := d.Open(store.OpenParams{LockTimeout: 50 * time.Millisecond, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = impatient.Close() }()
	patient := d.open(t, false)
	b := batch(t, patient, everything(t, patient), true)
	release := d.Lock(t, "a")
	if _, err := impatient.Apply(context.Background(), b); !store.Is(err, store.Busy) {
		t.Errorf("got %v, want busy", err)
	}
	done := make(chan error)
	go func() {
		_, err := patient.Apply(context.Background(), b)
		done <- err
	}()
	release()
	if err := <-done; err != nil {
		t.Errorf("after the wait: %v", err)
	}
	d.expect(t, "SELECT count(*) FROM fact_retractions", "2")
}

func testInterrupted(t *testing.T, d Database) {
	d.Insert(t, Fact("a", Overridden(fact.Override{Confidence: ptr(0.3)})), Fact("b"))
	s := d.open(t, false)
	b := batch(t, s, everything(t, s), true)
	release := d.Lock(t, "a")
	ctx, interrupt := context.WithCancel(context.Background())
	done := make(chan error)
	go func() {
		_, err := s.Apply(ctx, b)
		done <- err
	}()
	interrupt()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the interruption", err)
	}
	release()
	d.expect(t, "SELECT count(*) FROM fact_retractions", "0")
	if applied, err := s.Apply(context.Background(), b); err != nil || len(applied.Changed) != 0 {
		t.Errorf("the store is of no use afterwards: %+v, %v", applied, err)
	}
}

// testSilent: one of two workers stops renewing its lease. The other takes over its claims. When the other leaves too, the job
// has no worker.
func testSilent(t *testing.T, d Database) {
	g := d.scene(t)
	if g.s.Tuning().SingleWorkerReason != "" {
		return // who takes a job over there has put the silent one out
	}
	g.many(6)
	silent := g.start()
	c := silent.claim(3)
	other := g.join(silent.Job.ID, false)
	if next := other.claim(2); next.After != c.Last {
		t.Errorf("claimed %+v while the first one lives", next)
	}
	g.Exec(t, "UPDATE decayctl_workers SET lease_until = 1 WHERE worker = $1", silent.Lease.Worker)
	if next := other.claim(2); !cmp.Equal(next, c) {
		t.Errorf("claimed %+v, want %+v", next, c)
	}
	other.apply(other.whole(c))
	left, err := g.s.Leave(g.ctx, other.Lease, job.Paused, "the time is up")
	if err != nil || left.State != job.Paused || len(left.Workers) > 0 || left.OpenClaims != 1 {
		t.Errorf("left as %+v, %v", left, err)
	}
	_, err = g.s.Claim(g.ctx, silent.Lease, 1)
	silent.lost("the silent one", err, job.Paused)
}
