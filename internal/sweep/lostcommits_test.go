package sweep_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"decayctl/internal/job"
	"decayctl/internal/store"
	"decayctl/internal/store/storetest"
	"decayctl/internal/sweep"
)

// losesCommits reports a batch as committed that it has not written, as a server does that fails over to an asynchronous
// standby after the COMMIT.
type losesCommits struct {
	store.Store
	batch, of int // which batch; how many there were
	finished  bool
}

func (l *losesCommits) loses() bool { l.of++; return l.of == l.batch }

func (l *losesCommits) Apply(ctx context.Context, b store.Batch) (store.Applied, error) {
	if l.loses() {
		l.finished = b.ClosesClaim
		return store.Applied{}, nil
	}
	return l.Store.Apply(ctx, b)
}

func (l *losesCommits) Restore(ctx context.Context, p store.RestoreParams) (store.Restored, error) {
	if l.loses() {
		return store.Restored{}, nil
	}
	return l.Store.Restore(ctx, p)
}

// TestLostCommits: the server loses any one batch of a sweep, then of its undo. The process goes on if it can tell what is
// left to do. Else it ends, and the next one does all that is left. No fact is left out.
func TestLostCommits(t *testing.T) {
	t.Parallel()
	const facts, batches = 30, 6
	next := storetest.Worker("a test", 2)
	next.Gone = func(job.Owner) bool { return true } // each process ends before the next one begins
	wentOn, ended := 0, 0
	for lost := 1; lost <= batches; lost++ {
		s, d := newStore(t, facts)
		s.tuning = &store.Tuning{RangeSize: 10, BatchSize: 5, Target: time.Hour}
		unreliable := &losesCommits{Store: s, batch: lost}
		work := sweep.Work{Workers: 1, BatchSize: 5, Pace: 1}
		j, err := storetest.Sweep(t.Context(), impatient(unreliable), weak(), work)
		if err == nil {
			wentOn++
		} else {
			if ended++; !sweep.IsLost(err) || unreliable.finished {
				t.Fatalf("batch %d: %+v, %v", lost, j, err)
			}
			joined, failed := s.Join(t.Context(), store.JoinParams{ID: j.ID, Worker: next})
			if failed != nil {
				t.Fatal(failed)
			}
			j, err = storetest.Engine(s).Sweep(t.Context(), joined, work)
		}
		if err != nil || j.State != job.Done || j.Counts.Decayed != facts || j.Counts.Examined != facts {
			t.Errorf("batch %d: %+v, %v", lost, j, err)
		}
		unreliable.of = 0
		undo := func() error {
			joined, err := s.Join(t.Context(), store.JoinParams{ID: j.ID, Undo: true, Worker: next})
			if err == nil {
				j, err = impatient(unreliable).Undo(t.Context(), joined, work)
			}
			return err
		}
		if err := undo(); !sweep.IsLost(err) {
			t.Errorf("batch %d of the undo: %+v, %v", lost, j, err)
		}
		if err := undo(); err != nil || j.State != job.Undone || j.Counts.Restored != facts {
			t.Errorf("batch %d of the undo, gone on with: %+v, %v", lost, j, err)
		}
		if left := d.Rows(t, "SELECT fact_id FROM fact_validity_overrides"); len(left) > 0 {
			t.Errorf("batch %d of the undo: not restored: %v", lost, left)
		}
	}
	if wentOn == 0 || ended == 0 {
		t.Errorf("%d sweeps went on, %d ended", wentOn, ended)
	}
}

// impatient is an engine that does not wait for ever.
func impatient(s store.Store) *sweep.Engine {
	engine, naps := storetest.Engine(s), 0
	engine.Sleep = func(ctx context.Context, _ time.Duration) error {
		if naps++; naps > 100 {
			return errors.New("it waits for ever")
		}
		return ctx.Err()
	}
	return engine
}
