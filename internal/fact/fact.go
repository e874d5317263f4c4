// Package fact holds what a Stigmem fact store knows about one fact, and reads and writes the
// store's timestamps. It is a leaf: it imports nothing of decayctl, does no I/O and has no clock.
package fact

import "strings"

// Scopes are the only values the store accepts in facts.scope.
var Scopes = []string{"local", "team", "company", "public"}

// Fact is the part of a row in the facts table that decay looks at. The row itself is append-only
// and never written: signatures and hash chains cover it.
type Fact struct {
	ID         string
	Entity     string
	Relation   string
	Source     string // who asserted it; "" where nobody asked the store for it
	Tenant     string
	Scope      string
	Timestamp  string  // when the fact was asserted, as stored: any text, see ParseInstant
	ValidUntil *string // base expiry, as stored; nil means the fact never expires by itself
	Confidence float64 // base confidence, 0 to 1
	Quarantine *string // base quarantine status, as stored; a row of fact_quarantine_status overrides it
}

// Override is a fact's row in fact_validity_overrides. A nil column overrides nothing.
type Override struct {
	ValidUntil *string
	Confidence *float64
	Reason     *string
	UpdatedAt  string
	UpdatedBy  *string
}

// Edge is what a sweep changes of the graph edge that a fact made.
type Edge struct {
	ValidUntil *string
	DecayEpoch *int64   // milliseconds since 1970
	Confidence *float64 // nil where nothing changed or changes it
}

// Context is what the store knows about a fact beyond the fact's own row.
type Context struct {
	Override          *Override // nil where the fact has no override row
	LegalHold         bool      // the fact's entity is under an active legal-hold tombstone
	QuarantinePending bool      // the effective quarantine status is pending

	// Whether the fact is among the newest of its group that keep_last of the policy that decides on it
	// keeps, and the same for the policy that only counts it. Looked up where a verdict turns on it.
	Newest, NewestShadow bool
}

// Candidate is a fact as a store reads it for judging: the row and its context. Texts of the row may be parts of
// long ones, that many facts were read with.
type Candidate struct {
	Fact
	Context
	Place int // in the order of ids, among all that were read with it
}

// Clone is for a fact that is kept for longer than those it was read with.
func (c *Candidate) Clone() Candidate {
	clone := *c
	for _, text := range []*string{
		&clone.ID, &clone.Entity, &clone.Relation, &clone.Source, &clone.Tenant, &clone.Scope, &clone.Timestamp,
	} {
		*text = strings.Clone(*text)
	}
	clone.ValidUntil, clone.Quarantine = cloneOf(c.ValidUntil), cloneOf(c.Quarantine)
	return clone
}

func cloneOf(text *string) *string {
	if text == nil {
		return nil
	}
	clone := strings.Clone(*text)
	return &clone
}

// Text is the length in bytes of all text that the fact and its override hold.
func (c *Candidate) Text() int {
	n := len(c.ID) + len(c.Entity) + len(c.Relation) + len(c.Source) + len(c.Tenant) + len(c.Scope) + len(c.Timestamp) +
		length(c.ValidUntil) + length(c.Quarantine)
	return n + c.Override.Text()
}

// Text is the length in bytes of all text that the override holds; that of no override is 0.
func (o *Override) Text() int {
	if o == nil {
		return 0
	}
	return length(o.ValidUntil) + length(o.Reason) + len(o.UpdatedAt) + length(o.UpdatedBy)
}

func length(text *string) int {
	if text == nil {
		return 0
	}
	return len(*text)
}

// EffectiveValidUntil is the override's expiry where it has one, else the base row's.
func (c *Candidate) EffectiveValidUntil() *string {
	if c.Override != nil && c.Override.ValidUntil != nil {
		return c.Override.ValidUntil
	}
	return c.ValidUntil
}

// EffectiveConfidence is the override's confidence where it has one, else the base row's.
func (c *Candidate) EffectiveConfidence() float64 {
	if c.Override != nil && c.Override.Confidence != nil {
		return *c.Override.Confidence
	}
	return c.Confidence
}
