package store

import (
	"slices"

	"decayctl/internal/fact"
)

// Protections holds the legal holds and quarantine states of a range. They are loaded once instead of per fact.
type Protections struct {
	held   map[string][]hold  // active legal holds, by entity; nil where each fact's are looked up
	status map[string]*string // quarantine status by fact, as far as it has a row of its own; nil where each is looked up

	heldText, statusText int // bytes of text in the two
}

// hold is a legal hold on an entity. Its scope is "" where it covers every scope.
type hold struct{ tenant, scope string }

// MaxTombstones is how many tombstones may be read with every range and batch, which takes some
// milliseconds. Beyond it, a fact's are looked up.
const MaxTombstones = 20_000

// SetComplete says that AddHold will be told all active holds there are.
func (p *Protections) SetComplete() { p.held = map[string][]hold{} }

// HoldsComplete tells whether no fact's holds need to be looked up: that SetComplete was said, and that all holds together are
// short enough to be kept.
func (p *Protections) HoldsComplete() bool { return p.held != nil }

// AddHold adds an active hold. One whose scope is not one of the four (the star, a list, anything else)
// covers every scope: in doubt the fact lives.
func (p *Protections) AddHold(entity, tenant, scope string) {
	if p.heldText += len(entity) + len(tenant) + len(scope); p.heldText > MaxPartText {
		p.held = nil
		return
	}
	if !slices.Contains(fact.Scopes, scope) {
		scope = ""
	}
	p.held[entity] = append(p.held[entity], hold{tenant, scope})
}

// StatusesComplete tells whether the rows of AddStatus together are short enough to be kept. Else each fact's is looked up.
func (p *Protections) StatusesComplete() bool { return p.statusText <= MaxPartText }

// AddStatus adds a row of fact_quarantine_status.
func (p *Protections) AddStatus(factID string, status *string) {
	p.statusText += len(factID)
	if status != nil {
		p.statusText += len(*status)
	}
	if !p.StatusesComplete() {
		p.status = nil
		return
	}
	if p.status == nil {
		p.status = map[string]*string{}
	}
	p.status[factID] = status
}

// Protect notes on a fact what protects it.
func (p *Protections) Protect(c *fact.Candidate) {
	for _, h := range p.held[c.Entity] {
		c.LegalHold = c.LegalHold || h.tenant == c.Tenant && (h.scope == "" || h.scope == c.Scope)
	}
	status := c.Quarantine
	if own := p.status[c.ID]; own != nil {
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
