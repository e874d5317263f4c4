// Package rule decides whether a fact is stale, and why. It does no I/O and has no clock, so that sweep and dry run judge alike on
// both databases.
package rule

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// The names of rules in reports and in JSON.
const (
	NameTTL   = "ttl"
	NameFloor = "min_confidence"
)

// Set is the rules of one sweep. A nil rule is off.
type Set struct {
	TTL      *TTL     // expires facts without an expiry that are at least this old
	Floor    *Floor   // expires facts whose effective confidence is above 0 and below this
	Policies []Policy // in the order in which they are tried, see Order
	Only     string   // id of the only policy that acts; "" is all rules
}

// Empty tells whether no rule is on. A sweep refuses an empty set: a cron job that does nothing would not be noticed.
func (s Set) Empty() bool { return s.TTL == nil && s.Floor == nil && len(s.Policies) == 0 }

// Names are the names of the rules that are on, in the order of reports. Policies in mode dry_run are among them.
func (s Set) Names() []string {
	var names []string
	if s.TTL != nil {
		names = append(names, NameTTL)
	}
	if s.Floor != nil {
		names = append(names, NameFloor)
	}
	for i := range s.Policies {
		if p := &s.Policies[i]; s.Only == "" || s.Only == p.ID {
			names = append(names, p.Name())
		}
	}
	return names
}

// Sources tells whether a policy matches sources, so that stores must read them.
func (s Set) Sources() bool {
	for i := range s.Policies {
		if !glob(s.Policies[i].Source).any() {
			return true
		}
	}
	return false
}

// Policy is the policy with an id, or nil.
func (s Set) Policy(id string) *Policy {
	for i := range s.Policies {
		if s.Policies[i].ID == id {
			return &s.Policies[i]
		}
	}
	return nil
}

// Words is the set in words for people, with the number of its policies only.
func (s Set) Words() string {
	policies := s.Policies
	s.Policies, s.Only = nil, ""
	words := s.String()
	if len(policies) == 0 {
		return words
	}
	if words != "" {
		words += ", "
	}
	if len(policies) == 1 {
		return words + "1 policy"
	}
	return words + strconv.Itoa(len(policies)) + " policies"
}

// String is the canonical text of the set: equal sets have equal texts. Policies are JSON.
func (s Set) String() string {
	var parts []string
	if s.TTL != nil {
		parts = append(parts, NameTTL+" "+s.TTL.String())
	}
	if s.Floor != nil {
		parts = append(parts, NameFloor+" "+s.Floor.String())
	}
	for _, p := range s.Policies {
		parts = append(parts, textPolicy+p.String())
	}
	if s.Only != "" {
		only, _ := json.Marshal(s.Only) //nolint:errchkjson // a string always marshals
		parts = append(parts, textOnly+string(only))
	}
	return strings.Join(parts, textBetween)
}

// Fingerprint is twelve hex digits of the hash of String. It must not change between versions of decayctl.
func (s Set) Fingerprint() string {
	sum := sha256.Sum256([]byte(s.String()))
	return hex.EncodeToString(sum[:6])
}

// The prefixes and the separator of the parts of a set's text.
const (
	textPolicy  = "policy "
	textOnly    = "only "
	textBetween = ", "
)

// Cutoff is the latest timestamp that is old enough for the set's ttl at asOf. It is false if there is none: the ttl is off, or
// reaches back before the year 1.
func (s Set) Cutoff(asOf time.Time) (time.Time, bool) { return s.TTL.Cutoff(asOf) }

// Cutoff is the latest timestamp that has this age at asOf. It is false if the ttl is nil, or reaches back before the year 1.
func (t *TTL) Cutoff(asOf time.Time) (time.Time, bool) {
	if t == nil {
		return time.Time{}, false
	}
	earliest := time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
	if int64(*t) > asOf.Unix()-earliest { // else the subtraction below could overflow
		return time.Time{}, false
	}
	return time.Unix(asOf.Unix()-int64(*t), int64(asOf.Nanosecond())).UTC(), true
}
