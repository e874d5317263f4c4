package rule

import (
	"time"

	"decayctl/internal/fact"
)

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
