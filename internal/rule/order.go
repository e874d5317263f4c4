package rule

import (
	"cmp"
	"slices"
	"strings"
)

// Order sorts policies into the order in which they are tried, the most specific first: an exact relation before a glob before *,
// then an exact scope before every scope, then the longer literal beginning of the relation. The sort is stable.
func Order(policies []Policy) {
	slices.SortStableFunc(policies, func(a, b Policy) int {
		return cmp.Or(
			cmp.Compare(breadth(a), breadth(b)),
			cmp.Compare(anyScope(a), anyScope(b)),
			cmp.Compare(len(glob(b.Relation).prefix()), len(glob(a.Relation).prefix())),
		)
	})
}

func breadth(p Policy) int {
	switch relation := glob(p.Relation); {
	case relation.exact():
		return 0
	case relation.any():
		return 2
	}
	return 1
}

func anyScope(p Policy) int {
	if p.Scope == "" {
		return 1
	}
	return 0
}

// shadow tells whether a policy only counts. It is tried apart from the policies that act.
func (p *Policy) shadow() bool { return p.Mode == ModeDryRun }

// byRelation is the indexes of policies in the set: exact are those for one relation, by its name; wide are all others. There may
// be a policy for every relation, and to try all of them for each would be quadratic.
func (s Set) byRelation() (exact map[string][]int, wide []int) {
	exact = map[string][]int{}
	for i := range s.Policies {
		if relation := s.Policies[i].Relation; glob(relation).exact() {
			exact[relation] = append(exact[relation], i)
		} else {
			wide = append(wide, i)
		}
	}
	return exact, wide
}

// Unreachable are the policies that never decide on a fact, by their index in the set. The value is a policy that is tried before
// and matches the same facts. It finds only those that follow from the patterns.
func (s Set) Unreachable() map[int]*Policy {
	unreachable := map[int]*Policy{}
	exact, wide := s.byRelation()
	for i := range s.Policies {
		late := &s.Policies[i]
		for _, indexes := range [][]int{exact[late.Relation], wide} {
			at := slices.IndexFunc(indexes, func(k int) bool {
				early := &s.Policies[k]
				return k >= i || early.shadow() == late.shadow() && early.covers(late)
			})
			if at >= 0 && indexes[at] < i {
				unreachable[i] = &s.Policies[indexes[at]]
				break
			}
		}
	}
	return unreachable
}

func (p *Policy) covers(other *Policy) bool {
	return glob(p.Relation).covers(glob(other.Relation)) &&
		glob(p.Entity).covers(glob(other.Entity)) && glob(p.Source).covers(glob(other.Source)) &&
		(p.Scope == "" || p.Scope == other.Scope) && (p.Tenant == "" || p.Tenant == other.Tenant)
}

// VainExemptions are the patterns of Exempt that have no effect, because Relation matches no relation of theirs.
func (p *Policy) VainExemptions() (vain []string) {
	for _, exempt := range p.Exempt {
		if !glob(exempt).meets(glob(p.Relation)) {
			vain = append(vain, exempt)
		}
	}
	return vain
}

// Idle is why a policy never acts, whatever facts a store has; "" if it may act.
func (p *Policy) Idle() string {
	begin := glob(p.Relation).prefix()
	ordinary := strings.HasPrefix("stigmem://", strings.ToLower(begin)) && !glob(p.Relation).exact() // may match stigmem://
	switch {
	case hasPrefixFold(begin, "rel:"):
		return "relations in rel: never decay"
	case isSystem(begin) && !ordinary:
		return "names of the node itself never decay"
	case slices.ContainsFunc(p.Exempt, func(exempt string) bool { return glob(exempt).covers(glob(p.Relation)) }):
		return "its exempt_relations cover all it matches"
	}
	return ""
}
