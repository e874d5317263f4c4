package sweep

import (
	"context"

	"decayctl/internal/fact"
	"decayctl/internal/rule"
)

// Explained is one fact, and what a sweep would make of it.
type Explained struct {
	Fact      fact.Candidate
	Outside   string // why a sweep would not look at the fact; "" where it would
	NeedsRank bool   // keep_last of the policy that decides may keep the fact, now or later: Newest of it tells
	rule.Explanation
	Reason string // the verdict in words; "" where nothing is to be done
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
	j := newDecider(e, p)
	if x.NeedsRank, err = j.rank(ctx, &x.Fact); err != nil {
		return x, err
	}
	x.Explanation = j.Explain(&x.Fact)
	if x.Verdict.Acts() {
		x.Reason = p.Rules.Reason(&x.Fact, x.Verdict, p.AsOf)
	}
	return x, nil
}

// rank tells a fact whether it is among the newest of its group, also where its verdict does not turn on
// that yet: what is to come does.
func (j *decider) rank(ctx context.Context, c *fact.Candidate) (byAct bool, err error) {
	if !j.Live(c) {
		return false, nil
	}
	f := rankQuery{Candidate: c}
	act, aside := j.Policy(c)
	if act != nil && act.KeepLast > 0 {
		f.act = act.ID
	}
	if aside != nil && aside.KeepLast > 0 {
		f.aside = aside.ID
	}
	if f.act == "" && f.aside == "" {
		return false, nil
	}
	return f.act != "", j.keepLast.mark(ctx, []rankQuery{f})
}
