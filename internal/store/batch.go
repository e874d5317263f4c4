package store

import (
	"slices"
	"time"

	"decayctl/internal/fact"
	"decayctl/internal/job"
	"decayctl/internal/rule"
)

// Batch is what one transaction writes.
type Batch struct {
	Lease       Lease
	Claim       Claim      // as it was before the batch
	UpTo        Cursor     // the last fact that the batch covers; the claim goes on behind it
	ClosesClaim bool       // the batch covers all that is left of the claim, which ends by it
	Count       job.Counts // of the facts that the batch covers but for its Expiries; Counts adds those

	Expiries []Expiry  // facts to change, in id order; may be none
	AsOf     time.Time // becomes valid_until and retracted_at, in microseconds
	Stamp    time.Time // becomes updated_at, in whole seconds

	Job          job.Job // as it was joined
	Irreversible bool    // write the facts also where an undo would not find them
}

// Expiry is one fact to expire, or to lower the confidence of. The fact is written only if its override
// row still is what was read, or still absent, no legal hold or pending quarantine has appeared, and no expiry of it has
// passed by the store's clock.
type Expiry struct {
	Fact       *fact.Candidate // as read
	Rules      []string        // that select it
	Retraction string          // id of the row for the retraction log; "" is none

	Policy      string   // id of the policy that has a part in it; "" is none
	Confidence  *float64 // what the override and the edge get; nil keeps what is there
	KeepsExpiry bool     // the fact does not expire: its confidence is all that changes

	// What the transaction that writes the batch finds.
	Excluded bool       // the fact's expiry has passed, or it is protected by now: it is not written
	Written  bool       // the override was written, and everything else follows it
	Edge     *fact.Edge // the edge as it was; nil is none
}

// Faded tells whether the fact fades. One that is retracted does not: it gets confidence 0.
func (e Expiry) Faded() bool { return e.Confidence != nil && *e.Confidence > 0 }

// After is the override that the fact gets.
func (e Expiry) After(asOf, stamp string) fact.Override {
	actor, reason := Actor, e.reason()
	after := fact.Override{ValidUntil: &asOf, Confidence: e.Confidence, Reason: &reason, UpdatedAt: stamp, UpdatedBy: &actor}
	if o := e.Fact.Override; o != nil {
		if e.KeepsExpiry {
			after.ValidUntil = o.ValidUntil
		}
		if e.Confidence == nil {
			after.Confidence = o.Confidence
		}
	} else if e.KeepsExpiry {
		after.ValidUntil = nil
	}
	return after
}

func (e Expiry) reason() string {
	if e.Policy == "" {
		return Reason
	}
	return PolicyReason + e.Policy
}

const minVectorConfidence = 0.1 // as the node's settings promise: below this confidence a fact has no vector

// LosesVector tells whether the fact's vector goes.
func (e Expiry) LosesVector() bool {
	return !e.KeepsExpiry || e.Confidence != nil && *e.Confidence < minVectorConfidence
}

// SweptAt is the expiry that an earlier sweep gave the fact, or "". If the store's clock is behind that expiry, the fact
// is swept once more; its row in the retraction log stands.
func (e Expiry) SweptAt() string {
	o := e.Fact.Override
	if o == nil || o.ValidUntil == nil || o.Reason == nil || *o.Reason != Reason && job.PolicyOf(*o) == "" || o.UpdatedBy == nil || *o.UpdatedBy != Actor {
		return ""
	}
	return *o.ValidUntil
}

// Applied is what became of a batch.
type Applied struct {
	Changed []int      // places in Batch.Expiries that the guard held back
	Counts  job.Counts // of the whole job, this batch included
	Timing
}

// Timing is how long a transaction kept other writers out.
type Timing struct {
	Locked        time.Duration // from its first lock to its COMMIT
	AfterCommit   time.Duration // from its COMMIT until the call returned
	SoleWriterFor time.Duration // how long no other process has written to the store; 0 if the store cannot tell
}

// SoleWriterAfter is how long no other process has written to a store if decayctl takes itself for its only writer.
const SoleWriterAfter = 2 * time.Second

// CloneForAttempt is the batch with expiries of its own, for an attempt to write it to note what it finds.
func (b Batch) CloneForAttempt() Batch {
	b.Expiries = slices.Clone(b.Expiries)
	return b
}

// ExcludeExpired leaves out the facts whose expiry has passed by now. It may be the work of another sweeper since as-of, and
// must not be moved back.
func (b Batch) ExcludeExpired(now time.Time) {
	for i := range b.Expiries {
		e := &b.Expiries[i]
		e.Excluded = !rule.Live(e.Fact, now)
	}
}

// Counts is the counts of a batch once it is known which of its facts were written.
func (b Batch) Counts(locked time.Duration) job.Counts {
	c := job.Counts{}
	c.Add(b.Count)
	for _, e := range b.Expiries {
		c.Examined++
		if e.Written {
			c.Selected++
			c.AddTenant(e.Fact.Tenant, 1)
			c.Decayed++
			c.AddRules(e.Rules)
			if e.Faded() {
				c.AddReduced(!e.KeepsExpiry)
			}
		} else {
			c.AddKept(rule.ChangedMeanwhile, e.Fact.Tenant)
		}
	}
	if len(b.Expiries) > 0 {
		c.Batches, c.LongestLock = 1, locked
	}
	return c
}

// Covered is how many facts the batch covers, whatever becomes of them.
func (b Batch) Covered() int { return int(b.Count.Examined) + len(b.Expiries) }

// RemainingFacts is what remains of the claim's facts after the batch. Facts that appeared since the claim was
// made are counted by the batches that cover them, and by nobody twice.
func (b Batch) RemainingFacts() int {
	return max(0, b.Claim.Facts-b.Covered())
}

// FillsRange tells whether so many facts of the batch are a good part of the facts in its range. Then what belongs to facts of
// the range is cheaper to read in order than to look up fact by fact.
func (b Batch) FillsRange(facts int) bool { return b.Claim.IDs == nil && facts > b.Covered()/8 }

// Range is the part of the claim that the batch covers.
func (b Batch) Range() Range { return b.Claim.UpTo(b.UpTo) }

// Remaining is what the batch leaves of the claim.
func (b Batch) Remaining() Claim {
	rest := Claim{Number: b.Claim.Number, Range: b.Claim.Beyond(b.UpTo)}
	rest.Facts = b.RemainingFacts()
	return rest
}

// ByID is facts by their ids.
type ByID map[string]*Expiry

// NewByID makes facts known by their ids.
func NewByID(expiries []*Expiry) ByID {
	byID := make(ByID, len(expiries))
	for _, e := range expiries {
		byID[e.Fact.ID] = e
	}
	return byID
}

// MarkWritten says that the override of a fact was written. A database may tell of an id that is the same to it alone.
func (b ByID) MarkWritten(id string) {
	if e := b[id]; e != nil {
		e.Written = true
	}
}

// MarkExcluded says that a fact is protected by now.
func (b ByID) MarkExcluded(id string) {
	if e := b[id]; e != nil {
		e.Excluded = true
	}
}

// SetEdge says what the edge of a fact is.
func (b ByID) SetEdge(id string, edge *fact.Edge) {
	if e := b[id]; e != nil {
		e.Edge = edge
	}
}

// OverrideGroup is facts of a batch that had no override row, and get the same one but for the confidence.
type OverrideGroup struct {
	ValidUntil     *string // nil where the facts live on
	Reason         string
	SetsConfidence bool // each has a confidence to write
	List           []*Expiry
}

// Inserted notes how many overrides a statement has inserted for the group. known is false if that does not tell which.
func (g OverrideGroup) Inserted(n int64) (known bool) {
	known = n == int64(len(g.List))
	for _, e := range g.List {
		e.Written = e.Written || known
	}
	return known
}

// GroupByOverride groups facts that had no override row by what they get. A sweep without policies has one group.
func GroupByOverride(of []*Expiry, asOf string) []OverrideGroup {
	type key struct {
		policy                      string
		keepsExpiry, setsConfidence bool
	}
	var groups []OverrideGroup
	places := map[key]int{}
	for _, e := range of {
		k := key{e.Policy, e.KeepsExpiry, e.Confidence != nil}
		at, known := places[k]
		if !known {
			at, places[k] = len(groups), len(groups)
			groups = append(groups, OverrideGroup{ValidUntil: e.After(asOf, "").ValidUntil, Reason: e.reason(), SetsConfidence: k.setsConfidence})
		}
		groups[at].List = append(groups[at].List, e)
	}
	return groups
}

// WithoutOverride are the facts to be written that had no override row.
func (b Batch) WithoutOverride() []*Expiry {
	return b.filter(func(e *Expiry) bool { return !e.Excluded && e.Fact.Override == nil })
}

// All are the facts of the batch.
func (b Batch) All() []*Expiry { return b.filter(func(*Expiry) bool { return true }) }

// Overridden are the facts to be written that had an override row.
func (b Batch) Overridden() []*Expiry {
	return b.filter(func(e *Expiry) bool { return !e.Excluded && e.Fact.Override != nil })
}

// Done are the facts that were written.
func (b Batch) Done() []*Expiry {
	return b.filter(func(e *Expiry) bool { return e.Written })
}

// Unwritten are the facts that are not known to be written.
func (b Batch) Unwritten() []*Expiry {
	return b.filter(func(e *Expiry) bool { return !e.Written })
}

// LosingVectors are the facts that were written and have no vector any more.
func (b Batch) LosingVectors() []*Expiry {
	return b.filter(func(e *Expiry) bool { return e.Written && e.LosesVector() })
}

// Retracted are the facts that were written and belong in the retraction log.
func (b Batch) Retracted() []*Expiry {
	return b.filter(func(e *Expiry) bool { return e.Retraction != "" && e.Written })
}

func (b Batch) filter(keep func(*Expiry) bool) []*Expiry {
	kept := make([]*Expiry, 0, len(b.Expiries))
	for i := range b.Expiries {
		if e := &b.Expiries[i]; keep(e) {
			kept = append(kept, e)
		}
	}
	return kept
}

// Changed lists the places of the facts that were not written.
func (b Batch) Changed() []int {
	var places []int
	for i, e := range b.Expiries {
		if !e.Written {
			places = append(places, i)
		}
	}
	return places
}

// Card is the key of a memory card.
type Card struct{ Entity, Tenant, Scope string }

// Card is the memory card that the fact may stand in.
func (e *Expiry) Card() Card { return Card{e.Fact.Entity, e.Fact.Tenant, e.Fact.Scope} }

// Cards are the memory cards that facts of the batch may stand in, one for each fact that was written.
func (b Batch) Cards() []Card {
	done := b.Done()
	cards := make([]Card, len(done))
	for i, e := range done {
		cards[i] = e.Card()
	}
	return cards
}

// UniqueCards leaves out cards that come again.
func UniqueCards(cards []Card) []Card {
	seen := make(map[Card]bool, len(cards))
	return slices.DeleteFunc(cards, func(c Card) bool {
		again := seen[c]
		seen[c] = true
		return again
	})
}
