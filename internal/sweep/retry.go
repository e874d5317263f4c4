package sweep

import (
	"context"
	"fmt"
	"time"

	"decayctl/internal/job"
	"decayctl/internal/store"
)

// Under contention four tries suffice, or smaller batches are needed.
const (
	contentionTries = 4
	contentionWait  = 50 * time.Millisecond
)

// A failover of a managed server takes up to two minutes. Short waits find the new primary before another process takes over.
// A command without a job loses nothing if it ends, and the operator is waiting for it.
const (
	connectionWait    = 250 * time.Millisecond
	longestWait       = 2 * time.Second
	longestDisconnect = 5 * time.Minute
	withoutJob        = 30 * time.Second
)

// retry repeats work that failed for contention, or for a connection that was lost before anything was committed, waiting longer
// each time. It gives up when the connection has been lost for longestDisconnect, for withoutJob if there is no job, or earlier if
// Halt says so.
func (e *Engine) retry(ctx context.Context, work func() error) error {
	var over <-chan time.Time
	contended, waited, wait := 0, time.Duration(0), time.Duration(0)
	longest, words := withoutJob, "30 seconds"
	if e.holdsJob.Load() {
		longest, words = longestDisconnect, "5 minutes"
	}
	for {
		err := work()
		if store.Is(err, store.Disconnected) || store.Is(err, store.Uncertain) {
			e.outage.Store(outageBeats)
		}
		switch {
		case store.Is(err, store.Contention):
			if contended++; contended == contentionTries {
				return err
			}
			wait = contentionWait << (contended - 1)
		case store.Is(err, store.Disconnected):
			if over == nil {
				timer := time.NewTimer(longest) // a server that is silent makes each try long
				defer timer.Stop()
				over = timer.C
				e.waiting.Add(1)
				defer e.connected()
			} else if e.told.CompareAndSwap(false, true) { // a new connection was lost too
				e.Note(fmt.Sprintf("%v; decayctl tries again for %s", err, words))
			}
			wait = min(max(2*wait, connectionWait), longestWait)
			if waited += wait; waited > longest || isOver(over) {
				return err
			}
			if err := e.Halt(); err != nil {
				return err
			}
		default:
			return err
		}
		if err := e.Sleep(ctx, wait); err != nil {
			return err
		}
	}
}

func isOver(timer <-chan time.Time) bool {
	select {
	case <-timer:
		return true
	default:
		return false
	}
}

// connected ends one wait for the store. After the last one, another outage is told of.
func (e *Engine) connected() {
	if e.waiting.Add(-1) == 0 {
		e.told.Store(false)
	}
}

// repeatable has retry repeat work whose COMMIT is uncertain. Only for work that is done once if it is done twice.
func repeatable(err error) error {
	if !store.Is(err, store.Uncertain) {
		return err
	}
	return &store.Error{Kind: store.Disconnected, Text: err.Error(), Err: err}
}

// retriable tells whether retry repeats work that failed so.
func retriable(err error) bool {
	return store.Is(err, store.Contention) || store.Is(err, store.Disconnected)
}

const maxFailed = 100 // facts that cannot be written, before a process gives up on a job

// write has the facts of a claim up to a cursor written, and returns what remains of the claim. Under
// contention the same work is tried again a few times, then in halves: a batch of the same size may
// never get through. Halves also find the fact that the database refuses, or that another process keeps locked;
// it is counted and named, and the others are written.
func (w *worker) write(ctx context.Context, claim store.Claim, facts []store.Decision, upTo store.Cursor) (store.Claim, error) {
	b := w.batch(claim, facts, upTo)
	applied, err := w.apply(ctx, &b)
	switch {
	case err == nil:
		if len(b.Expiries) > 0 {
			w.locked = 0
		}
		pause := w.batches.pause(len(b.Expiries), applied.Timing)
		w.claims.addTime(applied.Locked + applied.AfterCommit + pause)
		return b.Remaining(), w.progress.pause(ctx, Sweeping, applied.Counts, pause)
	case len(b.Expiries) == 0 || !w.divisible(err, len(facts)):
		return claim, err
	case len(facts) == 1:
		return w.leaveOut(ctx, b, err)
	}
	if !store.Is(err, store.Rejected) {
		w.batches.halve()
	}
	half := len(facts) / 2
	if claim, err = w.write(ctx, claim, facts[:half], store.After(facts[half-1].ID)); err != nil {
		return claim, err
	}
	return w.write(ctx, claim, facts[half:], upTo)
}

// divisible tells whether a smaller batch may succeed if this one of some facts failed. If two facts in a row were locked,
// another process has locked the table, and facts would be left out one by one.
func (w *worker) divisible(err error, facts int) bool {
	return store.Is(err, store.Contention) || store.Is(err, store.Rejected) ||
		store.Is(err, store.Busy) && w.engine.Store.Tuning().RowLocks && (w.locked == 0 || facts > 1)
}

// apply writes a batch, and finds out whether it did if the connection was lost in the COMMIT.
func (w *worker) apply(ctx context.Context, b *store.Batch) (applied store.Applied, err error) {
	for {
		err = w.engine.retry(ctx, func() error {
			err := w.progress.whileWaiting(func() (err error) {
				applied, err = w.engine.Store.Apply(ctx, *b)
				return err
			})
			if retriable(err) {
				b.Count.Retries++
				w.progress.show(Retrying)
			}
			return err
		})
		if !store.Is(err, store.Uncertain) {
			return applied, err
		}
		w.progress.show(Retrying)
		now, found, err := w.lookUp(ctx, b.Claim.Number)
		switch {
		case err != nil:
			return applied, err
		case !found && b.ClosesClaim, found && now.After == b.UpTo:
			return applied, nil // it was committed, and the next batch's counts tell of it
		case !found:
			return applied, &job.Lost{ID: w.job.ID, State: job.Running}
		}
	}
}

// leaveOut counts the one fact of a batch, which cannot be written, and names it in the counts.
func (w *worker) leaveOut(ctx context.Context, b store.Batch, cause error) (store.Claim, error) {
	if store.Is(cause, store.Busy) {
		w.locked++
	}
	d := b.Expiries[0].Decision
	b.Count.AddFact(d.Shared.Tenant, d.Verdict(), job.Refused)
	b.Count.AddFailure(d.ID, cause.Error())
	b.Expiries = nil
	applied, err := w.apply(ctx, &b)
	if err != nil {
		return b.Claim, err
	}
	w.progress.update(Sweeping, applied.Counts)
	if n := applied.Counts.FailedCount - w.job.Counts.FailedCount; n > maxFailed {
		return b.Claim, fmt.Errorf("gave up after %d facts could not be written; the last: %w", n, cause)
	}
	return b.Remaining(), nil
}

// claimNext claims facts. If the connection was lost in the COMMIT of a claim, it is looked up, and claimed anew only if
// it is not there: a claim that no worker knows would never be finished.
func (w *worker) claimNext(ctx context.Context, size int) (c store.Claim, err error) {
	err = w.progress.whileWaiting(func() (err error) {
		c, err = w.engine.Store.Claim(ctx, w.lease, size)
		return err
	})
	if !store.Is(err, store.Uncertain) {
		return c, err
	}
	if !c.End() {
		_, found, err := w.lookUp(ctx, c.Number)
		if err != nil || found {
			return c, err
		}
	}
	return store.Claim{}, repeatable(err)
}

// lookUp reads a claim of the worker's own again.
func (w *worker) lookUp(ctx context.Context, number int64) (c store.Claim, found bool, err error) {
	err = w.engine.retry(ctx, func() (err error) {
		c, found, err = w.engine.Store.LookupClaim(ctx, w.lease, number)
		return err
	})
	return c, found, err
}
