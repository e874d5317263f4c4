package sweep

import (
	"context"
	"slices"

	"decayctl/internal/fact"
	"decayctl/internal/rule"
	"decayctl/internal/store"
)

// judging is a set at work: the judge, and what it has to ask the store for.
type judging struct {
	*rule.Judge
	params Params
	newest *newest
	facts  []judgedFact // none: memory for those of the next part
}

func newJudging(e *Engine, p Params) *judging {
	j := p.Rules.Judge(p.AsOf)
	return &judging{Judge: j, params: p, newest: newNewest(e, j, p)}
}

// verdictOf is a fact with the verdict on it.
type verdictOf struct {
	fact    *fact.Candidate
	verdict *rule.Verdict
}

// judge judges facts of a range, and adds them to it.
func (j *judging) judge(ctx context.Context, r *judgedRange, found []fact.Candidate) error {
	j.see(r, found)
	return j.finish(ctx, r)
}

// see judges facts of a range as far as they alone tell. It asks the store for nothing: that may still be reading.
func (j *judging) see(r *judgedRange, found []fact.Candidate) {
	facts := slices.Grow(j.facts[:0], len(found))
	for i := range found {
		c := &found[i]
		if j.params.Live && rule.Live(c, j.params.AsOf) {
			r.live++
		}
		v := j.Decide(c)
		switch {
		case v.Ranked || v.Aside.Ranked:
			clone := c.Clone() // not to keep all that was read with it
			r.open = append(r.open, judgedFact{&clone, v})
		case v.Action != rule.Ignore || v.Aside.Policy != "" || j.params.each != nil:
			facts = append(facts, judgedFact{c, v})
		}
	}
	j.keep(r, facts)
}

// keep adds judged facts to a range, and takes their list for the next ones.
func (j *judging) keep(r *judgedRange, facts []judgedFact) {
	if j.params.write {
		r.packed.add(facts, r.Facts)
	} else {
		r.facts = append(r.facts, facts...)
	}
	clear(facts) // else what was read would stay in memory
	j.facts = facts
}

// finish asks the store for what verdicts turn on that are still open, and adds those facts.
func (j *judging) finish(ctx context.Context, r *judgedRange) error {
	open := make([]verdictOf, len(r.open))
	for i := range r.open {
		open[i] = verdictOf{r.open[i].Candidate, &r.open[i].Verdict}
	}
	if err := j.settle(ctx, open); err != nil {
		return err
	}
	settled := slices.DeleteFunc(r.open, func(f judgedFact) bool {
		return f.Action == rule.Ignore && f.Aside.Policy == "" && j.params.each == nil
	})
	j.keep(r, settled)
	r.open = nil
	return nil
}

// settle completes verdicts that turn on a rank.
func (j *judging) settle(ctx context.Context, open []verdictOf) error {
	var asked []ranked
	for _, o := range open {
		act, aside := j.Policy(o.fact)
		f := ranked{Candidate: o.fact}
		if o.verdict.Ranked {
			f.act = act.ID
		}
		if o.verdict.Aside.Ranked {
			f.aside = aside.ID
		}
		if f.act != "" || f.aside != "" {
			asked = append(asked, f)
		}
	}
	if len(asked) == 0 {
		return nil
	}
	if err := j.newest.mark(ctx, asked); err != nil {
		return err
	}
	for _, o := range open {
		*o.verdict = j.Decide(o.fact)
	}
	return nil
}

const maxParts = 40 // more of them cost more than reading more facts

// Narrow tells the store what the rules may select, in the store's terms.
func (p Params) Narrow() store.Narrow {
	n := store.Narrow{Live: p.Live}
	if rules := p.Rules; rules.Only == "" {
		n.Age = rules.TTL != nil
		if cutoff, possible := rules.Cutoff(p.AsOf); possible {
			n.Before = cutoff
		}
		if rules.Floor != nil {
			below := float64(*rules.Floor)
			n.Below = &below
		}
	}
	for i := range p.Rules.Policies {
		policy := &p.Rules.Policies[i]
		if p.Rules.Only != "" && p.Rules.Only != policy.ID {
			continue
		}
		part := store.Part{Age: policy.TTL != nil, Fades: policy.HalfLife > 0}
		part.Relation, part.Prefix = policy.Relations()
		if cutoff, possible := policy.TTL.Cutoff(p.AsOf); possible {
			part.Before = cutoff
		}
		n.Parts = append(n.Parts, part)
	}
	if len(n.Parts) > maxParts {
		n.Parts = []store.Part{coarse(n.Parts)}
	}
	return n
}

// coarse is one part that has all that others have.
func coarse(parts []store.Part) (one store.Part) {
	for _, p := range parts {
		one.Age, one.Fades = one.Age || p.Age, one.Fades || p.Fades
		if p.Before.After(one.Before) {
			one.Before = p.Before
		}
	}
	return one
}
