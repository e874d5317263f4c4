package sqlite

import (
	"context"
	"slices"
	"strings"

	"decayctl/internal/fact"
	"decayctl/internal/store"
)

// beside is what a range of facts is read with, where reading it at once is cheaper than looking it up
// fact by fact: a look-up costs as much as reading ten rows in order.
type beside struct {
	held   map[string][]hold  // active legal holds by entity; nil where there are too many to read them all
	status map[string]*string // rows of fact_quarantine_status in the range, by fact
	common []string           // expiries that many facts share, in the node's own form
}

// hold is a legal hold on an entity. Its scope is "" where it covers every scope.
type hold struct{ tenant, scope string }

// maxTombstones is how many tombstones are read with every range, which takes some milliseconds.
const maxTombstones = 20_000

// readBeside reads what belongs to the facts of a range.
func (s *Store) readBeside(ctx context.Context, tx querier, r store.Range) (*beside, error) {
	b := &beside{status: map[string]*string{}}
	var tombstones int
	if err := tx.QueryRowContext(ctx, "SELECT coalesce(max(rowid), 0) FROM tombstones").Scan(&tombstones); err != nil {
		return nil, err
	}
	if tombstones <= maxTombstones {
		if err := b.readHolds(ctx, tx); err != nil {
			return nil, err
		}
	}
	if err := b.readStatus(ctx, tx, r); err != nil {
		return nil, err
	}
	var err error
	b.common, err = s.commonExpiries(ctx, tx)
	return b, err
}

func (b *beside) readHolds(ctx context.Context, tx querier) error {
	rows, err := tx.QueryContext(ctx, `
		SELECT t.entity_uri, t.tenant_id, t.scope FROM tombstones t
		WHERE t.legal_hold <> 0 AND NOT EXISTS (SELECT 1 FROM tombstone_revocations r WHERE r.tombstone_id = t.id)`)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	b.held = map[string][]hold{}
	for rows.Next() {
		var entity string
		var h hold
		if err := rows.Scan(&entity, &h.tenant, &h.scope); err != nil {
			return err
		}
		if !slices.Contains(fact.Scopes, h.scope) {
			h.scope = ""
		}
		b.held[entity] = append(b.held[entity], h)
	}
	return rows.Err()
}

func (b *beside) readStatus(ctx context.Context, tx querier, r store.Range) error {
	from, args := "fact_id >= ''", []any{r.Last.ID}
	if r.After.Set {
		from, args = "fact_id > $2", append(args, r.After.ID)
	}
	rows, err := tx.QueryContext(ctx, "SELECT fact_id, quarantine_status FROM fact_quarantine_status WHERE "+from+" AND fact_id <= $1", args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var id string
		var status *string
		if err := rows.Scan(&id, &status); err != nil {
			return err
		}
		b.status[id] = status
	}
	return rows.Err()
}

// commonExpiries are the expiries that many overrides share, as those of earlier sweeps do, and that
// have the node's own form. Comparing with them spares most expired facts the look at that form, which
// costs more than all the rest. They are looked for once, among some overrides from each end: what was
// missed only costs time.
func (s *Store) commonExpiries(ctx context.Context, tx querier) ([]string, error) {
	if known := s.common.Load(); known != nil {
		return *known, nil
	}
	found, err := s.strings(ctx, tx, `
		SELECT valid_until
		FROM (SELECT * FROM (SELECT valid_until FROM fact_validity_overrides ORDER BY rowid LIMIT 5000)
			UNION ALL SELECT * FROM (SELECT valid_until FROM fact_validity_overrides ORDER BY rowid DESC LIMIT 5000))
		WHERE typeof(valid_until) = 'text'
		GROUP BY valid_until HAVING count(*) >= 50 ORDER BY count(*) DESC LIMIT 20`)
	if err != nil {
		return nil, err
	}
	found = slices.DeleteFunc(found, func(stamp string) bool {
		t, err := fact.ParseInstant(stamp)
		return err != nil || stamp != fact.FormatInstant(t) && stamp != fact.FormatSecond(t)
	})
	s.common.Store(&found)
	return found, nil
}

// heldSQL tells of the fact f whether a legal hold covers it, as far as complete will not.
func (b *beside) heldSQL() string {
	if b.held != nil {
		return "0"
	}
	return heldSQL
}

// commonSQL tells whether the effective expiry of f is one of the common ones. It is never NULL for an
// expiry that is not.
func (b *beside) commonSQL(arg func(any) string) string {
	if len(b.common) == 0 {
		return "0"
	}
	places := make([]string, len(b.common))
	for i, stamp := range b.common {
		places[i] = arg(stamp)
	}
	return untilSQL + " IN (" + strings.Join(places, ", ") + ")"
}

// complete tells a fact what was read beside it. quarantine is the status in its own row.
func (b *beside) complete(c *fact.Candidate, quarantine *string) {
	for _, h := range b.held[c.Entity] {
		c.LegalHold = c.LegalHold || h.tenant == c.Tenant && (h.scope == "" || h.scope == c.Scope)
	}
	if status := b.status[c.ID]; status != nil {
		quarantine = status
	}
	c.QuarantinePending = quarantine != nil && *quarantine == "pending"
}
