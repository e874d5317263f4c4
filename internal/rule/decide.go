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

// Decide judges one fact as a sweep at asOf would. The result depends on the arguments only.
func (s Set) Decide(c *fact.Candidate, asOf time.Time) Verdict { return s.Judge(asOf, asOf).Decide(c) }

// Live tells whether a fact has not expired by the now of the Judge.
func (j *Judge) Live(c *fact.Candidate) bool { return Live(c, j.now) }

// Decide judges one fact. If the verdict has NeedsRank, it depends on c.Newest: the caller finds out whether the fact is among
// the newest of its group, sets c.Newest, and calls Decide again.
func (j *Judge) Decide(c *fact.Candidate) Verdict {
	r := parsed{Candidate: c}
	if r.parseExpiry(); r.expiredBy(j.asOf) {
		return Verdict{} // has expired
	}
	if len(j.compiled) == 0 {
		return j.decide(&r, nil)
	}
	act, shadow := j.policies(c)
	v := Verdict{}
	if j.set.Only == "" || act != nil && act.ID == j.set.Only {
		v = j.decide(&r, act)
	}
	if shadow != nil && (j.set.Only == "" || shadow.ID == j.set.Only) {
		v.Shadow = j.shadowOf(&r, shadow)
	}
	return v
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

// parsed is a fact with its expiry and its timestamp as instants.
type parsed struct {
	*fact.Candidate
	hasUntil, untilReadable bool
	end                     time.Time
	stampRead, dated        bool
	stamp                   time.Time
}

func (r *parsed) parseExpiry() {
	if until := r.EffectiveValidUntil(); until != nil {
		end, err := fact.ParseInstant(*until)
		r.hasUntil, r.untilReadable, r.end = true, err == nil, end
	}
}

// timestamp is the fact's timestamp; false if it cannot be read.
func (r *parsed) timestamp() (time.Time, bool) {
	if !r.stampRead {
		stamp, err := fact.ParseInstant(r.Timestamp)
		r.stampRead, r.dated, r.stamp = true, err == nil, stamp
	}
	return r.stamp, r.dated
}

// expiredBy tells whether the fact has a readable expiry at or before an instant.
func (r *parsed) expiredBy(at time.Time) bool {
	return r.hasUntil && r.untilReadable && !r.end.After(at)
}

// noExpiry tells whether rules of age concern the fact: it has no expiry.
func (r *parsed) noExpiry() bool { return !r.hasUntil }

// decide judges by one policy, or by the set's ttl if p is nil, and by the floor.
func (j *Judge) decide(r *parsed, p *compiled) Verdict {
	effective := r.EffectiveConfidence()
	faded, undated := effective, false
	byAge := false
	cutoff, possible, aged := j.cutoff, j.possible, j.set.TTL != nil
	if p != nil {
		cutoff, possible, aged = p.cutoff, p.possible, p.TTL != nil
	}
	// Rules of age do not select a fact with an expiry. If the expiry cannot be read, the fact is reported as kept if its age
	// would select it.
	if aged && (r.noExpiry() || !r.untilReadable) {
		stamp, ok := r.timestamp()
		byAge = ok && possible && !stamp.After(cutoff)
		undated = !ok && r.noExpiry()
	}
	if p != nil && p.fades() {
		stamp, ok := r.timestamp()
		if ok {
			faded = p.faded(r.Confidence, effective, stamp, j.asOf)
		}
		undated = !ok && (r.noExpiry() || r.untilReadable) && effective > p.MinConfidence
	}
	byPolicy := p != nil && (byAge || p.fades() && p.exceedsMinStep(effective, faded))
	byFloor := j.set.Floor.selects(faded)

	v := Verdict{Rules: ruleNames(p, byAge || byPolicy, byFloor)}
	// If the floor selects the fact, its timestamp does not matter.
	undated = undated && !byFloor
	if v.Rules == nil && !undated {
		return Verdict{}
	}
	if v.Kept = protected(r.Candidate); v.Kept == "" {
		switch {
		case undated:
			v.Kept = UnreadableTimestamp
		case r.hasUntil && !r.untilReadable:
			v.Kept = UnreadableValidUntil
		case p != nil && p.exempts(r.Relation):
			v.Kept = Exempt
		case r.expiredBy(j.now): // it has expired after as-of, by its own expiry or by another process
			v.Kept = ChangedMeanwhile
		}
	}
	if v.Kept != "" {
		v.Action = Keep
		return v
	}
	v.act(p, byAge, byPolicy, byFloor, faded)
	if p != nil && p.KeepLast > 0 && v.Action != Reduce {
		v.NeedsRank = true
		if r.Newest {
			v = v.keptAsNewest(p)
		}
	}
	return v
}

// ruleNames are the names of the rules that select a fact. All verdicts share the slices, so that Decide does not allocate.
func ruleNames(p *compiled, byRule, byFloor bool) []string {
	selected := 0
	if byRule {
		selected |= 1
	}
	if byFloor {
		selected |= 2
	}
	if p != nil {
		return p.rules[selected]
	}
	return namesWithoutPolicy[selected]
}

var namesWithoutPolicy = [4][]string{nil, {NameTTL}, {NameFloor}, {NameTTL, NameFloor}}

// act sets what is to be done with a fact that is selected and not protected.
func (v *Verdict) act(p *compiled, byAge, byPolicy, byFloor bool, faded float64) {
	if byPolicy {
		v.Policy = p.ID
		if p.fades() {
			v.Confidence = &faded
		}
	}
	switch {
	case byAge && p != nil && p.Mode == ModeRetract:
		v.Action, v.Confidence = Retract, new(float64)
	case byAge || byFloor:
		v.Action = Expire
	default:
		v.Action = Reduce
	}
}

// keptAsNewest is the verdict on a fact that keep_last protects: its confidence may be reduced all the same.
func (v Verdict) keptAsNewest(p *compiled) Verdict {
	if v.Action == Expire && v.Confidence != nil {
		return Verdict{Action: Reduce, Rules: p.rules[1], Policy: v.Policy, Confidence: v.Confidence, Kept: KeptAsNewest, NeedsRank: true}
	}
	return Verdict{Action: Keep, Rules: v.Rules, Kept: KeptAsNewest, NeedsRank: true}
}

// shadowOf is what a policy in mode dry_run would do to a fact.
func (j *Judge) shadowOf(r *parsed, p *compiled) Shadow {
	stamp, ok := r.timestamp()
	if !ok || r.hasUntil && !r.untilReadable || r.expiredBy(j.now) {
		return Shadow{}
	}
	a := Shadow{Policy: p.ID, Retract: r.noExpiry() && p.possible && !stamp.After(p.cutoff)}
	if p.fades() {
		effective := r.EffectiveConfidence()
		a.Reduce = p.exceedsMinStep(effective, p.faded(r.Confidence, effective, stamp, j.asOf))
	}
	if !a.Retract && !a.Reduce || protected(r.Candidate) != "" || p.exempts(r.Relation) {
		return Shadow{}
	}
	if a.Retract && p.KeepLast > 0 {
		a.NeedsRank = true
		a.Retract = !r.NewestShadow
	}
	return a
}

// protected is the protection of a fact that does not depend on the rule that selects it; "" is none.
func protected(c *fact.Candidate) Protection {
	switch {
	case isSystem(c.Entity) || isSystem(c.Relation):
		return System
	case hasPrefixFold(c.Relation, "rel:"):
		return Rel
	case c.LegalHold:
		return LegalHold
	case c.QuarantinePending:
		return QuarantinePending
	}
	return ""
}
