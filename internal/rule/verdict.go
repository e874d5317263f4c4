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
	// Keep: a rule would select the fact, but a protection holds. Counted in every report.
	Keep
	// Expire: the sweep marks the fact as expired.
	Expire
	// Retract: the sweep marks the fact as expired, and as of no confidence.
	Retract
	// Reduce: the sweep lowers the confidence of the fact, which lives on.
	Reduce
)

// Protection is why a fact is left alone although a rule would select it.
type Protection string

// The protections, in the order in which the first that applies is the one reported.
const (
	System               Protection = "system"                 // a stigmem: name, in entity or relation
	Rel                  Protection = "rel"                    // a relation in rel:
	LegalHold            Protection = "legal_hold"             // an active legal-hold tombstone on the entity
	QuarantinePending    Protection = "quarantine_pending"     // awaiting a moderator
	UnreadableTimestamp  Protection = "unreadable_timestamp"   // no age can be told
	UnreadableValidUntil Protection = "unreadable_valid_until" // has an expiry that cannot be read
	Exempt               Protection = "exempt"                 // named by exempt_relations of the policy that matches
	KeptAsNewest         Protection = "kept_as_newest"         // among the newest that keep_last keeps
)

// ChangedMeanwhile: the fact changed between as-of and now, or between being read and being written. It is no
// protection: such a fact counts as selected.
const ChangedMeanwhile Protection = "changed_meanwhile"

// Verdict is what the rules say of one fact.
type Verdict struct {
	Action     Action
	Rules      []string   // the rules that select the fact; none with Ignore and UnreadableTimestamp; shared, not to be changed
	Kept       Protection // set with Keep, and with Reduce where keep_last keeps the fact from expiring
	Policy     string     // id of the policy that has a part in what is to be written; "" is none
	Confidence *float64   // to be written; nil keeps what is there
	NeedsRank  bool       // it turns on whether the fact is among the newest of its group
	Shadow     Shadow
}

// Shadow is what a policy in mode dry_run would do, were it to act. It is counted, and changes nothing.
type Shadow struct {
	Policy    string // its id; "" is none
	Retract   bool
	Reduce    bool
	NeedsRank bool // see Verdict
}

// Some tells whether there is anything to count.
func (a Shadow) Some() bool { return a.Retract || a.Reduce }

// Acts tells whether the verdict asks for a write.
func (v Verdict) Acts() bool { return v.Action >= Expire }

// Expires tells whether the fact ends.
func (v Verdict) Expires() bool { return v.Action == Expire || v.Action == Retract }

// Reduces tells whether the fact fades, whatever else becomes of it.
func (v Verdict) Reduces() bool { return v.Acts() && v.Action != Retract && v.Confidence != nil }

// Retracts tells whether the fact also gets a row in the retraction log: the floor rule's facts and those
// of a policy that retracts do, facts that only grew old do not.
func (v Verdict) Retracts() bool {
	return v.Action == Retract || v.Action == Expire && len(v.Rules) > 0 && v.Rules[len(v.Rules)-1] == NameFloor
}

// Live tells whether a fact has not expired at asOf. An expiry that cannot be read has not come.
func Live(c *fact.Candidate, asOf time.Time) bool {
	until := c.EffectiveValidUntil()
	if until == nil {
		return true
	}
	end, err := fact.ParseInstant(*until)
	return err != nil || end.After(asOf)
}

// Reason says in words why the rules of v select the fact: one sentence for a report.
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

// isSystem: a stigmem: name is the node's own, but a stigmem:// name is ordinary content. Case is
// ignored for ASCII letters on both databases; LIKE alone would ignore it on SQLite only.
func isSystem(name string) bool {
	return hasPrefixFold(name, "stigmem:") && !hasPrefixFold(name, "stigmem://")
}

// hasPrefixFold ignores the case of ASCII letters and of nothing else; prefix is in lower case.
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
