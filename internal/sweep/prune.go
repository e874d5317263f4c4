package sweep

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"decayctl/internal/store"
)

// Prune removes the finished jobs that ended before an instant, with their before-images, in short transactions with pauses.
// It may be stopped or killed at any moment; the next Prune goes on. removed counts jobs. If a job cannot be removed, Prune
// removes the others and returns the error of the first such job.
func (e *Engine) Prune(ctx context.Context, before time.Time, w Work) (removed int64, err error) {
	p := pruner{engine: e, before: before}
	jobs := newBatchSizer(e.Store.Tuning(), w)
	err = e.Store.Prunable(ctx, before, func(ids []string) error {
		for len(ids) > 0 {
			part := ids[:min(len(ids), jobs.next())]
			ids = ids[len(part):]
			if err := p.jobs(ctx, &jobs, part); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		err = p.images(ctx, newBatchSizer(e.Store.Tuning(), w))
	}
	return p.removed, errors.Join(err, p.failed)
}

// pruner is one removal of old jobs on its way.
type pruner struct {
	engine  *Engine
	before  time.Time
	removed int64
	failed  error // of the first job that could not be removed
	refused int   // jobs that could not be removed
}

// jobs removes some jobs in one transaction. If the database refuses a job, or another process has it locked, halves find it.
func (p *pruner) jobs(ctx context.Context, pace *batchSizer, ids []string) error {
	var pruned store.Pruned
	err := p.engine.retry(ctx, func() (err error) {
		pruned, err = p.engine.Store.Prune(ctx, ids, p.before)
		return repeatable(err)
	})
	alone := store.Is(err, store.Rejected) || store.Is(err, store.Busy) && p.engine.Store.Tuning().RowLocks
	switch n := len(ids); {
	case err == nil:
		p.removed += int64(pruned.Rows)
		return p.engine.Sleep(ctx, pace.pause(pruned.Rows, pruned.Timing))
	case !alone:
		return err
	case n == 1:
		if p.failed == nil {
			p.failed = fmt.Errorf("job %s is not removed: %w", ids[0], err)
		}
		if p.refused++; p.refused > maxFailed {
			return fmt.Errorf("gave up after %d jobs could not be removed", p.refused)
		}
		return nil
	default:
		if err := p.jobs(ctx, pace, ids[:n/2]); err != nil {
			return err
		}
		return p.jobs(ctx, pace, ids[n/2:])
	}
}

// images removes the before-images of jobs that are gone. A killed Prune, or the node, may have left them.
func (p *pruner) images(ctx context.Context, pace batchSizer) error {
	ids, err := p.engine.Store.OrphanedJobs(ctx)
	for part := range slices.Chunk(ids, idsAtOnce) {
		for more := true; more && err == nil; {
			var forgotten store.Pruned
			size := pace.next()
			err = p.engine.retry(ctx, func() (err error) {
				forgotten, err = p.engine.Store.DeleteBeforeImages(ctx, part, size)
				return repeatable(err)
			})
			more = forgotten.Rows == size
			if err == nil {
				err = p.engine.Sleep(ctx, pace.pause(forgotten.Rows, forgotten.Timing))
			}
		}
	}
	return err
}

const idsAtOnce = 1_000 // jobs whose before-images one statement looks for
