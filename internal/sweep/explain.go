package sweep

import (
	"context"

	"decayctl/internal/fact"
	"decayctl/internal/rule"
)

// Explained is one fact, and what a sweep would make of it.
type Explained struct {
	Fact    fact.Candidate
	Outside string // why a sweep would not look at the fact; "" where it would
	rule.Explanation
	Reason string // the verdict in words; "" where nothing is to be done
}

// Explain judges one fact as a sweep would. It writes nothing. Errors: *store.UnknownFact.
func (e *Engine) Explain(ctx context.Context, p Params, id string) (Explained, error) {
	var x Explained
	err := e.retry(ctx, func() (err error) {
		x.Fact, err = e.Store.Fact(ctx, id)
		return err
	})
	if err != nil {
		return x, err
	}
	switch {
	case p.Scope != "" && p.Scope != x.Fact.Scope:
		x.Outside = "its scope is not " + p.Scope
	case p.Tenant != "" && p.Tenant != x.Fact.Tenant:
		x.Outside = "its tenant is not " + p.Tenant
	}
	j := newJudging(e, p)
	v := j.Decide(&x.Fact)
	if err := j.settle(ctx, []verdictOf{{&x.Fact, &v}}); err != nil {
		return x, err
	}
	x.Explanation = j.Explain(&x.Fact)
	if x.Verdict.Acts() {
		x.Reason = p.Rules.Reason(&x.Fact, x.Verdict, p.AsOf)
	}
	return x, nil
}
