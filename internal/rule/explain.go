package rule

import (
	"time"

	"decayctl/internal/fact"
)

// Explanation is a verdict with the reasons for it, and what will happen to the fact later.
type Explanation struct {
	Verdict Verdict
	Steps   []Step // one for each rule, in the order in which rules are tried
	Outlook Outlook
}

// Step is what one rule says about a fact.
type Step struct {
	Rule    string // name of the rule
	Shadow  bool   // the rule is a policy in mode dry_run, which changes nothing
	Matched bool   // the rule concerns this fact
	Selects bool   // the rule would change the fact now if no protection held
	Why     string // why it does, or does not, in words
}

// Explain judges a fact as Decide does, and explains the verdict.
func (j *Judge) Explain(c *fact.Candidate) Explanation {
	e := Explanation{Verdict: j.Decide(c)}
	r := parsed{Candidate: c}
	r.parseExpiry()
	expired := r.expiredBy(j.asOf)
	act, shadow := j.policies(c)
	for i := range j.compiled {
		e.Steps = append(e.Steps, j.policyStep(&r, &j.compiled[i], act, shadow, expired))
	}
	if j.set.TTL != nil {
		e.Steps = append(e.Steps, j.ttlStep(&r, act, expired))
	}
	if j.set.Floor != nil {
		e.Steps = append(e.Steps, j.floorStep(&r, act, expired))
	}
	if p, acts := j.acting(&r); acts && !r.expiredBy(j.now) {
		e.Outlook = j.outlook(&r, p)
	}
	return e
}

const isExpired = "the fact has expired already"

// mismatch is why a policy does not match a fact; "" if it does.
func (p *Policy) mismatch(c *fact.Candidate) string {
	switch {
	case !glob(p.Relation).matches(c.Relation):
		return "its relation is not " + p.Relation
	case p.Scope != "" && p.Scope != c.Scope:
		return "its scope is not " + p.Scope
	case p.Tenant != "" && p.Tenant != c.Tenant:
		return "its tenant is not " + p.Tenant
	case !glob(p.Entity).matches(c.Entity):
		return "its entity is not " + p.Entity
	case !glob(p.Source).matches(c.Source):
		return "its source is not " + p.Source
	}
	return ""
}

func (j *Judge) policyStep(r *parsed, p, act, shadow *compiled, expired bool) Step {
	step, decides := Step{Rule: p.Name(), Shadow: p.shadow()}, act
	if step.Shadow {
		decides = shadow
	}
	switch step.Why = p.mismatch(r.Candidate); {
	case step.Why != "":
		return step
	case p != decides:
		step.Why = "policy " + decides.ID + " is tried before it, and matches"
		return step
	case j.set.Only != "" && j.set.Only != p.ID:
		step.Matched, step.Why = true, "only policy "+j.set.Only+" acts in this run"
		return step
	}
	step.Matched = true
	switch {
	case expired:
		step.Why = isExpired
		return step
	case p.exempts(r.Relation):
		step.Why = "its exempt_relations have the relation " + r.Relation
		return step
	}
	if p.TTL != nil {
		step.Selects, step.Why = r.aged(*p.TTL, p.cutoff, p.possible)
	}
	if p.fades() {
		selects, why := j.fading(r, p)
		step.Selects = step.Selects || selects
		if step.Why != "" {
			why = step.Why + "; " + why
		}
		step.Why = why
	}
	return step
}

// aged tells whether a fact is as old as a ttl, and why.
func (r *parsed) aged(ttl TTL, cutoff time.Time, possible bool) (bool, string) {
	stamp, ok := r.timestamp()
	switch {
	case r.hasUntil && !r.untilReadable:
		return ok && possible && !stamp.After(cutoff), "it has an expiry of its own, which cannot be read"
	case r.hasUntil:
		return false, "it has an expiry of its own, " + *r.EffectiveValidUntil()
	case !ok:
		return false, "its stamp is no date, so it has no age"
	case possible && !stamp.After(cutoff):
		return true, "stamped " + fact.FormatInstant(stamp) + ", at least " + ttl.String() + " ago"
	}
	return false, "stamped " + fact.FormatInstant(stamp) + ", less than " + ttl.String() + " ago"
}

func (j *Judge) fading(r *parsed, p *compiled) (bool, string) {
	stamp, ok := r.timestamp()
	if !ok {
		return false, "its stamp is no date, so it does not fade"
	}
	effective := r.EffectiveConfidence()
	faded := p.faded(r.Confidence, effective, stamp, j.asOf)
	words := "half-life " + p.HalfLife.String() + " makes " + number(faded) + " of a base of " + number(r.Confidence) + "; effective is " + number(effective)
	switch {
	case faded == effective:
		return false, words + ", no more than that"
	case !p.exceedsMinStep(effective, faded):
		return false, words + ", a change of less than min_step " + number(p.MinStep)
	}
	return true, words
}

func (j *Judge) ttlStep(r *parsed, act *compiled, expired bool) Step {
	step := Step{Rule: NameTTL}
	switch {
	case act != nil:
		step.Why = "policy " + act.ID + " takes its place"
	case expired:
		step.Matched, step.Why = true, isExpired
	default:
		step.Matched = true
		step.Selects, step.Why = r.aged(*j.set.TTL, j.cutoff, j.possible)
	}
	return step
}

func (j *Judge) floorStep(r *parsed, act *compiled, expired bool) Step {
	step, confidence := Step{Rule: NameFloor, Matched: true}, r.EffectiveConfidence()
	if act != nil && act.fades() {
		if stamp, ok := r.timestamp(); ok {
			confidence = act.faded(r.Confidence, confidence, stamp, j.asOf)
		}
	}
	switch floor := j.set.Floor.String(); {
	case expired:
		step.Why = isExpired
	case confidence == 0:
		step.Why = "confidence 0 means retracted, which the floor leaves alone"
	case j.set.Floor.selects(confidence):
		step.Selects, step.Why = true, "confidence "+number(confidence)+" is below "+floor
	default:
		step.Why = "confidence " + number(confidence) + " is not below " + floor
	}
	return step
}

// Wrote tells whether an override is what a policy writes for a fact at an as-of. c is the fact before, with its override if it
// had one. An undo restores only such facts.
func (p *Policy) Wrote(c *fact.Candidate, after fact.Override, asOf time.Time) bool {
	was := fact.Override{}
	if c.Override != nil {
		was = *c.Override
	}
	expired := equal(after.ValidUntil, pointer(fact.FormatInstant(asOf)))
	switch p.Mode {
	case ModeExpire:
		return expired && same(after.Confidence, was.Confidence)
	case ModeRetract:
		return expired && same(after.Confidence, new(float64))
	case ModeConfidence:
		stamp, err := fact.ParseInstant(c.Timestamp)
		if err != nil {
			return false
		}
		faded := p.faded(c.Confidence, c.EffectiveConfidence(), stamp, asOf)
		return same(after.Confidence, &faded) && (expired || equal(after.ValidUntil, was.ValidUntil))
	}
	return false
}

// same compares confidences as float4.
func same(a, b *float64) bool {
	if a == nil || b == nil {
		return a == b
	}
	return float32(*a) == float32(*b)
}

func pointer[T any](value T) *T { return &value }

func equal[T comparable](a, b *T) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}
