// Package sweep is the engine: it claims ranges of a store in the order of ids, judges each fact and has the stale ones
// written in batches, as the work of a job. It knows no database and no terminal. Progress leaves it as values.
//
// A fact's way: scan.go reads, decide.go judges, decision.go keeps what a batch needs, worker.go and retry.go write, and
// pace.go says how much at once.
package sweep

import (
	"context"
	"sync/atomic"
	"time"

	"decayctl/internal/job"
	"decayctl/internal/plan"
	"decayctl/internal/rule"
	"decayctl/internal/store"
)

// Params say which facts are judged, and how.
type Params struct {
	Rules   rule.Set
	AsOf    time.Time // the instant to judge by, in microseconds
	Stamp   time.Time // updated_at of the job's own overrides; zero if there is no job
	Scope   string    // "" is every scope
	Tenant  string    // "" is every tenant
	Samples int       // selected facts to keep as samples, at most
	Ahead   int       // days that a collector forecasts: of each fact that keep_last may keep by then, find out its rank
	Live    bool      // read all facts not expired by now, and count them too

	// Now is the instant of the work by the store's clock: an expiry that has passed by then stays as it is. If it is zero,
	// the engine reads the clock.
	Now time.Time

	Reviewed *plan.Reviewed // the only facts to change; nil is all that the rules select
}

// ParamsOf say how a job judges.
func ParamsOf(j job.Job) Params {
	return Params{Rules: j.Rules, AsOf: j.AsOf, Stamp: j.Stamp, Scope: j.Scope, Tenant: j.Tenant}
}

// Work says how this process goes about a job. The job does not keep it: each resume may choose another.
type Work struct {
	Workers      int           // goroutines that sweep at once, 1 or more
	BatchSize    int           // facts per transaction; 0 adapts it to the store's target
	Pace         float64       // share of the time in which writes may hold their locks, above 0; 1 is without pauses
	MaxLag       time.Duration // how far a replica may be behind before the next batch; 0 is any time
	Irreversible bool          // write facts even if a trigger keeps an undo from finding them
	MaxRate      float64       // facts to write per second, at most, by all workers of this process; 0 is any number
}

// Connections is how many database connections the work uses at once, at most: each worker claims a range, reads one and
// reads or writes another, and the lease is renewed beside them.
func (w Work) Connections() int { return 3*max(1, w.Workers) + 1 }

// Engine is a store, and what a sweep may not do itself. No exported field may be nil.
type Engine struct {
	Store    store.Store
	Sleep    func(context.Context, time.Duration) error
	Progress func(Progress)   // called after every batch and before every pause, by one goroutine at a time
	Note     func(why string) // called once if the work waits for something that may take long, such as the server
	Halt     func() error     // called between batches, and between tries; an error ends the work there, a *Stopped with the job paused

	holdsJob atomic.Bool  // what fails may leave a job unfinished
	outage   atomic.Int32 // heartbeats until an outage is forgotten; a lease that is lost before then may be joined again
	waiting  atomic.Int32 // calls of retry that wait for the store
	told     atomic.Bool  // the operator knows of the wait
}

// Preview judges everything and writes nothing. Each collector gets all facts that the store hands over.
func (e *Engine) Preview(ctx context.Context, p Params, with ...Collector) (*Result, error) {
	return e.preview(ctx, p, Sweeping, with...)
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

// estimate is about how many facts the store has.
func (e *Engine) estimate(ctx context.Context) (n int64, err error) {
	err = e.retry(ctx, func() (err error) {
		n, err = e.Store.Estimate(ctx)
		return err
	})
	return n, err
}

// Sweep works on a job until it is done, and returns it as it is then. If it returns an error, the job says how it was left:
// nothing of it is lost, and nothing is to be done twice. Errors of its own: *Refused, *Stopped and *job.Lost.
func (e *Engine) Sweep(ctx context.Context, in store.Joined, w Work) (job.Job, error) {
	return e.withLease(ctx, in, func(ctx context.Context, in store.Joined) (job.Job, error) {
		p, err := e.Clocked(ctx, ParamsOf(in.Job))
		if err != nil {
			return in.Job, err
		}

		if p.Reviewed, err = e.allow(ctx, in, p); err != nil {
			return in.Job, err
		}
		counts, err := e.prescan(ctx, in, p)
		if err != nil {
			return in.Job, err
		}
		shared := &progress{
			engine: e, lease: in.Lease, maxLag: w.MaxLag, total: in.Job.Total, workers: w.Workers, counts: counts, claimed: counts.Examined,
		}
		for {
			if err := e.work(ctx, in, p, w, shared); err != nil {
				return shared.known(in.Job), err
			}
			j, done, err := e.finish(ctx, in.Lease, store.Cursor{})
			if err != nil {
				return shared.known(in.Job), err
			}
			if done {
				return j, nil
			}
			if j.OpenClaims > 0 {
				if err := e.retry(ctx, func() error { return repeatable(e.Store.ReleaseClaims(ctx, in.Lease)) }); err != nil {
					return j, err
				}
			}
			// Other processes have claims. They finish them, or die and leave them to be claimed again.
			shared.show(Waiting)
			if err := e.Sleep(ctx, finishInterval); err != nil {
				return j, err
			}
		}
	})
}

const finishInterval = 200 * time.Millisecond // between looks at what other processes have left to do
