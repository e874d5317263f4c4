package sweep

import (
	"context"

	"decayctl/internal/store"
)

// preview is a scan that writes nothing, repeated if the store changed under an unlocked read.
func (e *Engine) preview(ctx context.Context, p Params, phase Phase, with ...Collector) (*Result, error) {
	p, err := e.Clocked(ctx, p)
	if err != nil {
		return newResult(0), err
	}
	total, err := e.estimate(ctx)
	if err != nil {
		return newResult(total), err
	}
	keep := keepConcerned
	if len(with) > 0 {
		keep = keepAll
	}
	for {
		c := counter{engine: e, params: p, phase: phase, collectors: with, total: total}
		seen, err := e.scan(ctx, p, keep, &c)
		c.result.Examined = max(c.result.Examined, int64(seen.Facts))
		if ctx.Err() != nil {
			return c.result, err
		}
		// Asked after a failure too: half-changed pages can look like damage.
		unchanged, checkErr := store.Unchanged(ctx, e.Store)
		if unchanged || checkErr != nil {
			if err == nil {
				err = checkErr
			}
			return c.result, err
		}
	}
}

// counter counts into a result what a scan has judged, and hands each fact to the collectors.
type counter struct {
	engine     *Engine
	params     Params
	phase      Phase
	collectors []Collector
	total      int64 // facts in the store, an estimate
	result     *Result
}

func (c *counter) begin(bool) {
	c.result = newResult(c.total)
	for _, each := range c.collectors {
		each.Begin()
	}
}

func (c *counter) visit(p piece) error {
	for _, f := range p.judged {
		c.result.add(c.params, f)
		for _, each := range c.collectors {
			each.Collect(f.fact, f.verdict)
		}
	}
	c.result.Examined += int64(p.covered - len(p.judged)) // the facts that are known by number only
	c.result.Live += p.live
	c.engine.Progress(progressOf(c.phase, c.result.Counts, c.total))
	return nil
}
