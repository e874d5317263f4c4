package rule

import (
	"strconv"
	"strings"
	"time"

	"decayctl/internal/fact"
)

// Action is what a verdict asks for.
type Action int

const (
	// Ignore: no rule selects the fact.
	Ignore Action = iota
	// Keep: a rule selects the fact, but a protection holds. Reports count it.
	Keep
	// Expire: the sweep expires the fact.
	Expire
	// Retract: the sweep expires the fact, and sets its confidence to 0.
	Retract
	// Reduce: the sweep only reduces the confidence of the fact.
	Reduce
)

// Protection is why a fact is left alone although a rule selects it.
type Protection string

// The protections. If several apply, the first one is reported.
const (
	System               Protection = "system"                 // a stigmem: name, in entity or relation
	Rel                  Protection = "rel"                    // a relation in rel:
	LegalHold            Protection = "legal_hold"             // an active legal-hold tombstone on the entity
	QuarantinePending    Protection = "quarantine_pending"     // a moderator has not decided yet
	UnreadableTimestamp  Protection = "unreadable_timestamp"   // the timestamp cannot be read, so the fact has no age
	UnreadableValidUntil Protection = "unreadable_valid_until" // the expiry cannot be read
	Exempt               Protection = "exempt"                 // exempt_relations of the matching policy has the relation
	KeptAsNewest         Protection = "kept_as_newest"         // among the newest facts that keep_last keeps
)

// ChangedMeanwhile is not a protection: the fact changed between as-of and now, or between the read and the write. Such a fact
// counts as selected.
const ChangedMeanwhile Protection = "changed_meanwhile"

// Verdict is what the rules say of one fact.
type Verdict struct {
	Action     Action
	Rules      []string   // names of the selecting rules; empty for Ignore and UnreadableTimestamp; must not be changed
	Kept       Protection // set for Keep, and for Reduce if keep_last keeps the fact from expiring
	Policy     string     // id of the policy that changes the fact; "" is none
	Confidence *float64   // the confidence to write, 0 to 1; nil keeps what is there
	NeedsRank  bool       // the verdict depends on whether the fact is among the newest of its group
	Shadow     Shadow
}

// Shadow is what a policy in mode dry_run would do. It is counted, and changes nothing.
type Shadow struct {
	Policy    string // its id; "" is none
	Retract   bool
	Reduce    bool
	NeedsRank bool // see Verdict
}

// Some tells whether there is anything to count.
func (a Shadow) Some() bool { return a.Retract || a.Reduce }

// Acts tells whether the fact is to be written.
func (v Verdict) Acts() bool { return v.Action >= Expire }

// Expires tells whether the fact gets an expiry.
func (v Verdict) Expires() bool { return v.Action == Expire || v.Action == Retract }

// By is the one rule that a changed fact counts under if each fact counts once: age before the floor, and the floor before
// the fading that brought the fact below it. It is "" if the fact is not changed.
func (v Verdict) By() string {
	switch {
	case !v.Acts():
		return ""
	case v.Action == Expire && v.Confidence != nil:
		return NameFloor
	}
	return v.Rules[0]
}

// Reduces tells whether the confidence of the fact fades. The fact may expire too.
func (v Verdict) Reduces() bool { return v.Acts() && v.Action != Retract && v.Confidence != nil }

// Retracts tells whether the fact also gets a row in the retraction log. Facts of the floor and of policies in mode retract do;
// facts that are only old do not.
func (v Verdict) Retracts() bool {
	return v.Action == Retract || v.Action == Expire && len(v.Rules) > 0 && v.Rules[len(v.Rules)-1] == NameFloor
}

// Live tells whether a fact has not expired at asOf. An expiry that cannot be read does not count.
func Live(c *fact.Candidate, asOf time.Time) bool { return LiveUntil(c.EffectiveValidUntil(), asOf) }

// LiveUntil tells whether an expiry, as stored, has not come at asOf; nil is no expiry. An expiry that cannot be read does not
// count.
func LiveUntil(until *string, asOf time.Time) bool {
	if until == nil {
		return true
	}
	end, err := fact.ParseInstant(*until)
	return err != nil || end.After(asOf)
}

// Reason is why the rules of v select the fact, in words for a report.
func (s Set) Reason(c *fact.Candidate, v Verdict, asOf time.Time) string {
	confidence := c.EffectiveConfidence()
	var parts []string
	for _, name := range v.Rules {
		id, byPolicy := strings.CutPrefix(name, NamePolicy)
		switch {
		case name == NameTTL:
			parts = append(parts, agedWords(c, asOf)+", ttl "+s.TTL.String())
		case name == NameFloor:
			if p := s.decider(c, asOf); p != nil && p.fades() {
				if stamp, err := fact.ParseInstant(c.Timestamp); err == nil {
					confidence = p.faded(c.Confidence, confidence, stamp, asOf)
				}
			}
			parts = append(parts, "confidence "+number(confidence)+" below "+s.Floor.String())
		case byPolicy && s.Policy(id) != nil:
			parts = append(parts, s.Policy(id).words(c, v, asOf))
		}
	}
	return strings.Join(parts, "; ")
}

func (s Set) decider(c *fact.Candidate, asOf time.Time) *Policy {
	if len(s.Policies) == 0 {
		return nil
	}
	act, _ := s.Judge(asOf, asOf).Policy(c)
	return act
}

func (p *Policy) words(c *fact.Candidate, v Verdict, asOf time.Time) string {
	words := "policy " + p.ID + ": " + agedWords(c, asOf)
	switch {
	case p.TTL != nil && p.Mode != ModeDryRun:
		return words + ", ttl " + p.TTL.String()
	case v.Confidence != nil:
		return words + ", half-life " + p.HalfLife.String() + ", confidence " + number(c.EffectiveConfidence()) + " to " + number(*v.Confidence)
	}
	return words + ", half-life " + p.HalfLife.String()
}

func agedWords(c *fact.Candidate, asOf time.Time) string {
	stamp, err := fact.ParseInstant(c.Timestamp)
	if err != nil {
		return "old"
	}
	return TTL(asOf.Unix()-stamp.Unix()).Round().String() + " old"
}

func number(value float64) string { return strconv.FormatFloat(value, 'g', -1, 64) }

// isSystem tells whether a name begins with stigmem:, as the node's own do, and not with stigmem://, as ordinary names do. The case
// of ASCII letters does not count.
func isSystem(name string) bool {
	return hasPrefixFold(name, "stigmem:") && !hasPrefixFold(name, "stigmem://")
}

// hasPrefixFold tells whether s begins with prefix, and ignores the case of ASCII letters in s. prefix is in lower case.
func hasPrefixFold(s, prefix string) bool {
	if len(s) < len(prefix) {
		return false
	}
	for i := range len(prefix) {
		c := s[i]
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != prefix[i] {
			return false
		}
	}
	return true
}
