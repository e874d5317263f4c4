package store

import (
	"time"

	"decayctl/internal/fact"
)

// Batch is what one transaction writes.
type Batch struct {
	Expiries []Expiry  // in id order
	AsOf     time.Time // becomes valid_until and retracted_at, in microseconds
	Stamp    time.Time // becomes updated_at, in whole seconds
	Mark     Mark      // of the range that the facts were read in
}

// Expiry is one fact to expire. The fact is written only if its override row still is what was
// read, or still absent, and no legal hold or pending quarantine has appeared.
type Expiry struct {
	Fact       *fact.Candidate // as read
	Retraction string          // id of the row for the retraction log; "" is none
}

// SweptAt is the expiry that an earlier sweep gave the fact, or "". Where clocks differ, or an as-of
// lies before an earlier one, a swept fact is swept once more; its row in the retraction log stands.
func (e Expiry) SweptAt() string {
	o := e.Fact.Override
	if o == nil || o.ValidUntil == nil || o.Reason == nil || *o.Reason != Reason || o.UpdatedBy == nil || *o.UpdatedBy != Actor {
		return ""
	}
	return *o.ValidUntil
}

// Applied is what became of a batch.
type Applied struct {
	Changed []int         // places in Batch.Expiries that the guard held back
	Locked  time.Duration // how long the transaction held its locks
}

// Written is the ids whose override a transaction wrote. Everything else in the batch follows it.
type Written map[string]bool

// Fresh are the facts of the batch that had no override row.
func (b Batch) Fresh() []Expiry {
	return b.filter(func(e Expiry) bool { return e.Fact.Override == nil })
}

// Overridden are the facts of the batch that had an override row.
func (b Batch) Overridden() []Expiry {
	return b.filter(func(e Expiry) bool { return e.Fact.Override != nil })
}

// Done are the facts that were written.
func (b Batch) Done(w Written) []Expiry {
	return b.filter(func(e Expiry) bool { return w[e.Fact.ID] })
}

// Retracted are the facts that were written and belong in the retraction log.
func (b Batch) Retracted(w Written) []Expiry {
	return b.filter(func(e Expiry) bool { return e.Retraction != "" && w[e.Fact.ID] })
}

func (b Batch) filter(keep func(Expiry) bool) []Expiry {
	kept := make([]Expiry, 0, len(b.Expiries))
	for _, e := range b.Expiries {
		if keep(e) {
			kept = append(kept, e)
		}
	}
	return kept
}

// Changed lists the places of the facts that were not written.
func (b Batch) Changed(w Written) []int {
	var places []int
	for i, e := range b.Expiries {
		if !w[e.Fact.ID] {
			places = append(places, i)
		}
	}
	return places
}

// Card is the key of a memory card.
type Card struct{ Entity, Tenant, Scope string }

// Cards are the memory cards that facts of the batch may stand in, each once.
func (b Batch) Cards(w Written) []Card {
	seen := map[Card]bool{}
	var cards []Card
	for _, e := range b.Done(w) {
		card := Card{e.Fact.Entity, e.Fact.Tenant, e.Fact.Scope}
		if !seen[card] {
			seen[card] = true
			cards = append(cards, card)
		}
	}
	return cards
}
