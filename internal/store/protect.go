package store

import (
	"slices"
	"strings"

	"decayctl/internal/fact"
)

// Protections holds the legal holds and quarantine states of a range. They are loaded once instead of fact by fact.
type Protections struct {
	held   map[string][]hold  // active legal holds, by entity; nil if each fact's are looked up
	status map[string]*string // quarantine status by fact, as far as it has a row of its own; nil if each is looked up

	heldText, statusText int // bytes of text in the two
}

// hold is a legal hold on an entity. Its scope is "" if it covers every scope.
type hold struct{ tenant, scope string }

// MaxTombstones is how many tombstones are read with every range and batch. If there are more, the tombstones of each
// fact are looked up.
const MaxTombstones = 20_000

// Query runs a statement. For each row it scans the columns into to and calls each. An error of each ends the reading.
type Query func(query string, args, to []any, each func() error) error

// LoadHolds loads all active legal holds.
func (p *Protections) LoadHolds(d FactDialect, query Query) error {
	p.held = map[string][]hold{}
	var entity, tenant, scope string
	return query(`
		SELECT t.entity_uri, t.tenant_id, `+strings.ReplaceAll(d.Text, "$column", "t.scope")+` FROM `+d.Table("tombstones")+` t
		WHERE t.legal_hold <> 0 AND NOT EXISTS (SELECT 1 FROM `+d.Table("tombstone_revocations")+` r WHERE `+d.revokes()+`)`, nil, []any{&entity, &tenant, &scope}, func() error {
		p.addHold(entity, tenant, scope)
		return nil
	})
}

// HoldsComplete tells whether all legal holds were loaded. If not, the holds of each fact must be looked up. That is so
// too if their text has more than MaxPartText bytes.
func (p *Protections) HoldsComplete() bool { return p.held != nil }

// addHold takes a hold whose scope is not one of the four (a star, a list, anything else) to cover every scope: in doubt
// the fact lives.
func (p *Protections) addHold(entity, tenant, scope string) {
	if p.heldText += len(entity) + len(tenant) + len(scope); p.heldText > MaxPartText {
		p.held = nil
		return
	}
	if !slices.Contains(fact.Scopes, scope) {
		scope = ""
	}
	p.held[entity] = append(p.held[entity], hold{tenant, scope})
}

// LoadStatuses loads the quarantine states of the facts for which a condition on fact_id holds.
func (p *Protections) LoadStatuses(d FactDialect, where string, args Args, query Query) error {
	p.status = map[string]*string{}
	var id string
	var status *string
	return query("SELECT fact_id, quarantine_status FROM "+d.Table("fact_quarantine_status")+" WHERE "+where, args, []any{&id, &status}, func() error {
		p.addStatus(id, status)
		return nil
	})
}

// StatusesComplete tells whether all quarantine states were loaded, as HoldsComplete does for holds.
func (p *Protections) StatusesComplete() bool { return p.status != nil }

// Complete tells whether neither holds nor quarantine states need to be looked up fact by fact.
func (p *Protections) Complete() bool { return p.HoldsComplete() && p.StatusesComplete() }

func (p *Protections) addStatus(factID string, status *string) {
	p.statusText += len(factID)
	if status != nil {
		p.statusText += len(*status)
	}
	if p.statusText > MaxPartText {
		p.status = nil
		return
	}
	p.status[factID] = status
}

// Protect sets LegalHold and QuarantinePending of a fact, as far as its protections were loaded.
func (p *Protections) Protect(c *fact.Candidate) {
	c.LegalHold = c.LegalHold || p.holds(c.Entity, c.Tenant, c.Scope)
	c.QuarantinePending = p.pending(c.ID, c.Quarantine)
}

func (p *Protections) holds(entity, tenant, scope string) bool {
	return slices.ContainsFunc(p.held[entity], func(h hold) bool {
		return h.tenant == tenant && (h.scope == "" || h.scope == scope)
	})
}

// pending tells whether the quarantine status of a fact is pending: its own row's, or else that of the fact.
func (p *Protections) pending(id string, status *string) bool {
	if own := p.status[id]; own != nil {
		status = own
	}
	return status != nil && *status == "pending"
}

// ExcludeProtected excludes the facts of a batch that a legal hold or a pending quarantine protects by now. Holds and
// quarantine states must be complete.
func (p *Protections) ExcludeProtected(b Batch) {
	for i := range b.Expiries {
		e := &b.Expiries[i]
		e.Excluded = e.Excluded || p.holds(e.Entity, e.Shared.Tenant, e.Shared.Scope) || p.pending(e.ID, e.own().Quarantine)
	}
}

// Held is the condition that an active legal hold covers the fact f. A hold whose scope is not one of the four covers
// every scope, as in addHold. The revocation is joined, since Citus pushes no second subquery down into this one.
func (d FactDialect) Held() string {
	return `EXISTS (
			SELECT 1 FROM ` + d.Table("tombstones") + ` t
			LEFT JOIN ` + d.Table("tombstone_revocations") + ` r ON ` + d.revokes() + `
			WHERE t.entity_uri = f.entity AND ` + d.unindexed("t.tenant_id") + ` = f.tenant_id AND t.legal_hold <> 0
			  AND (t.scope = f.scope OR t.scope NOT IN ('local', 'team', 'company', 'public'))
			  AND r.tombstone_id IS NULL` + d.LookUp + `)`
}

// revokes is the condition that the revocation r is of the issuer of the tombstone t. A revocation by another issuer, or
// with issuer NULL, does not count: in doubt the fact lives.
func (d FactDialect) revokes() string {
	return "r.tombstone_id = t.id AND r.signed_by = t.signed_by" + d.SameBytes
}

// Status is SQL for the effective quarantine status of the fact f.
func (d FactDialect) Status() string {
	return `coalesce(
			(SELECT q.quarantine_status FROM ` + d.Table("fact_quarantine_status") + ` q WHERE q.fact_id = f.id),
			f.quarantine_status)`
}

// Pending is the condition that the effective quarantine status of the fact f is pending.
func (d FactDialect) Pending() string { return d.Status() + " " + d.Is + " 'pending'" }
