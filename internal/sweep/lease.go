package sweep

import (
	"context"
	"errors"
	"time"

	"decayctl/internal/job"
	"decayctl/internal/store"
)

// withLease has work done on a job that this process has joined. If the connection was lost for so long that the lease has
// ended, or a failover has lost commits of this process, it joins the job again.
func (e *Engine) withLease(ctx context.Context, in store.Joined, work func(context.Context, store.Joined) (job.Job, error)) (job.Job, error) {
	e.holdsJob.Store(true)
	for {
		j, err := e.onLease(ctx, in, work)
		lost := (*job.Lost)(nil)
		if !errors.As(err, &lost) || lost.State != in.Job.State || e.outage.Swap(0) == 0 {
			return j, err
		}
		switch again := e.rejoin(ctx, &in); {
		case again == nil:
		case IsLost(again): // another process has paused, cancelled or ended the job
			return e.release(ctx, in.Lease, j, again)
		default:
			return j, err // says how to go on
		}
	}
}

// rejoin joins a job again whose lease was lost in an outage. Errors of its own: *job.Lost, if the job has left its state.
func (e *Engine) rejoin(ctx context.Context, in *store.Joined) error {
	who, gone := in.Worker, in.Worker.Gone
	// What this process was in the job is gone: its goroutines have ended.
	who.Gone = func(o job.Owner) bool { return o == who.Owner || gone(o) }
	var again store.Joined
	err := e.retry(ctx, func() (err error) {
		again, err = e.Store.Join(ctx, store.JoinParams{ID: in.Job.ID, Undo: in.Job.State == job.Undoing, Again: true, Worker: who})
		return repeatable(err)
	})
	if err == nil {
		again.Worker = in.Worker
		*in = again
	}
	return err
}

// onLease keeps the lease while work goes on, and leaves the job in good order if it does not end well. With an error, work
// returns the job as this process knows it.
func (e *Engine) onLease(ctx context.Context, in store.Joined, work func(context.Context, store.Joined) (job.Job, error)) (job.Job, error) {
	held, cancel := context.WithCancelCause(ctx)
	beating := make(chan struct{})
	go func() {
		defer close(beating)
		e.heartbeat(held, in.Lease, cancel)
	}()
	j, err := work(held, in)
	if lost := (*job.Lost)(nil); errors.As(context.Cause(held), &lost) && err != nil {
		err = lost // it came from the heartbeat, and has ended everything else
	}
	cancel(nil)
	<-beating
	if err == nil {
		return j, nil
	}
	return e.release(ctx, in.Lease, j, err)
}

// outageBeats is how many heartbeats must succeed after an outage before it is forgotten. The lease may be renewed before a worker
// finds out that its claim is gone.
const outageBeats = 2

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
			switch n := e.outage.Load(); {
			case store.Is(err, store.Disconnected):
				e.outage.Store(outageBeats)
			case err == nil && n > 0 && e.waiting.Load() == 0:
				e.outage.CompareAndSwap(n, n-1)
			}
			// Anything else, such as a lock held by another process, is tried again at the next tick.
		}
	}
}

const releaseTimeout = 10 * time.Second // to write down how a job was left, when it may already be too late

// release gives the job up as the error demands: paused if the operator or a limit stopped it, failed if
// something went wrong. A job that is lost belongs to another process by now and is not touched. If the store cannot be
// reached, known is returned.
func (e *Engine) release(ctx context.Context, l store.Lease, known job.Job, why error) (job.Job, error) {
	to, reason := job.Failed, why.Error()
	var lost *job.Lost
	// Another process may have finished the job, or this one, in a COMMIT that seemed lost.
	if errors.As(why, &lost) && (lost.State == job.Done || lost.State == job.Failed || lost.State == job.Undone) {
		return e.Store.Find(ctx, l.JobID)
	}
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
		left, err = e.Store.Find(ctx, l.JobID)
	} else {
		left, err = e.Store.Leave(ctx, l, to, reason)
	}
	switch {
	case store.Is(err, store.Disconnected), store.Is(err, store.Busy), errors.Is(err, context.DeadlineExceeded),
		store.Is(err, store.Unusable) && store.Is(why, store.Unusable): // the same reason
		return known, why // it stays as it is, and the next process finds it dead
	case err != nil:
		return known, errors.Join(why, err)
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
