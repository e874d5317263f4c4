package sweep

import (
	"context"
	"fmt"
	"time"

	"decayctl/internal/rule"
	"decayctl/internal/store"
)

const (
	smallestBatch = 50
	largestBatch  = 50_000
	growth        = 1.2 // per batch, at most
	maxFailed     = 100 // facts that cannot be written, before the sweep gives up
)

// writer takes judged ranges to the store and counts what becomes of them.
type writer struct {
	*Engine
	params Params
	tuning store.Tuning
	result *Result
	phase  Phase
	size   int // facts in the next batch, at most
}

// handle counts a range and, unless this is a dry run, writes it. A batch covers all facts up to
// the last one in it, so that after every batch the counts are those of a place in the id order.
func (w *writer) handle(ctx context.Context, r judgedRange) error {
	defer func() { w.Progress(w.progress(w.phase)) }()
	if w.params.DryRun {
		for _, f := range r.facts {
			w.result.judged(w.params, f)
		}
		w.result.passed(r)
		return nil
	}
	for at := 0; at < len(r.facts); {
		batch, next := cut(r.facts[at:], w.size)
		if err := w.write(ctx, batch, r.Mark); err != nil {
			return err
		}
		at += next
		w.Progress(w.progress(w.phase))
	}
	w.result.passed(r)
	return nil
}

// cut takes facts from the front until size of them are to expire, and the kept ones between.
func cut(facts []judgedFact, size int) (batch []judgedFact, next int) {
	expiring := 0
	for next < len(facts) && (expiring < size || facts[next].Action == rule.Keep) {
		if facts[next].Action == rule.Expire {
			expiring++
		}
		next++
	}
	return facts[:next], next
}

// write has one batch written. Under contention the same work is tried again a few times, then in
// halves: a batch of the same size may never get through. Halves also find the fact that the
// database refuses; it is reported, and the others are written.
func (w *writer) write(ctx context.Context, facts []judgedFact, mark store.Mark) error {
	batch := store.Batch{AsOf: w.params.AsOf, Stamp: w.params.Stamp, Mark: mark}
	places := make([]int, 0, len(facts)) // of the batch's facts in facts
	for i, f := range facts {
		if f.Action != rule.Expire {
			continue
		}
		expiry := store.Expiry{Fact: f.Candidate}
		if f.Retracts() {
			expiry.Retraction = w.Retraction()
		}
		batch.Expiries = append(batch.Expiries, expiry)
		places = append(places, i)
	}
	var applied store.Applied
	if len(batch.Expiries) > 0 {
		err := w.retry(ctx, func() (err error) {
			if applied, err = w.Store.Apply(ctx, batch); store.Is(err, store.Contention) {
				w.result.Retries++
				w.Progress(w.progress(Retrying))
			}
			return err
		})
		if store.Is(err, store.Contention) || store.Is(err, store.Rejected) {
			return w.writeHalves(ctx, facts, mark, err)
		}
		if err != nil {
			return err
		}
	}
	changed := make(map[int]bool, len(applied.Changed))
	for _, i := range applied.Changed {
		changed[places[i]] = true
	}
	for i, f := range facts {
		w.result.written(w.params, f, changed[i])
	}
	return w.follow(ctx, applied, len(batch.Expiries))
}

func (w *writer) writeHalves(ctx context.Context, facts []judgedFact, mark store.Mark, cause error) error {
	if len(facts) > 1 {
		if store.Is(cause, store.Contention) && w.params.BatchSize == 0 {
			w.size = max(smallestBatch, w.size/2)
		}
		if err := w.write(ctx, facts[:len(facts)/2], mark); err != nil {
			return err
		}
		return w.write(ctx, facts[len(facts)/2:], mark)
	}
	w.result.fail(w.params, facts[0], cause)
	if w.result.FailedCount > maxFailed {
		return fmt.Errorf("gave up after %d facts could not be written; the last: %w", w.result.FailedCount, cause)
	}
	return nil
}

// follow sets the size of the next batch and lets the node's own writers in.
func (w *writer) follow(ctx context.Context, applied store.Applied, written int) error {
	if written == 0 {
		return ctx.Err()
	}
	w.result.Batches++
	w.result.LongestLock = max(w.result.LongestLock, applied.Locked)
	if w.params.BatchSize == 0 {
		w.size = w.adapt(written, applied.Locked)
	}
	if w.params.Pace >= 1 {
		return ctx.Err()
	}
	// Never shorter than the lock it follows: a writer that waited for one whole batch must find a
	// gap of its own length.
	pause := max(applied.Locked, time.Duration(float64(applied.Locked)*(1/w.params.Pace-1)))
	w.Progress(w.progress(Pausing))
	return w.Sleep(ctx, pause)
}

// adapt follows the target: down at once, up in small steps, and up only on the word of a batch
// that was full.
func (w *writer) adapt(written int, locked time.Duration) int {
	target := w.tuning.Target
	if w.params.Pace >= 1 {
		target *= 4 // flat out: fewer, larger transactions
	}
	if locked > target {
		return max(smallestBatch, w.size/2)
	}
	if written < w.size {
		return w.size
	}
	factor := min(growth, float64(target)/float64(max(locked, time.Millisecond)))
	return min(largestBatch, max(w.size, int(float64(w.size)*factor)))
}

func (w *writer) progress(phase Phase) Progress {
	r := w.result
	return Progress{
		Phase: phase, Examined: r.Examined, Total: max(r.Total, r.Examined),
		Selected: r.Selected, Decayed: r.Decayed,
	}
}
