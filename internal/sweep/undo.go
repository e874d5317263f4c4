package sweep

import (
	"context"
	"fmt"

	"decayctl/internal/job"
	"decayctl/internal/ordered"
	"decayctl/internal/store"
)

// Undo takes a job back, and returns it as it is then. Like Sweep it may be stopped at any moment, and
// begun again.
func (e *Engine) Undo(ctx context.Context, in store.Joined, w Work) (job.Job, error) {
	w.Workers = 1 // an undo has one worker, which may use the whole rate
	return e.withLease(ctx, in, func(ctx context.Context, in store.Joined) (job.Job, error) {
		u := undo{engine: e, job: in.Job, lease: in.Lease, at: store.UndonePlace(in.Job), batches: newBatchSizer(e.Store.Tuning(), w), progress: &progress{
			engine: e, lease: in.Lease, maxLag: w.MaxLag, total: in.Job.Counts.Decayed, counts: job.Counts{Examined: in.Job.Counts.Restored},
		}}
		err := u.run(ctx)
		if err == nil {
			var j job.Job
			if j, _, err = e.finish(ctx, in.Lease, u.at); err == nil {
				return j, nil
			}
		}
		known := in.Job
		known.Counts.Restored = u.progress.known(in.Job).Counts.Examined
		return known, err
	})
}

// Undoable counts the facts that an undo of a job would restore. It writes nothing.
func (e *Engine) Undoable(ctx context.Context, j job.Job) (int64, error) {
	n := int64(0)
	err := e.changes(ctx, j, store.Cursor{}, func(c store.Changes) error {
		n += int64(len(c.List))
		return nil
	})
	return n, err
}

// Changes hands over what a job did to facts, in the order of ids. It leaves out facts that another process has changed
// since. An error of use ends it.
func (e *Engine) Changes(ctx context.Context, j job.Job, use func(job.Change) error) error {
	return e.changes(ctx, j, store.Cursor{}, func(c store.Changes) error {
		for _, change := range c.List {
			if err := use(change); err != nil {
				return err
			}
		}
		return nil
	})
}

// changes walks the overrides of a store range by range. It reads the next range while one is used, if reading does not keep
// other processes from writing.
func (e *Engine) changes(ctx context.Context, j job.Job, at store.Cursor, use func(store.Changes) error) error {
	tuning, goroutines := e.Store.Tuning(), 1
	if tuning.ReadersDontBlockWriters {
		goroutines = 2
	}
	p := store.ChangesParams{Job: j, After: at, Size: tuning.RangeSize}
	return ordered.Run(ctx, goroutines, func(ctx context.Context, t *ordered.Ticket) error {
		var found store.Changes
		more, err := t.Begin(func() (bool, error) {
			err := e.retry(ctx, func() (err error) {
				found, err = e.Store.Changes(ctx, p)
				return err
			})
			p.After = found.Last
			return found.Last.Set, err
		})
		if err != nil || !more {
			return err
		}
		if err := t.Wait(ctx); err != nil {
			return err
		}
		return use(found)
	})
}

// undo is one undo on its way.
type undo struct {
	engine   *Engine
	progress *progress
	job      job.Job
	lease    store.Lease
	batches  batchSizer
	at       store.Cursor // how far the job is undone

	refused int // facts that the database would not have restored
}

func (u *undo) run(ctx context.Context) error {
	return u.engine.changes(ctx, u.job, u.at, func(c store.Changes) error {
		for {
			batch, rest := upTo(c, u.batches.next())
			if err := u.restore(ctx, batch, job.Counts{}); err != nil {
				return err
			}
			if err := u.engine.Halt(); err != nil {
				return err
			}
			if c = rest; len(c.List) == 0 {
				return nil
			}
		}
	})
}

// upTo is at most so many changes, 1 or more, and the rest.
func upTo(c store.Changes, size int) (first, rest store.Changes) {
	if len(c.List) <= size {
		return c, store.Changes{Last: c.Last}
	}
	return store.Changes{List: c.List[:size], Last: store.After(c.List[size-1].FactID)}, store.Changes{List: c.List[size:], Last: c.Last}
}

// restore undoes one batch. If the connection is lost in its COMMIT, the same batch is tried again: what is restored
// already is not restored twice, and not counted twice. If the database refuses a row, halves find it; it is named in the
// counts, and the others are restored. leftOut counts facts that earlier batches had to leave out.
func (u *undo) restore(ctx context.Context, c store.Changes, leftOut job.Counts) error {
	var restored store.Restored
	err := u.engine.retry(ctx, func() error {
		err := u.progress.whileWaiting(func() (err error) {
			restored, err = u.engine.Store.Restore(ctx, store.RestoreParams{Lease: u.lease, Job: u.job, After: u.at, Changes: c, Count: leftOut})
			return repeatable(err)
		})
		if retriable(err) {
			u.progress.show(Retrying)
		}
		return err
	})
	switch n := len(c.List); {
	case err == nil:
		u.at = c.Last
		return u.progress.pause(ctx, Undoing, job.Counts{Examined: restored.Counts.Restored}, u.batches.pause(n, restored.Timing))
	case n == 0 || !store.Is(err, store.Contention) && !store.Is(err, store.Rejected):
		return err
	case n == 1:
		if u.refused++; u.refused > maxFailed {
			return fmt.Errorf("gave up after %d facts could not be restored; the last: %w", u.refused, err)
		}
		var one job.Counts
		one.AddFailure(c.List[0].FactID, "not restored: "+err.Error())
		return u.restore(ctx, store.Changes{Last: c.Last}, one)
	default:
		u.batches.halve()
		first, rest := upTo(c, n/2)
		if err := u.restore(ctx, first, job.Counts{}); err != nil {
			return err
		}
		return u.restore(ctx, rest, job.Counts{})
	}
}
