package sweep

import (
	"context"
	"time"

	"decayctl/internal/fact"
	"decayctl/internal/rule"
	"decayctl/internal/store"
)

// judgedRange is a key range, read and judged.
type judgedRange struct {
	store.Range
	facts []judgedFact // in id order; only those with something to count or to do
	live  int64        // facts not expired at as-of, where Params ask for them
	err   error        // the end: nothing comes after it
}

type judgedFact struct {
	*fact.Candidate
	rule.Verdict
}

// read hands out judged ranges until the store ends, something fails or ctx does.
func (e *Engine) read(ctx context.Context, p Params, out chan<- judgedRange) {
	size := e.Store.Tuning().RangeSize
	var at store.Cursor
	for {
		r := e.readRange(ctx, p, at, size)
		if r.err == nil && r.End() {
			return
		}
		select {
		case out <- r:
		case <-ctx.Done():
			return
		}
		if r.err != nil {
			return
		}
		at = r.Last
	}
}

func (e *Engine) readRange(ctx context.Context, p Params, at store.Cursor, size int) judgedRange {
	var r judgedRange
	r.err = e.retry(ctx, func() (err error) {
		if r.Range, err = e.Store.NextRange(ctx, store.RangeParams{After: at, Size: size}); err != nil || r.End() {
			return err
		}
		found, err := e.Store.Candidates(ctx, store.CandidatesParams{
			Range: r.Range, Scope: p.Scope, Tenant: p.Tenant, AsOf: p.AsOf, Narrow: p.narrow(),
		})
		if err == nil {
			r.judge(p, found)
		}
		return err
	})
	return r
}

func (r *judgedRange) judge(p Params, found []fact.Candidate) {
	r.facts, r.live = make([]judgedFact, 0, len(found)), 0
	for i := range found {
		c := &found[i]
		if p.countsLive() && rule.Live(c, p.AsOf) {
			r.live++
		}
		if v := p.Rules.Decide(c, p.AsOf); v.Action != rule.Ignore {
			r.facts = append(r.facts, judgedFact{Candidate: c, Verdict: v})
		}
	}
}

// narrow tells the store what the rules may select, in the store's terms.
func (p Params) narrow() store.Narrow {
	n := store.Narrow{Age: p.Rules.TTL != nil, Live: p.countsLive()}
	if cutoff, possible := p.Rules.Cutoff(p.AsOf); possible {
		n.Before = cutoff
	}
	if p.Rules.Floor != nil {
		below := float64(*p.Rules.Floor)
		n.Below = &below
	}
	return n
}

// countsLive: only a limit in percent needs to know how many facts there are to lose.
func (p Params) countsLive() bool {
	return p.DryRun && p.MaxExpire != nil && p.MaxExpire.Percent > 0
}

const (
	tries     = 4 // of the same work under contention
	firstWait = 50 * time.Millisecond
)

// retry repeats work that failed for contention, waiting longer each time.
func (e *Engine) retry(ctx context.Context, work func() error) error {
	wait := firstWait
	for try := 1; ; try++ {
		err := work()
		if try == tries || !store.Is(err, store.Contention) {
			return err
		}
		if err := e.Sleep(ctx, wait); err != nil {
			return err
		}
		wait *= 2
	}
}
