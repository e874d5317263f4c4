package store

import (
	"slices"

	"decayctl/internal/fact"
)

// Beside is what the facts of a range are read with where reading it at once, in order, is cheaper than
// looking it up fact by fact.
type Beside struct {
	held   map[string][]hold  // active legal holds, by entity; nil where each fact's are looked up
	status map[string]*string // quarantine status by fact, as far as it has a row of its own; nil where each is looked up

	heldText, statusText int // bytes of text in the two
}

// hold is a legal hold on an entity. Its scope is "" where it covers every scope.
type hold struct{ tenant, scope string }

// MaxTombstones is how many tombstones may be read with every range and batch, which takes some
// milliseconds. Beyond it, a fact's are looked up.
const MaxTombstones = 20_000

// HoldAll says that AddHold will be told all active holds there are.
func (b *Beside) HoldAll() { b.held = map[string][]hold{} }

// HoldsAll tells whether no fact's holds need to be looked up: that HoldAll was said, and that all holds together are
// short enough to be kept.
func (b *Beside) HoldsAll() bool { return b.held != nil }

// AddHold adds an active hold. One whose scope is not one of the four (the star, a list, anything else)
// covers every scope: in doubt the fact lives.
func (b *Beside) AddHold(entity, tenant, scope string) {
	if b.heldText += len(entity) + len(tenant) + len(scope); b.heldText > MaxPartText {
		b.held = nil
		return
	}
	if !slices.Contains(fact.Scopes, scope) {
		scope = ""
	}
	b.held[entity] = append(b.held[entity], hold{tenant, scope})
}

// StatusesAll tells whether the rows of AddStatus together are short enough to be kept. Else each fact's is looked up.
func (b *Beside) StatusesAll() bool { return b.statusText <= MaxPartText }

// AddStatus adds a row of fact_quarantine_status.
func (b *Beside) AddStatus(factID string, status *string) {
	b.statusText += len(factID)
	if status != nil {
		b.statusText += len(*status)
	}
	if !b.StatusesAll() {
		b.status = nil
		return
	}
	if b.status == nil {
		b.status = map[string]*string{}
	}
	b.status[factID] = status
}

// Complete tells a fact what was read beside it.
func (b *Beside) Complete(c *fact.Candidate) {
	for _, h := range b.held[c.Entity] {
		c.LegalHold = c.LegalHold || h.tenant == c.Tenant && (h.scope == "" || h.scope == c.Scope)
	}
	status := c.Quarantine
	if own := b.status[c.ID]; own != nil {
		status = own
	}
	c.QuarantinePending = status != nil && *status == "pending"
}

// CommonExpiries picks, of expiries that many facts share, those in the node's own form: what is equal to
// one of them need not be looked at for its form, which costs more than all the rest of a fact.
func CommonExpiries(found []string) []string {
	return slices.DeleteFunc(found, func(stamp string) bool {
		t, err := fact.ParseInstant(stamp)
		return err != nil || stamp != fact.FormatInstant(t) && stamp != fact.FormatSecond(t)
	})
}
