// Package fact holds what a Stigmem fact store knows about one fact. It also parses and formats the node's timestamps. It
// imports no package of decayctl, does no I/O and has no clock.
package fact

import "strings"

// Scopes are the only values the store accepts in facts.scope.
var Scopes = []string{"local", "team", "company", "public"}

// Fact is the part of a row of facts that decay depends on. decayctl never writes such a row: signatures and hash chains
// cover it.
type Fact struct {
	ID         string
	Entity     string
	Relation   string
	Source     string // URI of the agent that asserted the fact; "" if it was not read
	Tenant     string
	Scope      string
	Timestamp  string  // when the fact was asserted, as stored: any text, see ParseInstant
	ValidUntil *string // base expiry, as stored; nil means the fact never expires by itself
	Confidence float64 // base confidence, 0 to 1
	Quarantine *string // base quarantine status, as stored; a row of fact_quarantine_status overrides it
}

// Override is a fact's row in fact_validity_overrides. If ValidUntil or Confidence is nil, the fact's own value counts.
type Override struct {
	ValidUntil *string
	Confidence *float64
	Reason     *string
	UpdatedAt  string
	UpdatedBy  *string
}

// Edge is the columns of a fact's graph edge that a sweep changes.
type Edge struct {
	ValidUntil *string  // as stored; nil is no expiry
	DecayEpoch *int64   // the sweep that ended the edge: its as-of in milliseconds since 1970
	Confidence *float64 // 0 to 1; nil if the sweep does not change it
}

// Context is what other tables of the store say about a fact.
type Context struct {
	Override          *Override // nil if the fact has no override
	LegalHold         bool      // an active legal-hold tombstone covers the fact's entity
	QuarantinePending bool      // the effective quarantine status is pending

	// Newest tells whether keep_last of the policy that decides keeps the fact; NewestShadow, whether that of the policy
	// in mode dry_run does. They are set only if the verdict depends on them.
	Newest, NewestShadow bool
}

// Candidate is a fact with all that rules need. Its texts may be parts of a longer text that many facts share, and keep
// that text in memory: see Clone.
type Candidate struct {
	Fact
	Context
	Place int // the fact's place in the order of ids, among the facts of the same range
}

// Clone copies the fact and its texts. It is for a fact that is kept longer than the range it was read with.
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

// Text is the length of all text of the fact and its override, in bytes.
func (c *Candidate) Text() int {
	n := len(c.ID) + len(c.Entity) + len(c.Relation) + len(c.Source) + len(c.Tenant) + len(c.Scope) + len(c.Timestamp) +
		length(c.ValidUntil) + length(c.Quarantine)
	return n + c.Override.Text()
}

// Text is the length of all text of the override in bytes, 0 for nil.
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

// EffectiveValidUntil is the override's expiry if it has one, else that of the fact's row. nil is no expiry.
func (c *Candidate) EffectiveValidUntil() *string {
	if c.Override != nil && c.Override.ValidUntil != nil {
		return c.Override.ValidUntil
	}
	return c.ValidUntil
}

// EffectiveConfidence is the override's confidence if it has one, else that of the fact's row.
func (c *Candidate) EffectiveConfidence() float64 {
	if c.Override != nil && c.Override.Confidence != nil {
		return *c.Override.Confidence
	}
	return c.Confidence
}
