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
	return e.withLease(ctx, in, func(ctx context.Context) (job.Job, error) {
		u := undo{
			progress: &progress{
				Engine: e, total: in.Job.Counts.Decayed, counts: job.Counts{Examined: in.Job.Counts.Restored},
				lease: in.Lease, maxLag: w.MaxLag,
			},
			job: in.Job, pace: newBatchSizer(e, w),
		}
		if err := u.run(ctx); err != nil {
			return in.Job, err
		}
		j, _, err := e.finish(ctx, in.Lease)
		return j, err
	})
}

// Undoable counts the facts that an undo would give back. It writes nothing.
func (e *Engine) Undoable(ctx context.Context, j job.Job) (int64, error) {
	n := int64(0)
	err := e.changes(ctx, j, store.Cursor{}, func(c store.Changes) error {
		n += int64(len(c.List))
		return nil
	})
	return n, err
}

// Changes hands over, in id order, what a job did to facts and what nobody has changed since.
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

// changes walks the overrides of a store range by range. The next range is read while one is used, if readers and the
// writer of the store do not block each other.
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
	*progress
	job  job.Job
	pace batchSizer

	refused int // facts that the database would not have restored
}

func (u *undo) run(ctx context.Context) error {
	at := store.Cursor{ID: u.job.UndoneUpTo, Set: u.job.UndoneAny}
	return u.changes(ctx, u.job, at, func(c store.Changes) error {
		for {
			part := c
			if size := u.pace.next(); len(c.List) > size {
				part.List = c.List[:size]
				part.Last = store.After(part.List[len(part.List)-1].FactID)
			}
			if err := u.restore(ctx, part, job.Counts{}); err != nil {
				return err
			}
			if err := u.Halt(); err != nil {
				return err
			}
			c.List = c.List[len(part.List):]
			if len(c.List) == 0 {
				return nil
			}
		}
	})
}

// restore undoes one batch. Where the connection is lost in its COMMIT the same batch is tried again:
// what is restored already is not restored twice, and not counted twice. Where the database refuses a
// row, halves find it; it is named in the counts, and the others are restored.
func (u *undo) restore(ctx context.Context, c store.Changes, left job.Counts) error {
	var restored store.Restored
	err := u.retry(ctx, func() (err error) {
		defer u.watch()()
		restored, err = u.Store.Restore(ctx, store.RestoreParams{Lease: u.lease, Job: u.job, Changes: c, Count: left})
		err = again(err)
		if store.Is(err, store.Contention) || store.Is(err, store.Disconnected) {
			u.show(Retrying)
		}
		return err
	})
	switch n := len(c.List); {
	case err == nil:
		return u.rest(ctx, Undoing, job.Counts{Examined: restored.Counts.Restored}, u.pace.pause(n, restored.Timing))
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
		u.pace.halve()
		first := store.Changes{List: c.List[:n/2], Last: store.After(c.List[n/2-1].FactID)}
		if err := u.restore(ctx, first, job.Counts{}); err != nil {
			return err
		}
		return u.restore(ctx, store.Changes{List: c.List[n/2:], Last: c.Last}, job.Counts{})
	}
}
