package rule

import (
	"slices"
	"strings"
	"time"

	"decayctl/internal/fact"
)

// Judge judges facts by one set of rules and one as-of. It caches which policies match, so only one goroutine may use it.
type Judge struct {
	set      Set
	asOf     time.Time
	now      time.Time // asOf or later
	cutoff   time.Time // the latest timestamp that is old enough for the set's ttl
	possible bool      // there is a cutoff
	compiled []compiled
	exact    map[string][]int // see byRelation
	wide     []int
	cache    map[cacheKey][2][]*compiled
}

// compiled is a policy with values that are the same for all facts.
type compiled struct {
	*Policy
	cutoff   time.Time
	possible bool        // there is a cutoff
	rules    [4][]string // names of the selecting rules: none, the policy, the floor, both
}

// cacheKey is the fields of a fact that policies match, without entity and source, which are mostly different.
type cacheKey struct{ relation, scope, tenant string }

// The limits of the cache. Relations and tenants are hostile text, of any number and length.
const (
	maxCached     = 10_000
	maxCachedText = 500 // bytes
)

// Judge makes a Judge for an as-of. now is the present time of the store's clock: a fact that has expired by now is left alone.
// A now before asOf counts as asOf.
func (s Set) Judge(asOf, now time.Time) *Judge {
	if s.Only != "" {
		s.TTL, s.Floor = nil, nil
	}
	j := &Judge{set: s, asOf: asOf, now: asOf, cache: map[cacheKey][2][]*compiled{}}
	if now.After(asOf) {
		j.now = now
	}
	j.exact, j.wide = s.byRelation()
	j.cutoff, j.possible = s.Cutoff(asOf)
	for i := range s.Policies {
		r := compiled{Policy: &s.Policies[i]}
		r.cutoff, r.possible = r.TTL.Cutoff(asOf)
		name := r.Name()
		r.rules = [4][]string{nil, {name}, {NameFloor}, {name, NameFloor}}
		j.compiled = append(j.compiled, r)
	}
	return j
}

// Policy finds the policy that decides on a fact, and the policy in mode dry_run that counts it. nil is none.
func (j *Judge) Policy(c *fact.Candidate) (act, shadow *Policy) {
	a, b := j.policies(c)
	if a != nil {
		act = a.Policy
	}
	if b != nil {
		shadow = b.Policy
	}
	return act, shadow
}

// policies finds the first matching policy that acts, and the first one in mode dry_run.
func (j *Judge) policies(c *fact.Candidate) (act, shadow *compiled) {
	at := cacheKey{c.Relation, c.Scope, c.Tenant}
	matches, known := j.cache[at]
	if !known {
		matches = j.matching(at)
		if len(j.cache) >= maxCached {
			clear(j.cache)
		}
		if len(at.relation)+len(at.scope)+len(at.tenant) <= maxCachedText {
			// Cloned, since the text of a fact may keep a whole range in memory.
			j.cache[cacheKey{strings.Clone(at.relation), strings.Clone(at.scope), strings.Clone(at.tenant)}] = matches
		}
	}
	return first(matches[0], c), first(matches[1], c)
}

// matching are the policies that may match facts with a key, in their order: first those that act, then those in mode dry_run.
// A list ends with the first policy that matches all such facts.
func (j *Judge) matching(at cacheKey) (found [2][]*compiled) {
	inOrder := slices.Concat(j.exact[at.relation], j.wide)
	slices.Sort(inOrder)
	var closed [2]bool
	for _, i := range inOrder {
		r, kind := &j.compiled[i], 0
		if r.shadow() {
			kind = 1
		}
		if closed[kind] || !glob(r.Relation).matches(at.relation) || r.Scope != "" && r.Scope != at.scope || r.Tenant != "" && r.Tenant != at.tenant {
			continue
		}
		found[kind] = append(found[kind], r)
		closed[kind] = glob(r.Entity).any() && glob(r.Source).any()
	}
	return found
}

func first(matches []*compiled, c *fact.Candidate) *compiled {
	for _, r := range matches {
		if glob(r.Entity).matches(c.Entity) && glob(r.Source).matches(c.Source) {
			return r
		}
	}
	return nil
}
