package sweep_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"decayctl/internal/job"
	"decayctl/internal/store"
	"decayctl/internal/store/storetest"
	"decayctl/internal/sweep"
)

// resume joins a job as another process would, and goes on with it.
func resume(t *testing.T, s store.Store, id string) (job.Job, error) {
	t.Helper()
	joined, err := s.Join(context.Background(), store.JoinParams{ID: id, Worker: storetest.Worker("another", 2)})
	if err != nil {
		t.Fatal(err)
	}
	return storetest.Engine(s).Sweep(context.Background(), joined, sweep.Work{Workers: 1, BatchSize: 10, Pace: 1})
}

// undisturbed is what a job counts that nothing happens to.
func undisturbed(t *testing.T, n int) job.Counts {
	t.Helper()
	s, _ := newStore(t, n)
	counts, err := run(context.Background(), storetest.Engine(s), weak(), tens)
	if err != nil {
		t.Fatal(err)
	}
	return counts
}

// wholeAgain resumes a job that was stopped, and holds it to what it would have counted undisturbed.
func wholeAgain(t *testing.T, s store.Store, d storetest.Database, stopped job.Job, n int) {
	t.Helper()
	j, err := resume(t, s, stopped.ID)
	if err != nil || j.State != job.Done {
		t.Fatalf("resumed: %+v, %v", j, err)
	}
	if diff := cmp.Diff(undisturbed(t, n), j.Counts, notCompared); diff != "" {
		t.Errorf("(-undisturbed +resumed):\n%s", diff)
	}
	if rows := d.Rows(t, "SELECT count(*), count(DISTINCT fact_id) FROM fact_retractions"); rows[0] != "30 | 30" {
		t.Errorf("retractions: %s", rows[0])
	}
}

// TestLimitPausesBetweenBatches: a limit ends a sweep between two batches, with the job paused.
func TestLimitPausesBetweenBatches(t *testing.T) {
	t.Parallel()
	s, d := newStore(t, 30)
	engine := storetest.Engine(s)
	engine.Halt = func() error {
		if len(s.sizes) == 2 {
			return &sweep.Stopped{Why: "time is up"}
		}
		return nil
	}
	j, err := storetest.Sweep(context.Background(), engine, weak(), tens)
	var stopped *sweep.Stopped
	if !errors.As(err, &stopped) || j.State != job.Paused || j.StopReason != "time is up" || j.Counts.Decayed != 20 || len(j.Workers) != 0 {
		t.Fatalf("%+v, %v", j, err)
	}
	wholeAgain(t, s, d, j, 30)
}

// TestPauseAndCancelReachRunningSweep: pause and cancel reach a running sweep within one batch, of which nothing is written.
func TestPauseAndCancelReachRunningSweep(t *testing.T) {
	t.Parallel()
	for _, to := range []job.State{job.Paused, job.Cancelled} {
		s, d := newStore(t, 30)
		s.apply = func(b store.Batch) error {
			if len(s.sizes) == 2 {
				_, err := s.Move(context.Background(), b.Lease.JobID, to, "by an operator")
				return err
			}
			return nil
		}
		j, err := storetest.Sweep(context.Background(), storetest.Engine(s), weak(), tens)
		var lost *job.Lost
		if !errors.As(err, &lost) || lost.State != to || j.State != to || j.Counts.Decayed != 10 || len(s.sizes) != 2 {
			t.Fatalf("%+v in batches %v, %v", j, s.sizes, err)
		}
		if rows := d.Rows(t, "SELECT count(*) FROM fact_validity_overrides"); rows[0] != "10" {
			t.Errorf("%s overrides", rows[0])
		}
		if to == job.Paused {
			s.apply = nil
			wholeAgain(t, s, d, j, 30)
		}
	}
}

// TestPauseReachesWaitingProcess: the heartbeat tells a process that is waiting of an operator's word, and the
// wait it was in marks nothing as done or failed. (Trap 5: an interrupted wait that marks work done or
// failed that never ran.)
func TestPauseReachesWaitingProcess(t *testing.T) {
	t.Parallel()
	s, d := newStore(t, 30)
	engine := storetest.Engine(s)
	var id string
	s.apply = func(b store.Batch) error { id = b.Lease.JobID; return nil }
	engine.Sleep = func(ctx context.Context, _ time.Duration) error {
		if id == "" { // after the first claim
			return nil
		}
		if _, err := s.Move(context.Background(), id, job.Paused, "by an operator"); err != nil {
			t.Error(err)
		}
		<-ctx.Done() // for as long as the pause may be: only the heartbeat ends it
		return ctx.Err()
	}
	p := weak()
	p.Worker = storetest.Worker("a test", 1)
	p.Worker.Lease = 2 * time.Second
	j, err := storetest.Sweep(context.Background(), engine, p, sweep.Work{BatchSize: 10, Pace: 0.5})
	var lost *job.Lost
	if !errors.As(err, &lost) || lost.State != job.Paused || j.State != job.Paused || j.Counts.Decayed != 10 || j.Counts.FailedCount != 0 {
		t.Fatalf("%+v, %v", j, err)
	}
	wholeAgain(t, s, d, j, 30)
}

// TestServerRestartDoesNotEndSweep: a server that restarts does not end a sweep.
func TestServerRestartDoesNotEndSweep(t *testing.T) {
	t.Parallel()
	s, d := newStore(t, 30)
	s.apply = func(store.Batch) error {
		if len(s.sizes) < 6 {
			return &store.Error{Kind: store.Disconnected, Text: "the server is shutting down"}
		}
		return nil
	}
	j, err := storetest.Sweep(context.Background(), storetest.Engine(s), weak(), tens)
	if err != nil || j.Counts.Decayed != 30 || j.Counts.Retries != 5 {
		t.Fatalf("%+v, %v", j, err)
	}
	if rows := d.Rows(t, "SELECT count(*) FROM fact_validity_overrides"); rows[0] != "30" {
		t.Errorf("%s overrides", rows[0])
	}
}

// dying is a store whose server is gone for good after some batches.
type dying struct {
	*failing
	batches int
}

func (d *dying) gone() error {
	if d.batches--; d.batches >= 0 {
		return nil
	}
	return &store.Error{Kind: store.Disconnected, Text: "connection refused"}
}

func (d *dying) Apply(ctx context.Context, b store.Batch) (store.Applied, error) {
	if err := d.gone(); err != nil {
		return store.Applied{}, err
	}
	return d.failing.Apply(ctx, b)
}

func (d *dying) Restore(ctx context.Context, p store.RestoreParams) (store.Restored, error) {
	if err := d.gone(); err != nil {
		return store.Restored{}, err
	}
	return d.failing.Restore(ctx, p)
}

func (d *dying) Leave(context.Context, store.Lease, job.State, string) (job.Job, error) {
	return job.Job{}, d.gone()
}

// TestCountsOfAServerThatIsGone: a log line and a metrics file say what was done before the server was gone.
func TestCountsOfAServerThatIsGone(t *testing.T) {
	t.Parallel()
	s, _ := newStore(t, 30)
	j, err := storetest.Sweep(context.Background(), storetest.Engine(&dying{s, 2}), weak(), tens)
	if !store.Is(err, store.Disconnected) || j.State != job.Running || j.Counts.Decayed != 20 {
		t.Fatalf("%+v, %v", j, err)
	}
	s, _ = newStore(t, 30)
	if j, err = storetest.Sweep(context.Background(), storetest.Engine(s), weak(), tens); err != nil {
		t.Fatal(err)
	}
	joined, err := s.Join(context.Background(), store.JoinParams{ID: j.ID, Undo: true, Worker: storetest.Worker("a test", 3)})
	if err != nil {
		t.Fatal(err)
	}
	j, err = storetest.Engine(&dying{s, 1}).Undo(context.Background(), joined, sweep.Work{BatchSize: 10, Pace: 1})
	if !store.Is(err, store.Disconnected) || j.State != job.Undoing || j.Counts.Restored != 10 || j.Counts.Decayed != 30 {
		t.Fatalf("%+v, %v", j, err)
	}
}

// TestErrorAfterResumeKeepsSavedPlace: the first error after a resume does not touch the place that was saved. (Trap
// 3: an error right after a resume that overwrites the saved cursor with nothing.)
func TestErrorAfterResumeKeepsSavedPlace(t *testing.T) {
	t.Parallel()
	s, d := newStore(t, 30)
	engine := storetest.Engine(s)
	engine.Halt = func() error { return &sweep.Stopped{Why: "after the first batch"} }
	j, err := storetest.Sweep(context.Background(), engine, weak(), tens)
	if err == nil || j.Counts.Decayed != 10 {
		t.Fatalf("%+v, %v", j, err)
	}
	place := func() []string {
		t.Helper()
		return append(d.Rows(t, "SELECT frontier, end_reached, counts FROM decayctl_jobs"), d.Rows(t, "SELECT low, high, remaining FROM decayctl_claims")...)
	}
	before := place()
	broken := errors.New("broken")
	for name, fail := range map[string]func(){
		"in the first claim": func() { s.read = func() error { return broken } },
		"in the first batch": func() { s.apply = func(store.Batch) error { return broken } },
	} {
		s.read, s.apply = nil, nil
		fail()
		if failed, err := resume(t, s, j.ID); !errors.Is(err, broken) || failed.State != job.Failed || failed.StopReason != "broken" {
			t.Fatalf("%s: %+v, %v", name, failed, err)
		}
		if diff := cmp.Diff(before, place()); diff != "" {
			t.Errorf("%s (-saved +after the error):\n%s", name, diff)
		}
	}
	s.read, s.apply = nil, nil
	wholeAgain(t, s, d, j, 30)
}

// TestRefusedJobIsCancelled: a job that its limit refuses is cancelled and says why, and resuming one checks the
// limit if it was not checked before.
func TestRefusedJobIsCancelled(t *testing.T) {
	t.Parallel()
	s, d := newStore(t, 30)
	p := weak()
	p.MaxExpire, p.Later = limit("29"), true
	if err := s.Prepare(context.Background()); err != nil {
		t.Fatal(err)
	}
	p.ID, p.Worker = "3f2a0000-0000-4000-8000-000000000001", storetest.Worker("a test", 1)
	if _, err := s.Start(context.Background(), p); err != nil {
		t.Fatal(err)
	}
	j, err := resume(t, s, p.ID)
	var refused *sweep.Refused
	if !errors.As(err, &refused) || j.State != job.Cancelled || j.StopReason != refused.Text {
		t.Fatalf("%+v, %v", j, err)
	}
	if rows := d.Rows(t, "SELECT count(*) FROM fact_validity_overrides"); rows[0] != "0" {
		t.Errorf("%s overrides", rows[0])
	}
}

// TestJobFinishedByAnotherProcessIsDone: of two processes on one job, the one that is not the last to finish tells the same.
func TestJobFinishedByAnotherProcessIsDone(t *testing.T) {
	t.Parallel()
	s, _ := newStore(t, 30)
	s.tuning = &store.Tuning{RangeSize: 10, BatchSize: 10, Target: time.Hour}
	var other job.Job
	s.apply = func(b store.Batch) error {
		if len(s.sizes) != 1 {
			return nil
		}
		// The other process sweeps all but what this one has claimed; this one's batch then fails
		// once, as if its lease had ended, and its claims go to the other.
		if _, err := s.Leave(context.Background(), b.Lease, job.Paused, "gone"); err != nil {
			return err
		}
		var err error
		other, err = resume(t, s, b.Lease.JobID)
		return err
	}
	j, err := storetest.Sweep(context.Background(), storetest.Engine(s), weak(), tens)
	if err != nil || j.State != job.Done || other.State != job.Done || j.Counts.Decayed != 30 || other.Counts.Decayed != 30 {
		t.Errorf("%+v, %+v, %v", j, other, err)
	}
}
