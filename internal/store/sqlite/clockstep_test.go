package sqlite_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"decayctl/internal/job"
	"decayctl/internal/store"
	"decayctl/internal/store/sqlite"
	"decayctl/internal/store/storetest"
	"decayctl/internal/sweep"
)

// clocks are those of a host: step moves one of them, and wait both.
type clocks struct {
	wall time.Time
	up   time.Duration
}

func (c *clocks) step(by time.Duration) { c.wall = c.wall.Add(by) }
func (c *clocks) wait(d time.Duration)  { c.step(d); c.up += d }

// stepped is a store on a host with its own clocks, and a process at work on a job in it, by a lease of an hour.
func stepped(t *testing.T, facts int) (s *sqlite.Store, d storetest.Database, host *clocks, in store.Joined) {
	t.Helper()
	path := newFile(t)
	d = database(t, path)
	for i := range facts {
		d.Insert(t, storetest.Fact(strconv.Itoa(i)))
	}
	host = &clocks{wall: asOf.Add(time.Hour)}
	s, err := sqlite.Open(t.Context(), path, store.OpenParams{LockTimeout: time.Minute, Now: func() time.Time { return host.wall }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	s.SetUptime(func() time.Duration { return host.up })
	if err := s.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	in, err = s.Start(t.Context(), store.StartParams{ID: "one", Rules: weak, AsOf: asOf, Worker: storetest.Worker("mars", 1)})
	if err != nil {
		t.Fatal(err)
	}
	if in.Lease.Time != time.Hour {
		t.Fatalf("a lease of %s", in.Lease.Time)
	}
	return s, d, host, in
}

var steps = map[string]time.Duration{"forward": 3 * time.Hour, "backward": -3 * time.Hour}

// left is for how long others take the worker's lease to last.
func left(t *testing.T, s store.Store) time.Duration {
	t.Helper()
	j, err := s.Find(context.Background(), "one")
	if err != nil || len(j.Workers) != 1 {
		t.Fatalf("%+v, %v", j.Workers, err)
	}
	return j.Workers[0].Left
}

// TestSweepSurvivesClockSteps: the host's clock is stepped by more than a lease, again and again, during a sweep and
// its undo. Both complete.
func TestSweepSurvivesClockSteps(t *testing.T) {
	t.Parallel()
	for name, by := range steps {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, d, host, in := stepped(t, 60)
			e := storetest.Engine(s)
			batches := 0
			e.Progress = func(sweep.Progress) { batches++; host.step(by) }
			j, err := e.Sweep(t.Context(), in, sweep.Work{Workers: 1, BatchSize: 7})
			if err != nil || j.State != job.Done || j.Counts.Decayed != 60 || batches < 8 {
				t.Fatalf("%+v after %d batches, %v", j, batches, err)
			}
			in, err = s.Join(t.Context(), store.JoinParams{ID: "one", Undo: true, Worker: storetest.Worker("mars", 1)})
			if err != nil {
				t.Fatal(err)
			}
			if j, err = e.Undo(t.Context(), in, sweep.Work{Workers: 1, BatchSize: 7}); err != nil || j.State != job.Undone || j.Counts.Restored != 60 {
				t.Errorf("%+v, %v", j, err)
			}
			if rows := d.Rows(t, "SELECT count(*) FROM fact_validity_overrides"); rows[0] != "0" {
				t.Errorf("%s overrides left", rows[0])
			}
		})
	}
}

// TestLeaseFollowsTheClock: after a step of the clock, a lease lasts as long as without the step, whatever the worker
// does next.
func TestLeaseFollowsTheClock(t *testing.T) {
	t.Parallel()
	for name, by := range steps {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, d, host, in := stepped(t, 4)
			for _, write := range []struct {
				what string
				do   func() error
			}{
				{"ClearMaxExpire", func() error { return s.ClearMaxExpire(t.Context(), in.Lease) }},
				{"Claim", func() error { _, err := s.Claim(t.Context(), in.Lease, 2); return err }},
				{"Wait", func() error { return s.Wait(t.Context(), in.Lease, "") }},
				{"Renew", func() error { return s.Renew(t.Context(), in.Lease) }},
			} {
				host.wait(30 * time.Minute)
				before := left(t, s)
				host.step(by)
				if err := write.do(); err != nil {
					t.Fatalf("%s: %v", write.what, err)
				}
				if after := left(t, s); after != before && after != time.Hour {
					t.Errorf("%s: the lease lasts for %s, before the step for %s", write.what, after, before)
				}
				if err := s.Renew(t.Context(), in.Lease); err != nil || left(t, s) != time.Hour {
					t.Errorf("renewed: %s, %v", left(t, s), err)
				}
			}
			// One claim, by its worker: the end of a lease that only seemed to have come hands nothing out again.
			if rows := d.Rows(t, "SELECT claim, worker FROM decayctl_claims"); len(rows) != 1 {
				t.Errorf("claims: %q", rows)
			}
			if c, err := s.Claim(t.Context(), in.Lease, 2); err != nil || c.Number != 2 {
				t.Errorf("claimed %+v, %v", c, err)
			}
		})
	}
}

// TestClockSteppedInATransaction: the end of the lease is written by the clock after the step.
func TestClockSteppedInATransaction(t *testing.T) {
	t.Parallel()
	for name, by := range steps {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, _, host, in := stepped(t, 4)
			once := by
			s.Watch(func(_ sqlite.Querier, query string) {
				if strings.Contains(query, "UPDATE jobs") {
					host.step(once)
					once = 0
				}
			})
			if err := s.Wait(t.Context(), in.Lease, ""); err != nil || once != 0 {
				t.Fatal(once, err)
			}
			if err := s.ClearMaxExpire(t.Context(), in.Lease); err != nil || left(t, s) != time.Hour {
				t.Errorf("%s left, %v", left(t, s), err)
			}
		})
	}
}

// TestStepIsNoRenewal: a lease that has ended by the monotonic clock stays ended, whatever the host's clock says. So
// does the lease of a worker that another process removed while the clock was wrong.
func TestStepIsNoRenewal(t *testing.T) {
	t.Parallel()
	lost := func(t *testing.T, err error) {
		t.Helper()
		var lost *job.Lost
		if !errors.As(err, &lost) {
			t.Errorf("got %v", err)
		}
	}
	for name, by := range steps {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, _, host, in := stepped(t, 4)
			host.wait(time.Hour + time.Minute)
			host.step(by)
			lost(t, s.Renew(t.Context(), in.Lease))
			_, err := s.Claim(t.Context(), in.Lease, 2)
			lost(t, err)
		})
	}
	t.Run("put out", func(t *testing.T) {
		t.Parallel()
		s, _, host, in := stepped(t, 4)
		host.step(3 * time.Hour)
		next, err := s.Join(t.Context(), store.JoinParams{ID: "one", Worker: storetest.Worker("mars", 2)})
		if err != nil {
			t.Fatal(err)
		}
		lost(t, s.Renew(t.Context(), in.Lease))
		if err := s.Renew(t.Context(), next.Lease); err != nil {
			t.Error(err)
		}
	})
}
