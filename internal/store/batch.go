package store

import (
	"slices"
	"time"

	"decayctl/internal/fact"
	"decayctl/internal/job"
	"decayctl/internal/rule"
)

// Batch is what one transaction of a sweep writes.
type Batch struct {
	Lease       Lease
	Claim       Claim      // as it was before the batch
	UpTo        Cursor     // the last fact that the batch covers; the rest of the claim stays open
	ClosesClaim bool       // the batch covers all that is left of the claim
	Count       job.Counts // of the covered facts that are not in Expiries

	Expiries []Expiry  // facts to change, in the order of ids; may be empty
	AsOf     time.Time // becomes valid_until and retracted_at, in microseconds
	Stamp    time.Time // becomes updated_at, in whole seconds

	Job          job.Job // as it was when the worker joined
	Irreversible bool    // write the facts even if an undo could not find them
}

// Expiry is one fact to expire, or whose confidence is to be reduced. The fact is written only if its override is what
// was read, no legal hold or pending quarantine protects it by now, and it has not expired by the store's clock.
type Expiry struct {
	Fact       *fact.Candidate // as it was read
	Rules      []string        // names of the rules that select the fact
	Retraction string          // id of the row for the retraction log; "" is none

	Policy      string   // id of the policy that selects the fact; "" is none
	Confidence  *float64 // for the override and the edge, 0 to 1; nil keeps what is there
	KeepsExpiry bool     // only the confidence changes

	// The transaction that writes the batch fills in the rest.
	Excluded bool       // the fact has expired or is protected by now, and is not written
	Written  bool       // the override was written
	Edge     *fact.Edge // the edge before the batch; nil is none
}

// Faded tells whether the fact's confidence is reduced to a value above 0. A retracted fact gets confidence 0.
func (e Expiry) Faded() bool { return e.Confidence != nil && *e.Confidence > 0 }

// After is the override that the fact gets. asOf and stamp are Batch.AsOf and Batch.Stamp as text.
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

// minVectorConfidence is the node's: it keeps no vector of a fact below this confidence.
const minVectorConfidence = 0.1

// LosesVector tells whether the fact's vector is to be deleted: the fact expires, or its confidence gets too low.
func (e Expiry) LosesVector() bool {
	return !e.KeepsExpiry || e.Confidence != nil && *e.Confidence < minVectorConfidence
}

// SweptAt is the expiry that an earlier sweep gave the fact, or "". If that expiry is later than the store's clock, the
// fact is swept again, and the retraction log already has a row for it.
func (e Expiry) SweptAt() string {
	o := e.Fact.Override
	if o == nil || o.ValidUntil == nil || o.Reason == nil || *o.Reason != Reason && job.PolicyOf(*o) == "" || o.UpdatedBy == nil || *o.UpdatedBy != Actor {
		return ""
	}
	return *o.ValidUntil
}

// Applied is the result of a batch.
type Applied struct {
	Changed []int      // indexes in Batch.Expiries of the facts that were not written
	Counts  job.Counts // of the whole job, with this batch
	Timing
}

// Timing is how long a transaction kept other writers waiting.
type Timing struct {
	Locked        time.Duration // from its first lock to its COMMIT
	AfterCommit   time.Duration // from its COMMIT until the call returned
	SoleWriterFor time.Duration // how long no other process has written to the store; 0 if the store cannot tell
}

// SoleWriterAfter is the time without a write of another process after which decayctl assumes to be the only writer.
const SoleWriterAfter = 2 * time.Second

// CloneForAttempt copies the batch with its expiries. Each attempt to write a batch needs a copy, in which it notes what
// it finds.
func (b Batch) CloneForAttempt() Batch {
	b.Expiries = slices.Clone(b.Expiries)
	return b
}

// ExcludeExpired excludes the facts that have expired by now. Another program may have expired them after as-of, and
// their expiry must not be moved back to as-of.
func (b Batch) ExcludeExpired(now time.Time) {
	for i := range b.Expiries {
		e := &b.Expiries[i]
		e.Excluded = !rule.Live(e.Fact, now)
	}
}

// Counts is the counts of a batch after its facts were written. locked is for how long its locks were held.
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

// Covered is the number of facts that the batch covers, written or not.
func (b Batch) Covered() int { return int(b.Count.Examined) + len(b.Expiries) }

// RemainingFacts is the number of facts that the batch leaves of the claim. It is 0 if facts were added since the claim
// was made and the batches counted them.
func (b Batch) RemainingFacts() int {
	return max(0, b.Claim.Facts-b.Covered())
}

// FillsRange tells whether so many facts are more than an eighth of the facts that the batch covers. If so, it is
// cheaper to scan a table over the batch's range than to look each fact up.
func (b Batch) FillsRange(facts int) bool { return b.Claim.IDs == nil && facts > b.Covered()/8 }

// Range is the part of the claim that the batch covers.
func (b Batch) Range() Range { return b.Claim.UpTo(b.UpTo) }

// Remaining is the claim after the batch.
func (b Batch) Remaining() Claim {
	rest := Claim{Number: b.Claim.Number, Range: b.Claim.Beyond(b.UpTo)}
	rest.Facts = b.RemainingFacts()
	return rest
}

// ByID is the facts of a batch by their ids.
type ByID map[string]*Expiry

// NewByID makes a ByID of facts.
func NewByID(expiries []*Expiry) ByID {
	byID := make(ByID, len(expiries))
	for _, e := range expiries {
		byID[e.Fact.ID] = e
	}
	return byID
}

// MarkWritten notes that the override of a fact was written. It ignores an unknown id: a database may take two
// different texts for equal.
func (b ByID) MarkWritten(id string) {
	if e := b[id]; e != nil {
		e.Written = true
	}
}

// MarkExcluded notes that a fact is protected by now.
func (b ByID) MarkExcluded(id string) {
	if e := b[id]; e != nil {
		e.Excluded = true
	}
}

// SetEdge notes the edge that a fact has before the batch.
func (b ByID) SetEdge(id string, edge *fact.Edge) {
	if e := b[id]; e != nil {
		e.Edge = edge
	}
}

// OverrideGroup is facts without an override that get overrides which differ in the confidence only.
type OverrideGroup struct {
	ValidUntil     *string // nil if the facts keep their expiry
	Reason         string
	SetsConfidence bool // each fact has a confidence to write
	List           []*Expiry
}

// Inserted notes that a statement inserted n overrides for the group. known is false if some of the group were not
// inserted: n does not tell which.
func (g OverrideGroup) Inserted(n int64) (known bool) {
	known = n == int64(len(g.List))
	for _, e := range g.List {
		e.Written = e.Written || known
	}
	return known
}

// GroupByOverride groups facts without an override by the override that they get. A sweep without policies has one
// group.
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

// WithoutOverride are the facts to be written that had no override.
func (b Batch) WithoutOverride() []*Expiry {
	return b.filter(func(e *Expiry) bool { return !e.Excluded && e.Fact.Override == nil })
}

// All are the facts of the batch.
func (b Batch) All() []*Expiry { return b.filter(func(*Expiry) bool { return true }) }

// Overridden are the facts to be written that had an override.
func (b Batch) Overridden() []*Expiry {
	return b.filter(func(e *Expiry) bool { return !e.Excluded && e.Fact.Override != nil })
}

// Done are the facts whose override was written.
func (b Batch) Done() []*Expiry {
	return b.filter(func(e *Expiry) bool { return e.Written })
}

// Unwritten are the facts whose override was not written, as far as is known.
func (b Batch) Unwritten() []*Expiry {
	return b.filter(func(e *Expiry) bool { return !e.Written })
}

// LosingVectors are the written facts whose vector is to be deleted.
func (b Batch) LosingVectors() []*Expiry {
	return b.filter(func(e *Expiry) bool { return e.Written && e.LosesVector() })
}

// Retracted are the written facts that belong in the retraction log.
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

// Changed are the indexes in Expiries of the facts that were not written.
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

// Card is the memory card that may quote the fact.
func (e *Expiry) Card() Card { return Card{e.Fact.Entity, e.Fact.Tenant, e.Fact.Scope} }

// Cards are the memory cards of the written facts, one for each fact.
func (b Batch) Cards() []Card {
	done := b.Done()
	cards := make([]Card, len(done))
	for i, e := range done {
		cards[i] = e.Card()
	}
	return cards
}

// UniqueCards leaves out repeated cards. It changes the slice.
func UniqueCards(cards []Card) []Card {
	seen := make(map[Card]bool, len(cards))
	return slices.DeleteFunc(cards, func(c Card) bool {
		again := seen[c]
		seen[c] = true
		return again
	})
}
