package sweep

import (
	"context"
	"time"

	"decayctl/internal/fact"
	"decayctl/internal/job"
	"decayctl/internal/rule"
	"decayctl/internal/store"
)

// judgedRange is a key range, read and judged.
type judgedRange struct {
	store.Claim
	facts  []judgedFact // in any order; only those with something to count or to do
	packed packed       // the same in id order, where they are to be written
	open   []judgedFact // whose verdicts turn on more than was read so far
	live   int64        // facts not expired at as-of, where Params ask for them
	err    error        // the end: nothing comes after it
}

type judgedFact struct {
	*fact.Candidate
	rule.Verdict
}

// addKept counts why a fact of a tenant is kept, and what policies in mode dry_run would do with it.
func addKept(c *job.Counts, v rule.Verdict, tenant string) {
	c.AddAside(v.Aside)
	if v.Kept != "" {
		c.AddKept(v.Kept, tenant)
	}
}

// aheadBy is how many ranges are read at once: the one that is waited for and the next, or, while one is
// used, the next. Two make a pass that only reads twice as fast on two cores; more would only take memory.
const aheadBy = 2

// ahead hands ranges to use, in order, and has the next one read meanwhile. No more of them are held, so
// memory does not grow with the store. next is asked by one goroutine at a time, and gives a range without
// a Last at the end.
func (e *Engine) ahead(ctx context.Context, p Params, next func() (store.Claim, error), use func(judgedRange) error) error {
	ctx, stop := context.WithCancel(ctx)
	reading := make(chan chan judgedRange, aheadBy-1)
	defer func() {
		stop()
		for r := range reading { // until the readers have let go of the store
			<-r
		}
	}()
	judges := make(chan *judging, aheadBy) // those that are not at work
	for range aheadBy {
		judges <- newJudging(e, p)
	}
	go func() {
		defer close(reading)
		for {
			r := judgedRange{}
			r.err = e.retry(ctx, func() (err error) {
				r.Claim, err = next()
				return err
			})
			if r.err == nil && r.End() {
				return
			}
			done := make(chan judgedRange, 1)
			select {
			case reading <- done:
			case <-ctx.Done():
				return
			}
			if r.err != nil {
				done <- r
				return
			}
			go func() {
				j := <-judges
				r.err = e.read(ctx, j, &r)
				judges <- j
				done <- r
			}()
		}
	}()
	for ready := range reading {
		r := <-ready
		if r.err != nil {
			return r.err
		}
		if err := use(r); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// read reads and judges the facts of a range.
func (e *Engine) read(ctx context.Context, j *judging, r *judgedRange) error {
	params := j.params.candidates()
	params.Range = r.Range
	err := e.retry(ctx, func() error {
		*r = judgedRange{Claim: r.Claim}
		return e.Store.Candidates(ctx, params, func(part []fact.Candidate) error {
			j.see(r, part)
			return nil
		})
	})
	if err != nil {
		return err
	}
	// Not before: behind a pooler, what is read may hold the connection that groups of facts would be read by.
	if err := j.finish(ctx, r); err != nil {
		return err
	}
	r.packed.sort()
	return nil
}

// candidates asks a store for the facts that the rules may concern.
func (p Params) candidates() store.CandidatesParams {
	return store.CandidatesParams{Scope: p.Scope, Tenant: p.Tenant, AsOf: p.AsOf, Source: p.Rules.Sources(), Edges: p.write, Narrow: p.Narrow()}
}

// How often the same work is tried. Under contention four times at once suffice, or smaller batches
// are needed; a server that restarts takes half a minute.
const (
	contentionTries = 4
	contentionWait  = 50 * time.Millisecond
	connectionTries = 8
	connectionWait  = 250 * time.Millisecond
	longestWait     = 8 * time.Second
)

// retry repeats work that failed for contention, or for a connection that was lost before anything was
// committed, waiting longer each time.
func (e *Engine) retry(ctx context.Context, work func() error) error {
	for try := 1; ; try++ {
		err := work()
		tries, wait := 1, time.Duration(0)
		switch {
		case store.Is(err, store.Contention):
			tries, wait = contentionTries, contentionWait
		case store.Is(err, store.Disconnected):
			tries, wait = connectionTries, connectionWait
		}
		if try >= tries {
			return err
		}
		if err := e.Sleep(ctx, min(wait<<(try-1), longestWait)); err != nil {
			return err
		}
	}
}

// again has work whose COMMIT is uncertain repeated, where doing it twice is doing it once.
func again(err error) error {
	if !store.Is(err, store.Uncertain) {
		return err
	}
	return &store.Error{Kind: store.Disconnected, Text: err.Error(), Err: err}
}
