package sweep_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"decayctl/internal/job"
	"decayctl/internal/store"
	"decayctl/internal/store/storetest"
	"decayctl/internal/sweep"
)

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
