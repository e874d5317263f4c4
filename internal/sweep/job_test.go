package sweep_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
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

// TestUncertainBatchIsCountedOnce: where the connection is lost in a COMMIT, the claim tells whether it happened.
func TestUncertainBatchIsCountedOnce(t *testing.T) {
	t.Parallel()
	for _, happened := range []bool{true, false} {
		s, d := newStore(t, 30)
		unsure := &uncertain{Store: s, at: []int{1, 3}, happened: happened}
		j, err := storetest.Sweep(context.Background(), storetest.Engine(unsure), weak(), tens)
		if err != nil || j.State != job.Done {
			t.Fatalf("%+v, %v", j, err)
		}
		if diff := cmp.Diff(undisturbed(t, 30), j.Counts, notCompared); diff != "" {
			t.Errorf("happened %t (-undisturbed +uncertain):\n%s", happened, diff)
		}
		if rows := d.Rows(t, "SELECT count(*), count(DISTINCT fact_id) FROM fact_retractions"); rows[0] != "30 | 30" {
			t.Errorf("happened %t: retractions %s", happened, rows[0])
		}
	}
}

// uncertain loses the connection in the COMMIT of some batches.
type uncertain struct {
	store.Store
	at       []int
	happened bool
	calls    int
}

func (u *uncertain) Apply(ctx context.Context, b store.Batch) (store.Applied, error) {
	u.calls++
	lost := &store.Error{Kind: store.Uncertain, Text: "the connection was lost"}
	if !slices.Contains(u.at, u.calls) {
		return u.Store.Apply(ctx, b)
	}
	if u.happened {
		if _, err := u.Store.Apply(ctx, b); err != nil {
			return store.Applied{}, err
		}
	}
	return store.Applied{}, lost
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

// TestStoppedUndoGoesOn: an undo that is stopped goes on where it was, and gives everything back once.
func TestStoppedUndoGoesOn(t *testing.T) {
	t.Parallel()
	s, d := newStore(t, 30)
	before := d.Touched(t)
	j, err := storetest.Sweep(context.Background(), storetest.Engine(s), weak(), tens)
	if err != nil {
		t.Fatal(err)
	}
	undo := func(pid int, halt func() error) (job.Job, error) {
		t.Helper()
		joined, err := s.Join(context.Background(), store.JoinParams{ID: j.ID, Undo: true, Worker: storetest.Worker("a test", pid)})
		if err != nil {
			t.Fatal(err)
		}
		engine := storetest.Engine(s)
		engine.Halt = halt
		return engine.Undo(context.Background(), joined, sweep.Work{BatchSize: 10, Pace: 1})
	}
	batches := 0
	half, err := undo(2, func() error {
		if batches++; batches == 2 {
			return &sweep.Stopped{Why: "halfway"}
		}
		return nil
	})
	if err == nil || half.State != job.Undoing || half.Counts.Restored != 20 {
		t.Fatalf("%+v, %v", half, err)
	}
	whole, err := undo(3, func() error { return nil })
	if err != nil || whole.State != job.Undone || whole.Counts.Restored != 30 || whole.Counts.LeftAlone != 0 {
		t.Fatalf("%+v, %v", whole, err)
	}
	if diff := cmp.Diff(before, d.Touched(t)); diff != "" {
		t.Errorf("(-before the sweep +after the undo):\n%s", diff)
	}
}

// TestUndoReadsAhead: the next changes are read while those before them are taken back, and no longer than the undo lasts.
func TestUndoReadsAhead(t *testing.T) {
	t.Parallel()
	ctx, done := context.WithTimeout(context.Background(), time.Minute) // only where it hangs
	defer done()
	s, _ := newStore(t, 30)
	s.tuning = &store.Tuning{RangeSize: 10, BatchSize: 10, Target: time.Hour, ReadersDontBlockWriters: true}
	j, err := storetest.Sweep(ctx, storetest.Engine(s), weak(), tens)
	if err != nil {
		t.Fatal(err)
	}
	undo := func(pid int, of *readsAhead, halt error) (job.Job, error) {
		t.Helper()
		of.Store, of.asked = s, make(chan struct{}, 10)
		joined, err := s.Join(ctx, store.JoinParams{ID: j.ID, Undo: true, Worker: storetest.Worker("a test", pid)})
		if err != nil {
			t.Fatal(err)
		}
		engine := storetest.Engine(of)
		engine.Halt = func() error { return halt }
		return engine.Undo(ctx, joined, sweep.Work{BatchSize: 10, Pace: 1})
	}
	halted := &readsAhead{hang: true}
	stopped := &sweep.Stopped{Why: "after one"}
	if part, err := undo(2, halted, stopped); !errors.Is(err, stopped) || part.Counts.Restored != 10 || halted.left != 0 {
		t.Fatalf("%+v, %v, %d still read", part, err, halted.left)
	}
	if more, err := undo(3, &readsAhead{}, stopped); !errors.Is(err, stopped) || more.Counts.Restored != 20 {
		t.Fatalf("%+v, %v", more, err)
	}
	s.tuning.ReadersDontBlockWriters = false
	apart := &readsAhead{alone: true}
	if whole, err := undo(4, apart, nil); err != nil || whole.Counts.Restored != 30 || apart.beside {
		t.Errorf("%+v, %v, read beside a write: %t", whole, err, apart.beside)
	}
}

// readsAhead takes changes back once the next ones are being read, which may hang.
type readsAhead struct {
	store.Store
	hang    bool
	alone   bool // nothing is to be read while changes are taken back
	beside  bool // and was
	asked   chan struct{}
	reading atomic.Int32
	calls   int
	left    int32 // how many read when the job was left
}

func (r *readsAhead) Leave(ctx context.Context, l store.Lease, to job.State, reason string) (job.Job, error) {
	r.left = r.reading.Load()
	return r.Store.Leave(ctx, l, to, reason)
}

func (r *readsAhead) Changes(ctx context.Context, p store.ChangesParams) (store.Changes, error) {
	r.reading.Add(1)
	defer r.reading.Add(-1)
	if r.calls++; r.calls > 1 {
		r.asked <- struct{}{}
		if r.hang {
			<-ctx.Done()
			return store.Changes{}, ctx.Err()
		}
	}
	return r.Store.Changes(ctx, p)
}

func (r *readsAhead) Restore(ctx context.Context, p store.RestoreParams) (store.Restored, error) {
	if r.alone {
		done, err := r.Store.Restore(ctx, p)
		r.beside = r.beside || len(r.asked) > 0
		return done, err
	}
	select {
	case <-r.asked:
		return r.Store.Restore(ctx, p)
	case <-ctx.Done():
		return store.Restored{}, ctx.Err()
	}
}

// TestUncertainClaimIsLookedUp: a claim that may have been made is looked up. A claim that no process knows of would keep
// the job from ever being finished.
func TestUncertainClaimIsLookedUp(t *testing.T) {
	t.Parallel()
	for _, happened := range []bool{true, false} {
		s, _ := newStore(t, 30)
		s.tuning = &store.Tuning{RangeSize: 7, BatchSize: 10, Target: time.Hour}
		unsure := &uncertainClaims{Store: s, happened: happened}
		j, err := storetest.Sweep(context.Background(), storetest.Engine(unsure), weak(), tens)
		if err != nil || j.State != job.Done || j.Counts.Examined != 30 || j.Counts.Decayed != 30 {
			t.Fatalf("happened %t: %+v, %v", happened, j, err)
		}
	}
}

// uncertainClaims loses the connection in the COMMIT of every other claim, and of every first Finish.
type uncertainClaims struct {
	store.Store
	happened         bool
	claims, finishes int
}

func (u *uncertainClaims) Claim(ctx context.Context, l store.Lease, size int) (c store.Claim, err error) {
	if u.claims++; u.claims%2 == 0 {
		return u.Store.Claim(ctx, l, size)
	}
	if u.happened {
		if c, err = u.Store.Claim(ctx, l, size); err != nil {
			return c, err
		}
	}
	return c, &store.Error{Kind: store.Uncertain, Text: "the connection was lost"}
}

func (u *uncertainClaims) Finish(ctx context.Context, l store.Lease) (job.Job, bool, error) {
	if u.finishes++; u.finishes > 1 {
		return u.Store.Finish(ctx, l)
	}
	if u.happened {
		if _, _, err := u.Store.Finish(ctx, l); err != nil {
			return job.Job{}, false, err
		}
	}
	return job.Job{}, false, &store.Error{Kind: store.Uncertain, Text: "the connection was lost"}
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

// TestUndoLeavesOutRefusedFacts: a fact that the database refuses to restore does not hold up the others,
// nor the undo.
func TestUndoLeavesOutRefusedFacts(t *testing.T) {
	t.Parallel()
	s, d := newStore(t, 30)
	j, err := storetest.Sweep(context.Background(), storetest.Engine(s), weak(), tens)
	if err != nil {
		t.Fatal(err)
	}
	joined, err := s.Join(context.Background(), store.JoinParams{ID: j.ID, Undo: true, Worker: storetest.Worker("a test", 2)})
	if err != nil {
		t.Fatal(err)
	}
	undone, err := storetest.Engine(refuseToRestore{s}).Undo(context.Background(), joined, sweep.Work{BatchSize: 10, Pace: 1})
	c := undone.Counts
	if err != nil || undone.State != job.Undone || c.Restored != 29 || c.LeftAlone != 1 || c.FailedCount != 1 || c.Failed[0].FactID != "017" {
		t.Fatalf("%+v, %v", undone, err)
	}
	if rows := d.Rows(t, "SELECT fact_id FROM fact_validity_overrides"); len(rows) != 1 || rows[0] != "017" {
		t.Errorf("left: %v", rows)
	}
}

type refuseToRestore struct{ store.Store }

func (r refuseToRestore) Restore(ctx context.Context, p store.RestoreParams) (store.Restored, error) {
	for _, c := range p.Changes.List {
		if c.FactID == "017" {
			return store.Restored{}, &store.Error{Kind: store.Rejected, Text: "a trigger says no"}
		}
	}
	return r.Store.Restore(ctx, p)
}
