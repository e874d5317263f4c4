package store

import (
	"time"

	"decayctl/internal/fact"
	"decayctl/internal/job"
)

// Batch is what one transaction writes.
type Batch struct {
	Lease Lease
	Claim Claim      // as it was before the batch
	UpTo  Cursor     // the last fact that the batch covers; the claim goes on behind it
	Close bool       // the batch covers all that is left of the claim, which ends by it
	Count job.Counts // of the facts that the batch covers but for its Expiries; Settle adds those

	Expiries []Expiry  // in id order; may be none
	AsOf     time.Time // becomes valid_until and retracted_at, in microseconds
	Stamp    time.Time // becomes updated_at, in whole seconds
	Mark     Mark      // of the range that the facts were read in
}

// Expiry is one fact to expire. The fact is written only if its override row still is what was
// read, or still absent, and no legal hold or pending quarantine has appeared.
type Expiry struct {
	Fact       *fact.Candidate // as read
	Rules      []string        // that select it
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
	Counts  job.Counts    // of the whole job, this batch included
}

// Settle is the counts of a batch once it is known which of its facts were written.
func (b Batch) Settle(w Written, locked time.Duration) job.Counts {
	c := job.Counts{}
	c.Add(b.Count)
	for _, e := range b.Expiries {
		c.Examined++
		c.Selected++
		c.AddTenant(e.Fact.Tenant, 1)
		if w[e.Fact.ID] {
			c.Decayed++
			c.AddRules(e.Rules)
		} else {
			c.AddKept(job.ChangedMeanwhile)
		}
	}
	if len(b.Expiries) > 0 {
		c.Batches, c.LongestLock = 1, locked
	}
	return c
}

// Left is what remains of the claim's facts after the batch. Facts that appeared since the claim was
// made are counted by the batches that cover them, and by nobody twice.
func (b Batch) Left() int {
	return max(0, b.Claim.Facts-int(b.Count.Examined)-len(b.Expiries))
}

// Edges are the before-images of edges that the facts of a batch had, as they were found.
type Edges map[string]job.Edge

// Images are what an undo of the batch will need: the overrides that were there, and the edges that
// differed from what the node makes of their fact. Everything else can be told from the fact itself.
func (b Batch) Images(w Written, found Edges) []Image {
	var images []Image
	for _, e := range b.Done(w) {
		edge, ok := found[e.Fact.ID]
		plain := !ok || edge.DecayEpoch == nil && equal(edge.ValidUntil, e.Fact.ValidUntil)
		if plain && e.Fact.Override == nil {
			continue
		}
		image := Image{FactID: e.Fact.ID, Override: e.Fact.Override}
		if !plain {
			image.Edge = &edge
		}
		images = append(images, image)
	}
	return images
}

// Image is the state of a fact before a job changed it.
type Image struct {
	FactID   string
	Override *fact.Override // nil where there was none
	Edge     *job.Edge      // nil where there was none, or one as the node made it
}

func equal(a, b *string) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
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
