package sweep

import (
	"context"
	"errors"
	"time"

	"decayctl/internal/job"
	"decayctl/internal/store"
)

// withLease keeps the lease while work goes on, and leaves the job in good order if it does not end well.
func (e *Engine) withLease(ctx context.Context, in store.Joined, work func(context.Context) (job.Job, error)) (job.Job, error) {
	held, cancel := context.WithCancelCause(ctx)
	beating := make(chan struct{})
	go func() {
		defer close(beating)
		e.heartbeat(held, in.Lease, cancel)
	}()
	j, err := work(held)
	if lost := (*job.Lost)(nil); errors.As(context.Cause(held), &lost) && err != nil {
		err = lost // it came from the heartbeat, and has ended everything else
	}
	cancel(nil)
	<-beating
	// Another process may have finished the job, or this one, in a COMMIT that seemed lost.
	if lost := (*job.Lost)(nil); errors.As(err, &lost) && (lost.State == job.Done || lost.State == job.Failed || lost.State == job.Undone) {
		return e.Store.Find(ctx, in.Job.ID)
	}
	if err == nil {
		return j, nil
	}
	return e.release(ctx, in, err)
}

// heartbeat renews the lease beside the work, which may be waiting for a lock, pausing or counting for
// longer than a lease lasts. It is also how a pause or a cancel reaches a process that is waiting.
func (e *Engine) heartbeat(ctx context.Context, l store.Lease, cancel context.CancelCauseFunc) {
	ticks := time.NewTicker(max(l.Time/4, time.Millisecond))
	defer ticks.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
			err := e.Store.Renew(ctx, l)
			if lost := (*job.Lost)(nil); errors.As(err, &lost) {
				cancel(lost)
				return
			}
			// Anything else, such as a lock held by another process, is tried again at the next tick.
		}
	}
}

const releaseTimeout = 10 * time.Second // to write down how a job was left, when it may already be too late

// release gives the job up as the error demands: paused if the operator or a limit stopped it, failed if
// something went wrong. A job that is lost belongs to another process by now and is not touched.
func (e *Engine) release(ctx context.Context, in store.Joined, why error) (job.Job, error) {
	to, reason := job.Failed, why.Error()
	var lost *job.Lost
	var stopped *Stopped
	var refused *Refused
	switch {
	case errors.As(why, &refused):
		to = job.Cancelled
	case errors.As(why, &stopped):
		to = job.Paused
	case ctx.Err() != nil:
		to, reason = job.Paused, context.Cause(ctx).Error()
	}
	ctx, done := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer done()
	var left job.Job
	var err error
	if errors.As(why, &lost) {
		left, err = e.Store.Find(ctx, in.Job.ID)
	} else {
		left, err = e.Store.Leave(ctx, in.Lease, to, reason)
	}
	switch {
	case store.Is(err, store.Disconnected), store.Is(err, store.Busy), errors.Is(err, context.DeadlineExceeded):
		return in.Job, why // it stays as it is, and the next process finds it dead
	case err != nil:
		return in.Job, errors.Join(why, err)
	}
	return left, why
}

// finish closes the job, if no process has anything left to do for it.
func (e *Engine) finish(ctx context.Context, l store.Lease, undone store.Cursor) (j job.Job, done bool, err error) {
	err = e.retry(ctx, func() (err error) {
		j, done, err = e.Store.Finish(ctx, l, undone)
		return repeatable(err)
	})
	return j, done, err
}
