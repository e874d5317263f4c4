// Package rule decides whether a fact is stale, and why. It is pure: no I/O and no clock, so that
// both databases, the dry run and the sweep share one judgement.
package rule

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
	"time"

	"decayctl/internal/fact"
)

// The rules' names, as they stand in reports and in JSON.
const (
	NameTTL   = "ttl"
	NameFloor = "min_confidence"
)

// Set is the rules of one sweep. A nil rule is off.
type Set struct {
	TTL   *TTL   // expire facts without an expiry of their own that are at least this old
	Floor *Floor // expire facts whose effective confidence is above 0 and below this
}

// Empty tells whether no rule is on. A sweep refuses an empty set: a cron line that silently does
// nothing is how stores fill up.
func (s Set) Empty() bool { return s.TTL == nil && s.Floor == nil }

// String is the canonical text of the set: equal sets give equal texts.
func (s Set) String() string {
	var parts []string
	if s.TTL != nil {
		parts = append(parts, NameTTL+" "+s.TTL.String())
	}
	if s.Floor != nil {
		parts = append(parts, NameFloor+" "+s.Floor.String())
	}
	return strings.Join(parts, ", ")
}

// Fingerprint tells one set from others in twelve hex digits. It is that of String, so it stays what
// it is from version to version.
func (s Set) Fingerprint() string {
	sum := sha256.Sum256([]byte(s.String()))
	return hex.EncodeToString(sum[:6])
}

// Cutoff is the latest stamp that is old enough for the TTL rule at asOf. It is false where no
// stamp can be: the rule is off, or longer than the calendar.
func (s Set) Cutoff(asOf time.Time) (time.Time, bool) {
	if s.TTL == nil {
		return time.Time{}, false
	}
	earliest := time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
	if int64(*s.TTL) > asOf.Unix()-earliest { // the subtraction below would overflow in the end
		return time.Time{}, false
	}
	return time.Unix(asOf.Unix()-int64(*s.TTL), int64(asOf.Nanosecond())).UTC(), true
}

// Action is what a verdict asks for.
type Action int

const (
	// Ignore: no rule selects the fact.
	Ignore Action = iota
	// Keep: a rule would select the fact, but a protection holds. Counted in every report.
	Keep
	// Expire: the sweep marks the fact as expired.
	Expire
)

// Protection is why a fact is left alone although a rule would select it.
type Protection string

// The protections, in the order in which the first that applies is the one reported.
const (
	System               Protection = "system"                 // a stigmem: name, in entity or relation
	Rel                  Protection = "rel"                    // a relation in rel:
	LegalHold            Protection = "legal_hold"             // an active legal-hold tombstone on the entity
	QuarantinePending    Protection = "quarantine_pending"     // still to be judged by a moderator
	UnreadableTimestamp  Protection = "unreadable_timestamp"   // its age cannot be told
	UnreadableValidUntil Protection = "unreadable_valid_until" // has an expiry that cannot be read
)

// Verdict is what the rules say of one fact.
type Verdict struct {
	Action Action
	Rules  []string   // the rules that select the fact; none with Ignore and UnreadableTimestamp; shared, not to be changed
	Kept   Protection // set with Keep only
}

// Retracts tells whether the fact also gets a row in the retraction log: the floor rule's facts do,
// facts that only grew old do not.
func (v Verdict) Retracts() bool {
	return v.Action == Expire && len(v.Rules) > 0 && v.Rules[len(v.Rules)-1] == NameFloor
}

// Shared by all verdicts, so that judging a million facts allocates nothing.
var selections = [4][]string{nil, {NameTTL}, {NameFloor}, {NameTTL, NameFloor}}

// Decide judges one fact at asOf. The result depends on its arguments only.
func (s Set) Decide(c *fact.Candidate, asOf time.Time) Verdict {
	until := c.EffectiveValidUntil()
	hasUntil, untilReadable := until != nil, true
	if hasUntil {
		end, err := fact.ParseInstant(*until)
		untilReadable = err == nil
		if untilReadable && !end.After(asOf) {
			return Verdict{} // expired already
		}
	}

	byFloor := s.Floor.selects(c.EffectiveConfidence())
	// An expiry of its own takes a fact out of the TTL rule. One that cannot be read does too, but
	// then the fact is reported as kept, so its age is looked at all the same.
	byAge, ageUnreadable := false, false
	if s.TTL != nil && (!hasUntil || !untilReadable) {
		stamp, err := fact.ParseInstant(c.Timestamp)
		cutoff, possible := s.Cutoff(asOf)
		ageUnreadable = err != nil
		byAge = err == nil && possible && !stamp.After(cutoff)
	}

	selected := 0
	if byAge {
		selected |= 1
	}
	if byFloor {
		selected |= 2
	}
	// Without the floor, an unreadable stamp is what keeps the fact from the TTL rule.
	undated := ageUnreadable && !hasUntil && !byFloor
	if selected == 0 && !undated {
		return Verdict{}
	}
	v := Verdict{Action: Expire, Rules: selections[selected]}
	switch {
	case isSystem(c.Entity) || isSystem(c.Relation):
		v.Kept = System
	case hasPrefixFold(c.Relation, "rel:"):
		v.Kept = Rel
	case c.LegalHold:
		v.Kept = LegalHold
	case c.QuarantinePending:
		v.Kept = QuarantinePending
	case undated:
		v.Kept = UnreadableTimestamp
	case !untilReadable:
		v.Kept = UnreadableValidUntil
	}
	if v.Kept != "" {
		v.Action = Keep
	}
	return v
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
	var parts []string
	for _, name := range v.Rules {
		switch name {
		case NameTTL:
			age := "old"
			if stamp, err := fact.ParseInstant(c.Timestamp); err == nil {
				age = TTL(asOf.Unix()-stamp.Unix()).Round().String() + " old"
			}
			parts = append(parts, age+", ttl "+s.TTL.String())
		case NameFloor:
			confidence := strconv.FormatFloat(c.EffectiveConfidence(), 'g', -1, 64)
			parts = append(parts, "confidence "+confidence+" below "+s.Floor.String())
		}
	}
	return strings.Join(parts, "; ")
}

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
