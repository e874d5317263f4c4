package store

import (
	"slices"
	"time"

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
		e.Excluded = !rule.LiveUntil(e.EffectiveValidUntil(), now)
	}
}

// Counts is the counts of a batch after its facts were written. locked is for how long its locks were held.
func (b Batch) Counts(locked time.Duration) job.Counts {
	c := job.Counts{}
	c.Add(b.Count)
	for i := range b.Expiries {
		e, outcome := &b.Expiries[i], job.Changed
		if e.Written {
			outcome = job.Written
		}
		c.AddFact(e.Shared.Tenant, e.Verdict(), outcome)
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

// WithoutOverride are the facts to be written that had no override.
func (b Batch) WithoutOverride() []*Expiry {
	return b.filter(func(e *Expiry) bool { return !e.Excluded && e.Override() == nil })
}

// All are the facts of the batch.
func (b Batch) All() []*Expiry { return b.filter(func(*Expiry) bool { return true }) }

// Overridden are the facts to be written that had an override.
func (b Batch) Overridden() []*Expiry {
	return b.filter(func(e *Expiry) bool { return !e.Excluded && e.Override() != nil })
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
func (e *Expiry) Card() Card { return Card{e.Entity, e.Shared.Tenant, e.Shared.Scope} }

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
