// Package rule decides whether a fact is stale, and why. It is pure: no I/O and no clock, so that
// both databases, the dry run and the sweep share one judgement.
package rule

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// The rules' names, as they stand in reports and in JSON.
const (
	NameTTL   = "ttl"
	NameFloor = "min_confidence"
)

// Set is the rules of one sweep. A nil rule is off.
type Set struct {
	TTL      *TTL     // expire facts without an expiry of their own that are at least this old
	Floor    *Floor   // expire facts whose effective confidence is above 0 and below this
	Policies []Policy // in the order in which they are tried, see Order
	Only     string   // the id of the one policy that acts; "" is all, with ttl and floor
}

// Empty tells whether no rule is on. A sweep refuses an empty set: a cron line that silently does
// nothing is how stores fill up.
func (s Set) Empty() bool { return s.TTL == nil && s.Floor == nil && len(s.Policies) == 0 }

// Names are the names of the rules that are on, in the order in which reports show them. Policies that
// only count are among them.
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

// Sources tells whether a policy asks who asserted a fact.
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

// Words say the set to people, without what is in its policies.
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

// String is the canonical text of the set: equal sets give equal texts. Policies are JSON in it.
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

// Fingerprint tells one set from others in twelve hex digits. It is that of String, so it stays what
// it is from version to version.
func (s Set) Fingerprint() string {
	sum := sha256.Sum256([]byte(s.String()))
	return hex.EncodeToString(sum[:6])
}

// What stands before, and between, the parts of a set's text.
const (
	textPolicy  = "policy "
	textOnly    = "only "
	textBetween = ", "
)

// Cutoff is the latest stamp that is old enough for the TTL rule at asOf. It is false where no
// stamp can be: the rule is off, or longer than the calendar.
func (s Set) Cutoff(asOf time.Time) (time.Time, bool) { return s.TTL.Cutoff(asOf) }

// Cutoff is the latest stamp that has this age at asOf; false where the ttl is off, or longer than the
// calendar.
func (t *TTL) Cutoff(asOf time.Time) (time.Time, bool) {
	if t == nil {
		return time.Time{}, false
	}
	earliest := time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
	if int64(*t) > asOf.Unix()-earliest { // the subtraction below would overflow in the end
		return time.Time{}, false
	}
	return time.Unix(asOf.Unix()-int64(*t), int64(asOf.Nanosecond())).UTC(), true
}
