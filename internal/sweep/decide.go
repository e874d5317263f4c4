package sweep

import (
	"context"
	"slices"

	"decayctl/internal/fact"
	"decayctl/internal/rule"
	"decayctl/internal/store"
)

// decider is a set at work: the judge, and what it has to ask the store for.
type decider struct {
	*rule.Judge
	params   Params
	keepLast *keepLast
	facts    []judged // none: memory for those of the next part
}

func newDecider(e *Engine, p Params) *decider {
	j := p.Rules.Judge(p.AsOf, p.Now)
	return &decider{Judge: j, params: p, keepLast: newKeepLast(e, j, p)}
}

// judge judges facts of a range, and adds them to it.
func (j *decider) judge(ctx context.Context, r *piece, found []fact.Candidate) error {
	j.decideAlone(r, found)
	return j.decideByRank(ctx, r)
}

// decideAlone judges facts of a range as far as they alone tell. It asks the store for nothing: that may still be reading.
func (j *decider) decideAlone(r *piece, found []fact.Candidate) {
	facts := slices.Grow(j.facts[:0], len(found))
	for i := range found {
		c := &found[i]
		if !j.params.write { // texts of what is kept may be parts of those of all
			r.text += c.Text()
		}
		if j.params.Live && j.Live(c) {
			r.live++
		}
		v := j.Decide(c)
		if j.params.Ahead > 0 && j.NeedsRank(c, j.params.Ahead) {
			v.NeedsRank = true
		}
		switch {
		case v.NeedsRank || v.Shadow.NeedsRank:
			clone := c.Clone() // not to keep all that was read with it
			r.text += clone.Text()
			r.undecided = append(r.undecided, judged{&clone, v})
		case j.matters(v):
			facts = append(facts, judged{c, j.params.spare(c, v)})
		}
	}
	j.keep(r, facts)
}

// matters tells whether there is something to count or to do.
func (j *decider) matters(v rule.Verdict) bool {
	return v.Action != rule.Ignore || v.Shadow.Policy != "" || j.params.every
}

// keep adds judged facts to a range, and takes their list for the next ones.
func (j *decider) keep(r *piece, facts []judged) {
	if j.params.write {
		r.decisions.add(facts, r.Facts)
	} else {
		r.facts = append(r.facts, facts...)
	}
	clear(facts) // else what was read would stay in memory
	j.facts = facts
}

// finish asks the store for the ranks that verdicts still turn on, and adds those facts.
func (j *decider) decideByRank(ctx context.Context, r *piece) error {
	if len(r.undecided) == 0 {
		return nil
	}
	asked := make([]rankQuery, len(r.undecided))
	for i, f := range r.undecided {
		act, aside := j.Policy(f.Candidate)
		asked[i].Candidate = f.Candidate
		if f.NeedsRank {
			asked[i].act = act.ID
		}
		if f.Shadow.NeedsRank {
			asked[i].aside = aside.ID
		}
	}
	if err := j.keepLast.mark(ctx, asked); err != nil {
		return err
	}
	for i := range r.undecided {
		c := r.undecided[i].Candidate
		r.undecided[i].Verdict = j.params.spare(c, j.Decide(c))
	}
	j.keep(r, slices.DeleteFunc(r.undecided, func(f judged) bool { return !j.matters(f.Verdict) }))
	r.undecided = nil
	return nil
}

const maxRelations = 40 // more relation filters cost more than reading more facts

// Prefilter tells the store what the rules may select, in the store's terms.
func (p Params) Prefilter() store.Prefilter {
	f := store.Prefilter{Live: p.Live}
	if rules := p.Rules; rules.Only == "" {
		f.Age = rules.TTL != nil
		if cutoff, possible := rules.Cutoff(p.AsOf); possible {
			f.Before = cutoff
		}
		if rules.Floor != nil {
			below := float64(*rules.Floor)
			f.Below = &below
		}
	}
	for i := range p.Rules.Policies {
		policy := &p.Rules.Policies[i]
		if p.Rules.Only != "" && p.Rules.Only != policy.ID {
			continue
		}
		filter := store.RelationFilter{Age: policy.TTL != nil, Fades: policy.HalfLife > 0}
		filter.Relation, filter.Prefix = policy.Relations()
		if cutoff, possible := policy.TTL.Cutoff(p.AsOf); possible {
			filter.Before = cutoff
		}
		f.Relations = append(f.Relations, filter)
	}
	if len(f.Relations) > maxRelations {
		f.Relations = []store.RelationFilter{coarse(f.Relations)}
	}
	return f
}

// coarse is one filter that has all that others have.
func coarse(filters []store.RelationFilter) (one store.RelationFilter) {
	for _, p := range filters {
		one.Age, one.Fades = one.Age || p.Age, one.Fades || p.Fades
		if p.Before.After(one.Before) {
			one.Before = p.Before
		}
	}
	return one
}
