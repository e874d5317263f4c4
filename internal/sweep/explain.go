package sweep

import (
	"context"

	"decayctl/internal/fact"
	"decayctl/internal/rule"
)

// Explained is one fact, and what a sweep would do with it.
type Explained struct {
	Fact      fact.Candidate
	Outside   string // why a sweep would not judge the fact; "" if it would
	NeedsRank bool   // keep_last of the policy that decides may keep the fact, now or later; Fact.Newest tells whether it does
	rule.Explanation
	Reason string // the verdict in words; "" if there is nothing to do
}

// Explain judges one fact as a sweep would. It writes nothing. Errors: *store.UnknownFact.
func (e *Engine) Explain(ctx context.Context, p Params, id string) (Explained, error) {
	var x Explained
	p, err := e.Clocked(ctx, p)
	if err != nil {
		return x, err
	}
	err = e.retry(ctx, func() (err error) {
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
	d := newDecider(e, p, keepConcerned)
	if x.NeedsRank, err = d.rank(ctx, &x.Fact); err != nil {
		return x, err
	}
	x.Explanation = d.judge.Explain(&x.Fact)
	if x.Verdict.Acts() {
		x.Reason = p.Rules.Reason(&x.Fact, x.Verdict, p.AsOf)
	}
	return x, nil
}

// rank notes on a fact whether it is among the newest of its group, even if its verdict does not depend on that yet: what is
// to come does. It tells whether keep_last of the policy that decides may keep the fact.
func (d *decider) rank(ctx context.Context, c *fact.Candidate) (needed bool, err error) {
	if !d.judge.Live(c) {
		return false, nil
	}
	q := rankQuery{fact: c}
	act, shadow := d.judge.Policy(c)
	if act != nil && act.KeepLast > 0 {
		q.act = act.ID
	}
	if shadow != nil && shadow.KeepLast > 0 {
		q.shadow = shadow.ID
	}
	if q.act == "" && q.shadow == "" {
		return false, nil
	}
	return q.act != "", d.keepLast.mark(ctx, []rankQuery{q})
}
