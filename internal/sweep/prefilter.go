package sweep

import "decayctl/internal/store"

// candidates are the params to read the facts that the rules may concern.
func (p Params) candidates() store.CandidatesParams {
	return store.CandidatesParams{Scope: p.Scope, Tenant: p.Tenant, AsOf: p.AsOf, Source: p.Rules.Sources(), Prefilter: p.Prefilter()}
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

// coarse is one filter that lets through all that the given ones do.
func coarse(filters []store.RelationFilter) (one store.RelationFilter) {
	for _, p := range filters {
		one.Age, one.Fades = one.Age || p.Age, one.Fades || p.Fades
		if p.Before.After(one.Before) {
			one.Before = p.Before
		}
	}
	return one
}
