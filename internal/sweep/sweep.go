// Package sweep is the engine: it walks a store in id order, judges each fact and has the stale
// ones expired, batch by batch. It knows no database and no terminal; progress leaves it as values.
package sweep

import (
	"context"
	"time"

	"decayctl/internal/rule"
	"decayctl/internal/store"
)

// Params are what one sweep is to do.
type Params struct {
	Rules   rule.Set
	AsOf    time.Time // the instant to judge by; microseconds
	Stamp   time.Time // updated_at of what is written; whole seconds
	Scope   string    // "" is every scope
	Tenant  string    // "" is every tenant
	DryRun  bool      // judge and count, write nothing
	Samples int       // selected facts to report one by one

	MaxExpire *rule.Limit // refuse before the first write to expire more than this; nil is no limit
	BatchSize int         // facts per transaction; 0 adapts it to the store's target
	Pace      float64     // share of the time that writes may hold their locks, above 0; 1 is flat out
}

// Engine is a store and the things a sweep must not reach for by itself.
type Engine struct {
	Store      store.Store
	Sleep      func(context.Context, time.Duration) error
	Retraction func() string  // a new id for the retraction log
	Progress   func(Progress) // called after every batch and before every pause
}

// Progress is how far a sweep has come. All numbers belong to one moment.
type Progress struct {
	Phase    Phase
	Examined int64
	Total    int64 // an estimate, never below Examined
	Selected int64
	Decayed  int64
}

// Phase is what a sweep is doing.
type Phase string

// The phases, as progress lines show them.
const (
	Counting Phase = "counting" // before the first write, for Params.MaxExpire
	Sweeping Phase = "sweeping"
	Pausing  Phase = "pausing"  // for Params.Pace
	Retrying Phase = "retrying" // after a deadlock or a serialization failure
)

// Run does one sweep, or the dry run of one. Where it returns an error, the result still says what
// was done before: batches are committed whole, so every number in it is true. Run again to go on.
func (e *Engine) Run(ctx context.Context, p Params) (*Result, error) {
	total, err := e.Store.Estimate(ctx)
	if err != nil {
		return newResult(p, total), err
	}
	if p.MaxExpire != nil && !p.DryRun {
		counting := p
		counting.DryRun, counting.Samples = true, 0
		counted, err := e.judged(ctx, counting, total, Counting)
		if err != nil {
			return newResult(p, total), err
		}
		if err := checkLimit(*p.MaxExpire, counted.Selected, counted.Live); err != nil {
			return newResult(p, total), err
		}
	}
	if p.DryRun {
		return e.judged(ctx, p, total, Sweeping)
	}
	return e.pass(ctx, p, total, Sweeping)
}

// judged is a pass that writes nothing, repeated if the store changed under an unlocked read.
func (e *Engine) judged(ctx context.Context, p Params, total int64, phase Phase) (*Result, error) {
	for {
		result, err := e.pass(ctx, p, total, phase)
		if ctx.Err() != nil {
			return result, err
		}
		// Asked after a failure too: half-changed pages can look like damage.
		settled, settleErr := e.Store.Settled(ctx)
		if settled || settleErr != nil {
			if err == nil {
				err = settleErr
			}
			return result, err
		}
	}
}

// pass walks the store once. Reading runs one range ahead of writing; the channel holds nothing
// more, so memory does not grow with the store.
func (e *Engine) pass(ctx context.Context, p Params, total int64, phase Phase) (*Result, error) {
	ctx, stop := context.WithCancel(ctx)
	ranges := make(chan judgedRange)
	defer func() {
		stop()
		for range ranges { // until the reader has let go of the store
		}
	}()
	go func() {
		defer close(ranges)
		e.read(ctx, p, ranges)
	}()

	w := writer{Engine: e, params: p, tuning: e.Store.Tuning(), result: newResult(p, total), phase: phase}
	w.size = p.BatchSize
	if w.size == 0 {
		w.size = w.tuning.BatchSize
	}
	for r := range ranges {
		if r.err != nil {
			return w.result, r.err
		}
		if err := w.handle(ctx, r); err != nil {
			return w.result, err
		}
	}
	return w.result, ctx.Err()
}
