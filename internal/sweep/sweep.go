// Package sweep is the engine: it walks a store in id order, judges each fact and has the stale
// ones expired, batch by batch, as the work of a job. It knows no database and no terminal; progress
// leaves it as values.
package sweep

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"decayctl/internal/fact"
	"decayctl/internal/job"
	"decayctl/internal/plan"
	"decayctl/internal/rule"
	"decayctl/internal/store"
)

// Params say how facts are judged, and which.
type Params struct {
	Rules   rule.Set
	AsOf    time.Time // the instant to judge by; microseconds
	Stamp   time.Time // of the job's own overrides; zero where there is no job
	Scope   string    // "" is every scope
	Tenant  string    // "" is every tenant
	Samples int       // selected facts to show one by one
	Ahead   int       // days that a collector forecasts: of each fact that keep_last may keep by then, find out its rank
	Live    bool      // read all facts not expired by now, and count them too

	// Now is the instant of the work by the store's clock: an expiry that has passed by then stays as it is. If it is zero,
	// the engine reads the clock.
	Now time.Time

	reviewed *plan.Reviewed // the only facts to change; nil is all that the rules select
	every    bool           // facts that no rule concerns are wanted too
	write    bool           // the facts are going to be written, and are packed
}

// ParamsOf say how a job judges.
func ParamsOf(j job.Job) Params {
	return Params{Rules: j.Rules, AsOf: j.AsOf, Stamp: j.Stamp, Scope: j.Scope, Tenant: j.Tenant}
}

// Work says how to go about a job. It is this process's choice, not the job's.
type Work struct {
	Workers      int           // that sweep at once, 1 or more
	BatchSize    int           // facts per transaction; 0 adapts it to the store's target
	Pace         float64       // share of the time that writes may hold their locks, above 0; 1 is flat out
	MaxLag       time.Duration // how far a replica may be behind before the next batch; 0 is any time
	Irreversible bool          // write facts also where a trigger keeps an undo from finding them
	MaxRate      float64       // facts to write per second, at most, by all workers of this process; 0 is any number
}

// Engine is a store and the things a sweep must not reach for by itself.
type Engine struct {
	Store    store.Store
	Sleep    func(context.Context, time.Duration) error
	Progress func(Progress)   // called after every batch and before every pause, by one goroutine at a time
	Note     func(why string) // told once why the work waits for something that may take long
	Halt     func() error     // asked between batches; an error ends the work there, with the job paused
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
	Counting Phase = "counting" // before the first write
	Sweeping Phase = "sweeping"
	Pausing  Phase = "pausing"  // for Work.Pace
	Retrying Phase = "retrying" // after a deadlock, a serialization failure or a lost connection
	Waiting  Phase = "waiting"  // for other processes to finish what they have claimed
	Lagging  Phase = "waiting for a replica"
	Undoing  Phase = "undoing"
	Locked   Phase = "waiting for a lock"
)

// Preview judges everything and writes nothing. Each collector gets all facts that the store hands over.
func (e *Engine) Preview(ctx context.Context, p Params, with ...Collector) (*Result, error) {
	p, err := e.Clocked(ctx, p)
	if err != nil {
		return newResult(0), err
	}
	return e.judge(ctx, p, Sweeping, with...)
}

// Clocked is p with the time by the store's clock, unless p has it already. A collector that judges by itself needs the
// instant by which the engine judges.
func (e *Engine) Clocked(ctx context.Context, p Params) (Params, error) {
	if !p.Now.IsZero() {
		return p, nil
	}
	err := e.retry(ctx, func() (err error) {
		p.Now, err = e.Store.Now(ctx)
		return err
	})
	return p, err
}

// Sweep works on a job until it is done, and returns it as it is then. Where it returns an error, the
// job says how it was left: nothing of it is lost, and nothing is to be done twice. Errors of its own:
// *Refused, *Stopped and *job.Lost.
func (e *Engine) Sweep(ctx context.Context, in store.Joined, w Work) (job.Job, error) {
	return e.withLease(ctx, in, func(ctx context.Context) (job.Job, error) {
		p, err := e.Clocked(ctx, ParamsOf(in.Job))
		if err != nil {
			return in.Job, err
		}
		if p.reviewed, err = e.allow(ctx, in, p); err != nil {
			return in.Job, err
		}
		counts, err := e.prescan(ctx, in, p)
		if err != nil {
			return in.Job, err
		}
		b := &progress{Engine: e, total: in.Job.Total, workers: w.Workers, counts: counts, taken: counts.Examined, lease: in.Lease, maxLag: w.MaxLag}
		for {
			workers, workCtx := errgroup.WithContext(ctx)
			for range w.Workers {
				workers.Go(func() error { return newWorker(b, in, w).run(workCtx, p) })
			}
			if err := workers.Wait(); err != nil {
				if store.Is(err, store.Irreversible) && b.counts.Decayed == 0 {
					err = &Refused{Text: err.Error()}
				}
				return in.Job, err
			}
			j, done, err := e.finish(ctx, in.Lease)
			if err != nil || done {
				return j, err
			}
			// Others have claims. They finish them, or die and leave them to be claimed again.
			b.show(Waiting)
			if err := e.Sleep(ctx, others); err != nil {
				return j, err
			}
		}
	})
}

const others = 200 * time.Millisecond // between looks at what other processes have left to do

// finish closes the job, if nobody has anything left to do for it.
func (e *Engine) finish(ctx context.Context, l store.Lease) (j job.Job, done bool, err error) {
	err = e.retry(ctx, func() (err error) {
		j, done, err = e.Store.Finish(ctx, l)
		return again(err)
	})
	return j, done, err
}

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
	// Another process may have been the one to finish it, or this one, in a COMMIT that seemed lost.
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

const leaving = 10 * time.Second // to write down how a job was left, when it may already be too late

// release gives the job up as the error demands: paused where somebody wanted it to stop, failed where
// something went wrong. A job that is lost is somebody else's by now and is not touched.
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
	ctx, done := context.WithTimeout(context.WithoutCancel(ctx), leaving)
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

// judge is a pass that writes nothing, repeated if the store changed under an unlocked read.
func (e *Engine) judge(ctx context.Context, p Params, phase Phase, with ...Collector) (*Result, error) {
	p.every = len(with) > 0
	total, err := e.Store.Estimate(ctx)
	if err != nil {
		return newResult(total), err
	}
	for {
		var result *Result
		seen, err := e.pass(ctx, p, func(bool) (use func(piece) error) {
			result, use = e.counting(p, total, phase, with)
			return use
		})
		result.Examined = max(result.Examined, int64(seen.Facts))
		if ctx.Err() != nil {
			return result, err
		}
		// Asked after a failure too: half-changed pages can look like damage.
		unchanged, checkErr := store.Unchanged(ctx, e.Store)
		if unchanged || checkErr != nil {
			if err == nil {
				err = checkErr
			}
			return result, err
		}
	}
}

// pass judges the store once: all of it in one go where the store has a way that is faster, else, or where
// that fails, range by range. A long read is ended by more than what ends short ones: a standby's
// replication, a limit on time or on temporary files. begin is told which way it is, before every attempt,
// and gives what to do with each part; of a store read in one go, some facts may be counted in the end alone.
func (e *Engine) pass(ctx context.Context, p Params, begin func(whole bool) func(piece) error) (store.Range, error) {
	var refused error // by the use of a part: no other way would help
	use := begin(true)
	seen, whole, err := e.passWhole(ctx, p, func(r piece) error {
		refused = use(r)
		return refused
	})
	switch {
	case whole && err == nil:
		return seen, nil
	case ctx.Err() != nil:
		return seen, errors.Join(err, ctx.Err())
	case refused != nil:
		return seen, refused
	}
	seen, use = store.Range{}, begin(false)
	size := e.Store.Tuning().RangeSize
	err = e.readAhead(ctx, p, func() (store.Claim, error) {
		r, err := e.Store.NextRange(ctx, store.RangeParams{After: seen.Last, Size: size})
		if err == nil && !r.End() {
			seen.Last = r.Last
			seen.Facts += r.Facts
		}
		return store.Claim{Range: r}, err
	}, use)
	return seen, err
}

func (e *Engine) passWhole(ctx context.Context, p Params, use func(piece) error) (store.Range, bool, error) {
	judge := newDecider(e, p)
	return e.Store.ScanAll(ctx, p.candidates(), func(found []fact.Candidate, passed int) error {
		r := piece{}
		if err := judge.judge(ctx, &r, found); err != nil {
			return err
		}
		r.passed = passed
		return use(r)
	})
}

// counting begins a result, and gives what counts a range into it.
func (e *Engine) counting(p Params, total int64, phase Phase, with []Collector) (*Result, func(piece) error) {
	result := newResult(total)
	for _, c := range with {
		c.Begin()
	}
	return result, func(r piece) error {
		for _, f := range r.facts {
			result.judged(p, f)
			for _, c := range with {
				c.Collect(f.Candidate, f.Verdict)
			}
		}
		result.passed(r)
		e.Progress(progressOf(phase, result.Counts, total))
		return nil
	}
}

func progressOf(phase Phase, c job.Counts, total int64) Progress {
	return Progress{Phase: phase, Examined: c.Examined, Total: max(total, c.Examined), Selected: c.Selected, Decayed: c.Decayed}
}
