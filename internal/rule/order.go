package rule

import (
	"cmp"
	"slices"
	"strings"
)

// Order puts policies into the order in which they are tried, the most specific first: an exact
// relation before a glob before *, then an exact scope before any, then the longer literal beginning of
// the relation. What is equal in all that keeps its order.
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

// aside tells whether a policy is tried apart from those that act.
func (p *Policy) aside() bool { return p.Mode == ModeDryRun }

// Shadow is the policy that keeps the i-th of a set from ever deciding on a fact, as far as patterns
// tell: one that is tried before it and matches all that it matches. nil is none.
func (s Set) Shadow(i int) *Policy {
	late := &s.Policies[i]
	for k := range s.Policies[:i] {
		early := &s.Policies[k]
		if early.aside() == late.aside() && early.covers(late) {
			return early
		}
	}
	return nil
}

func (p *Policy) covers(other *Policy) bool {
	return glob(p.Relation).covers(glob(other.Relation)) &&
		glob(p.Entity).covers(glob(other.Entity)) && glob(p.Source).covers(glob(other.Source)) &&
		(p.Scope == "" || p.Scope == other.Scope) && (p.Tenant == "" || p.Tenant == other.Tenant)
}

// Idle says why a policy never acts, whatever the store holds; "" where it may.
func (p *Policy) Idle() string {
	begin := glob(p.Relation).prefix()
	ordinary := strings.HasPrefix("stigmem://", strings.ToLower(begin)) && !glob(p.Relation).exact() // may go on as stigmem://
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
