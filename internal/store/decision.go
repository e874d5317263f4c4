package store

import (
	"decayctl/internal/fact"
	"decayctl/internal/rule"
)

// Decision is one fact that a rule concerns, with the verdict on it: all that a batch needs to write the fact and to count
// it. The engine makes it when it judges the fact, and hands it to Apply as it is. A worker keeps tens of thousands, so a
// Decision is a third of a fact.Candidate: what many facts have in common is there once, and what few have is apart.
type Decision struct {
	ID, Entity string
	Confidence float64 // of the fact itself, 0 to 1
	Place      uint32  // in the order of ids, among the facts of the range
	Shared     *Shared // never nil
	Own        *Own    // nil if the fact has nothing of it, as most have
}

// Shared is what many decisions have in common.
type Shared struct {
	Tenant, Scope string
	Verdict       rule.Verdict // without a confidence
}

// Own is what few facts have, and what differs from fact to fact.
type Own struct {
	Override      *fact.Override
	ValidUntil    *string  // expiry of the fact itself, as stored
	Quarantine    *string  // quarantine status of the fact itself, as stored
	NewConfidence *float64 // of the verdict
}

// Decide is the decision on a fact that was judged. The caller gives what it shares with others, and owns its texts.
func Decide(c *fact.Candidate, v rule.Verdict, shared *Shared) Decision {
	d := Decision{ID: c.ID, Entity: c.Entity, Confidence: c.Confidence, Place: uint32(c.Place), Shared: shared} //nolint:gosec // a place in a range
	if c.Override != nil || c.ValidUntil != nil || c.Quarantine != nil || v.Confidence != nil {
		d.Own = &Own{Override: c.Override, ValidUntil: c.ValidUntil, Quarantine: c.Quarantine, NewConfidence: v.Confidence}
	}
	return d
}

// own is what the fact has of Own.
func (d *Decision) own() Own {
	if d.Own == nil {
		return Own{}
	}
	return *d.Own
}

// Verdict is the verdict as the rules gave it.
func (d *Decision) Verdict() rule.Verdict {
	v := d.Shared.Verdict
	v.Confidence = d.own().NewConfidence
	return v
}

// Override is the override of the fact as read; nil is none.
func (d *Decision) Override() *fact.Override { return d.own().Override }

// NewConfidence is the confidence that the override and the edge get; nil keeps what is there.
func (d *Decision) NewConfidence() *float64 { return d.own().NewConfidence }

// KeepsExpiry tells whether only the confidence changes.
func (d *Decision) KeepsExpiry() bool { return !d.Shared.Verdict.Expires() }

// EffectiveValidUntil is the expiry of the override if that has one, else the fact's own.
func (d *Decision) EffectiveValidUntil() *string {
	own := d.own()
	if own.Override != nil && own.Override.ValidUntil != nil {
		return own.Override.ValidUntil
	}
	return own.ValidUntil
}

// Text is how many bytes of text the statements of a batch have for the fact.
func (d *Decision) Text() int {
	return len(d.ID) + len(d.Entity) + len(d.Shared.Tenant) + len(d.Shared.Scope) + d.Override().Text()
}
