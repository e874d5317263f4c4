package sqlite

import (
	"context"
	"strconv"
	"strings"

	"decayctl/internal/store"
)

// loadProtections reads what belongs to the facts of a range.
func (s *Store) loadProtections(ctx context.Context, tx querier, r store.Range) (*store.Protections, error) {
	b, err := s.loadHolds(ctx, tx, r.Mark)
	if err != nil {
		return nil, err
	}
	return &b, loadStatuses(ctx, tx, r, &b)
}

// holdsAt is the holds of a store at a mark.
type holdsAt struct {
	mark  store.Mark
	holds store.Protections
}

// loadHolds reads the holds where tombstones are few, or takes those it has for a range of the same mark. A
// hold that somebody has put since changes the mark, and the batch looks at each fact once more.
func (s *Store) loadHolds(ctx context.Context, tx querier, mark store.Mark) (b store.Protections, err error) {
	if known := s.holds.Load(); known != nil && mark != 0 && known.mark == mark {
		return known.holds, nil
	}
	var tombstones int
	if err := tx.QueryRowContext(ctx, "SELECT coalesce(max(rowid), 0) FROM tombstones").Scan(&tombstones); err != nil {
		return b, err
	}
	if tombstones <= store.MaxTombstones {
		if err := loadHolds(ctx, tx, &b); err != nil {
			return b, err
		}
	}
	s.holds.Store(&holdsAt{mark, b})
	return b, nil
}

// loadHolds takes a scope that is no text for what it is to SQL: none of the four.
func loadHolds(ctx context.Context, tx querier, b *store.Protections) error {
	rows, err := tx.QueryContext(ctx, `
		SELECT t.entity_uri, t.tenant_id, CASE typeof(t.scope) WHEN 'text' THEN t.scope ELSE '' END FROM tombstones t
		WHERE t.legal_hold <> 0 AND `+unrevokedSQL)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	b.SetComplete()
	for rows.Next() {
		var entity, tenant, scope string
		if err := rows.Scan(&entity, &tenant, &scope); err != nil {
			return err
		}
		b.AddHold(entity, tenant, scope)
	}
	return rows.Err()
}

func loadStatuses(ctx context.Context, tx querier, r store.Range, b *store.Protections) error {
	a := arguments{}
	rows, err := tx.QueryContext(ctx, "SELECT fact_id, quarantine_status FROM fact_quarantine_status WHERE "+within(r, "fact_id", a.add), a...)
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
		b.AddStatus(id, status)
	}
	return rows.Err()
}

// arguments are the values of a statement, as far as it is written.
type arguments []any

// add adds a value, and names its place.
func (a *arguments) add(value any) string {
	*a = append(*a, value)
	return "$" + strconv.Itoa(len(*a))
}

// within is the condition that a column lies in a range.
func within(r store.Range, column string, arg func(any) string) string {
	if r.IDs != nil {
		list := pack(r.IDs)
		return column + " IN (" + strings.ReplaceAll(list.sql, "$1", arg(list.json)) + ")"
	}
	from := column + " >= ''"
	if r.After.Set {
		from = column + " > " + arg(r.After.ID)
	}
	return from + " AND " + column + " <= " + arg(r.Last.ID)
}

// commonExpiries are the expiries that many overrides share, as those of earlier sweeps do. They are
// looked for once, among some overrides from each end: what was missed only costs time.
func (s *Store) commonExpiries(ctx context.Context, tx querier) ([]string, error) {
	if known := s.common.Load(); known != nil {
		return *known, nil
	}
	found, err := s.strings(ctx, tx, `
		SELECT valid_until
		FROM (SELECT * FROM (SELECT valid_until FROM fact_validity_overrides ORDER BY rowid LIMIT 5000)
			UNION ALL SELECT * FROM (SELECT valid_until FROM fact_validity_overrides ORDER BY rowid DESC LIMIT 5000))
		WHERE typeof(valid_until) = 'text' AND octet_length(valid_until) <= 32
		GROUP BY valid_until HAVING count(*) >= 50 ORDER BY count(*) DESC LIMIT 20`)
	if err != nil {
		return nil, err
	}
	found = store.CommonExpiries(found)
	s.common.Store(&found)
	return found, nil
}

// commonSQL tells whether an expiry is one of the common ones. It is never NULL for one that is not.
func commonSQL(until string, common []string, arg func(any) string) string {
	if len(common) == 0 {
		return "0"
	}
	places := make([]string, len(common))
	for i, stamp := range common {
		places[i] = arg(stamp)
	}
	return until + " IN (" + strings.Join(places, ", ") + ")"
}
