package sweep_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"decayctl/internal/job"
	"decayctl/internal/store"
	"decayctl/internal/store/storetest"
	"decayctl/internal/sweep"
)

var gone = &store.Error{Kind: store.Disconnected, Text: "the server is gone"}

// waits is an engine whose clock goes on only while it waits.
func waits(s store.Store) (engine *sweep.Engine, waited *time.Duration, notes *[]string) {
	engine, waited, notes = storetest.Engine(s), new(time.Duration), new([]string)
	engine.Sleep = func(ctx context.Context, d time.Duration) error { *waited += d; return ctx.Err() }
	engine.Note = func(why string) { *notes = append(*notes, why) }
	return engine, waited, notes
}

// TestFailoverOfMinutes: a sweep goes on after a failover that takes longer than that of any managed server, and tells the
// operator once that it waits. It tells of no connection that is lost and made again at once.
func TestFailoverOfMinutes(t *testing.T) {
	t.Parallel()
	for outage, told := range map[time.Duration]int{time.Millisecond: 0, 3 * time.Minute: 1} {
		s, d := newStore(t, 30)
		engine, waited, notes := waits(s)
		s.apply = func(store.Batch) error {
			if len(s.sizes) > 1 && *waited < outage {
				return gone
			}
			return nil
		}
		j, err := storetest.Sweep(t.Context(), engine, weak(), tens)
		if err != nil || j.State != job.Done || j.Counts.Decayed != 30 {
			t.Fatalf("%s: %+v, %v", outage, j, err)
		}
		if len(*notes) != told || told > 0 && !strings.HasPrefix((*notes)[0], gone.Text+"; decayctl tries again for 5 minutes") {
			t.Errorf("%s: notes %q", outage, *notes)
		}
		if rows := d.Rows(t, "SELECT count(*), count(DISTINCT fact_id) FROM fact_retractions"); rows[0] != "30 | 30" {
			t.Errorf("%s: retractions: %s", outage, rows[0])
		}
	}
}

// TestOutageEnds: a sweep whose server stays away ends: after some minutes, at the time limit, or at a signal.
func TestOutageEnds(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name     string
		limit    time.Duration // 0 is none
		signal   time.Duration
		min, max time.Duration
		ends     func(error) bool
	}{
		{"after minutes", 0, 0, 4 * time.Minute, 5 * time.Minute, func(err error) bool { return store.Is(err, store.Disconnected) }},
		{"at the time limit", time.Minute, 0, time.Minute, time.Minute + 4*time.Second, func(err error) bool {
			var stopped *sweep.Stopped
			return errors.As(err, &stopped)
		}},
		{"at a signal", 0, time.Minute, time.Minute, time.Minute + 4*time.Second, func(err error) bool { return errors.Is(err, context.Canceled) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s, d := newStore(t, 30)
			s.apply = func(store.Batch) error { return gone }
			ctx, signal := context.WithCancel(t.Context())
			defer signal()
			engine, waited, _ := waits(s)
			sleep := engine.Sleep
			engine.Sleep = func(ctx context.Context, d time.Duration) error {
				if test.signal > 0 && *waited >= test.signal {
					signal()
				}
				return sleep(ctx, d)
			}
			engine.Halt = func() error {
				if test.limit > 0 && *waited >= test.limit {
					return &sweep.Stopped{Why: "the time is up"}
				}
				return nil
			}
			j, err := storetest.Sweep(ctx, engine, weak(), tens)
			if !test.ends(err) || *waited < test.min || *waited > test.max {
				t.Errorf("after %s: %v", *waited, err)
			}
			s.apply = nil
			wholeAgain(t, s, d, j, 30)
		})
	}
}

// failsOver is a store whose server is away once, at a batch.
type failsOver struct {
	store.Store
	d     storetest.Database
	t     *testing.T
	at    int
	calls int
	loses bool // the server loses the commit of the batch before; else the lease ends
	err   error
	moves func(id string) // what another process does while the server is away
	beats atomic.Int32    // renewals of the lease
}

// away tells whether the server loses the commit of a batch, and the error if it is away.
func (f *failsOver) away(id string) (lost bool, err error) {
	switch f.calls++; {
	case f.loses && f.calls == f.at-1:
		return true, nil
	case f.calls != f.at:
		return false, nil
	case !f.loses:
		f.d.Exec(f.t, "UPDATE decayctl_workers SET lease_until = 1")
	}
	if f.moves != nil {
		f.moves(id)
	}
	return false, f.err
}

func (f *failsOver) Renew(ctx context.Context, l store.Lease) error {
	err := f.Store.Renew(ctx, l)
	f.beats.Add(1)
	return err
}

func (f *failsOver) Apply(ctx context.Context, b store.Batch) (store.Applied, error) {
	if lost, err := f.away(b.Lease.JobID); lost || err != nil {
		return store.Applied{}, err
	}
	return f.Store.Apply(ctx, b)
}

func (f *failsOver) Restore(ctx context.Context, p store.RestoreParams) (store.Restored, error) {
	if lost, err := f.away(p.Lease.JobID); lost || err != nil {
		return store.Restored{}, err
	}
	return f.Store.Restore(ctx, p)
}

// TestFailoverThatCostsTheLease: if the lease ends while the server is away, or the server loses a commit, the process joins its
// job again. Its undo does the same.
func TestFailoverThatCostsTheLease(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		loses bool
		err   error
	}{
		{"its lease ends", false, gone},
		{"its lease ends in a COMMIT", false, &store.Error{Kind: store.Uncertain, Text: "the server is gone"}},
		{"a commit is lost", true, gone},
	} {
		s, d := newStore(t, 40)
		s.tuning = &store.Tuning{RangeSize: 20, BatchSize: 10, Target: time.Hour}
		before := d.Touched(t)
		server := &failsOver{Store: s, d: d, t: t, at: 2, loses: test.loses, err: test.err}
		j, err := storetest.Sweep(t.Context(), impatient(server), weak(), tens)
		if err != nil || j.State != job.Done {
			t.Fatalf("%s: %+v, %v", test.name, j, err)
		}
		j.Counts.Retries = 0
		if diff := cmp.Diff(undisturbed(t, 40), j.Counts, notCompared); diff != "" {
			t.Errorf("%s (-undisturbed +after an outage):\n%s", test.name, diff)
		}
		if rows := d.Rows(t, "SELECT count(*), count(DISTINCT fact_id) FROM fact_retractions"); rows[0] != "40 | 40" {
			t.Errorf("%s: retractions: %s", test.name, rows[0])
		}
		server.calls = 0
		joined, err := s.Join(t.Context(), store.JoinParams{ID: j.ID, Undo: true, Worker: storetest.Worker("a test", 1)})
		if err == nil {
			j, err = impatient(server).Undo(t.Context(), joined, sweep.Work{BatchSize: 10, Pace: 1})
		}
		if err != nil || j.State != job.Undone || j.Counts.Restored != 40 {
			t.Fatalf("%s: %+v, %v", test.name, j, err)
		}
		if diff := cmp.Diff(before, d.Touched(t)); diff != "" {
			t.Errorf("%s (-before the sweep +after the undo):\n%s", test.name, diff)
		}
	}
}

// TestLeaseRenewedBeforeTheClaimIsMissed: the new server has the lease and lacks the claim, and the heartbeat comes first. The process
// joins its job again.
func TestLeaseRenewedBeforeTheClaimIsMissed(t *testing.T) {
	t.Parallel()
	s, d := newStore(t, 40)
	s.tuning = &store.Tuning{RangeSize: 20, BatchSize: 10, Target: time.Hour}
	server := &failsOver{Store: s, d: d, t: t, at: 2, loses: true, err: gone}
	engine := impatient(server)
	sleep := engine.Sleep
	engine.Sleep = func(ctx context.Context, d time.Duration) error {
		if server.calls == server.at {
			before := server.beats.Load()
			storetest.Await(func() bool { return server.beats.Load() >= before+4 })
		}
		return sleep(ctx, d)
	}
	p := weak()
	p.Worker = storetest.Worker("a test", 1)
	p.Worker.Lease = 2 * time.Second
	j, err := storetest.Sweep(t.Context(), engine, p, tens)
	if err != nil || j.State != job.Done || j.Counts.Decayed != 40 {
		t.Errorf("%+v, %v", j, err)
	}
}

// TestOutageDoesNotUndoADecision: a job that an operator paused, or undid, while the server was away stays so.
func TestOutageDoesNotUndoADecision(t *testing.T) {
	t.Parallel()
	for _, to := range []job.State{job.Paused, job.Undoing} {
		s, d := newStore(t, 30)
		away := &failsOver{Store: s, d: d, t: t, at: 2, err: gone, moves: func(id string) {
			_, err := s.Move(t.Context(), id, job.Paused, "by an operator")
			if err == nil && to == job.Undoing {
				_, err = s.Join(t.Context(), store.JoinParams{ID: id, Undo: true, Worker: storetest.Worker("another host", 2)})
			}
			if err != nil {
				t.Error(err)
			}
		}}
		j, err := storetest.Sweep(t.Context(), storetest.Engine(away), weak(), tens)
		if !sweep.IsLost(err) || j.State != to || j.Counts.Decayed != 10 {
			t.Errorf("%s: %+v, %v", to, j, err)
		}
	}
}

// decidedAgain is a store with which another process decides about a job just before this process joins it again.
type decidedAgain struct {
	*failsOver
	to job.State
}

func (d *decidedAgain) Join(ctx context.Context, p store.JoinParams) (store.Joined, error) {
	if _, err := d.Move(ctx, p.ID, d.to, "by an operator"); err != nil {
		d.t.Error(err)
	}
	return d.Store.Join(ctx, p)
}

// TestDecisionBeforeJoiningAgain: the decision counts even if it comes after the process has found its lease lost.
func TestDecisionBeforeJoiningAgain(t *testing.T) {
	t.Parallel()
	for _, to := range []job.State{job.Paused, job.Cancelled} {
		s, d := newStore(t, 30)
		away := &decidedAgain{&failsOver{Store: s, d: d, t: t, at: 2, err: gone}, to}
		j, err := storetest.Sweep(t.Context(), storetest.Engine(away), weak(), tens)
		if lost := (*job.Lost)(nil); !errors.As(err, &lost) || lost.State != to || j.State != to || j.Counts.Decayed != 10 {
			t.Errorf("%s: %+v, %v", to, j, err)
		}
	}
}

// away is a store whose server is away until the work has waited for some time.
type away struct {
	store.Store
	waited, until *time.Duration
}

func (a *away) reach() error {
	if *a.waited < *a.until {
		return gone
	}
	return nil
}

func (a *away) Estimate(ctx context.Context) (int64, error) {
	if err := a.reach(); err != nil {
		return 0, err
	}
	return a.Store.Estimate(ctx)
}

func (a *away) Now(ctx context.Context) (time.Time, error) {
	if err := a.reach(); err != nil {
		return time.Time{}, err
	}
	return a.Store.Now(ctx)
}

// TestOutageWithoutAJob: a command that only reads ends after half a minute. A sweep, which begins with the same reads, goes on.
func TestOutageWithoutAJob(t *testing.T) {
	t.Parallel()
	s, _ := newStore(t, 30)
	until := time.Hour
	engine, waited, notes := waits(s)
	engine.Store = &away{s, waited, &until}
	_, err := engine.Preview(t.Context(), sweep.Params{Rules: weak().Rules, AsOf: asOf, Now: asOf}) // only Estimate is left
	if !store.Is(err, store.Disconnected) || *waited < 20*time.Second || *waited > 30*time.Second {
		t.Errorf("ended after %s: %v", *waited, err)
	}
	if len(*notes) != 1 || !strings.HasSuffix((*notes)[0], "decayctl tries again for 30 seconds") {
		t.Errorf("notes %q", *notes)
	}
	*waited, until = 0, 2*time.Minute
	if j, err := storetest.Sweep(t.Context(), engine, weak(), tens); err != nil || j.State != job.Done || j.Counts.Decayed != 30 {
		t.Errorf("after %s: %+v, %v", *waited, j, err)
	}
}

// TestLeaseLostWithoutAnOutage: a process that was silent while the server answered leaves the job to others.
func TestLeaseLostWithoutAnOutage(t *testing.T) {
	t.Parallel()
	s, d := newStore(t, 30)
	s.apply = func(store.Batch) error {
		if len(s.sizes) == 2 {
			d.Exec(t, "UPDATE decayctl_workers SET lease_until = 1")
		}
		return nil
	}
	j, err := storetest.Sweep(t.Context(), storetest.Engine(s), weak(), tens)
	if !sweep.IsLost(err) || j.Counts.Decayed != 10 {
		t.Errorf("%+v, %v", j, err)
	}
}
