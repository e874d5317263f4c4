package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"decayctl/internal/store"
)

// fewTombstones tells whether all tombstones may be read with every range and batch.
func (s *Store) fewTombstones(ctx context.Context, tx pgx.Tx) (few bool, err error) {
	err = tx.QueryRow(ctx, `SELECT count(*) <= $1 FROM (SELECT 1 FROM `+s.table("tombstones")+` LIMIT $1 + 1) t`,
		store.MaxTombstones).Scan(&few)
	return few, err
}

// loadProtections reads what belongs to the facts of a range; their holds only where tombstones are few.
func (s *Store) loadProtections(ctx context.Context, tx pgx.Tx, r store.Range, few bool) (*store.Protections, error) {
	b := &store.Protections{}
	if few {
		if err := s.loadHolds(ctx, tx, b); err != nil {
			return nil, err
		}
	}
	return b, s.loadStatuses(ctx, tx, r, b)
}

func (s *Store) loadHolds(ctx context.Context, tx pgx.Tx, b *store.Protections) error {
	rows, err := tx.Query(ctx, `
		SELECT t.entity_uri, t.tenant_id, t.scope FROM `+s.table("tombstones")+` t
		WHERE t.legal_hold <> 0 AND `+s.unrevokedSQL())
	if err != nil {
		return err
	}
	b.SetComplete()
	var entity, tenant, scope string
	_, err = pgx.ForEachRow(rows, []any{&entity, &tenant, &scope}, func() error {
		b.AddHold(entity, tenant, scope)
		return nil
	})
	return err
}

func (s *Store) loadStatuses(ctx context.Context, tx pgx.Tx, r store.Range, b *store.Protections) error {
	where, args := within(r, "fact_id")
	rows, err := tx.Query(ctx, `SELECT fact_id, quarantine_status FROM `+s.table("fact_quarantine_status")+` WHERE `+where, args...)
	if err != nil {
		return err
	}
	var id string
	var status *string
	_, err = pgx.ForEachRow(rows, []any{&id, &status}, func() error {
		b.AddStatus(id, status)
		return nil
	})
	return err
}

// within is the condition that a column lies in a range, and its arguments: $1, and $2 where the range
// neither is a list nor begins before the first fact. A range without a low end would be taken for a third of all
// facts by a planner that has no statistics, or plans for any values.
func within(r store.Range, column string) (string, []any) {
	switch {
	case r.IDs != nil:
		return column + " = " + anyKey, []any{r.IDs}
	case !r.After.Set:
		return column + " >= '' AND " + column + " <= $1", []any{r.Last.ID}
	}
	return column + " > $2 AND " + column + " <= $1", []any{r.Last.ID, r.After.ID}
}

// commonExpiries are the expiries that many overrides share, as those of earlier sweeps do. They are
// looked for once, among the overrides on some pages anywhere in the table: what was missed only costs time.
func (s *Store) commonExpiries(ctx context.Context, tx pgx.Tx) ([]string, error) {
	if known := s.common.Load(); known != nil {
		return *known, nil
	}
	overrides := s.table("fact_validity_overrides")
	var share *float64 // percent; NULL where it is no table that can be sampled
	if err := tx.QueryRow(ctx, `
		SELECT least(100, 100 * 2e6 / greatest(1, pg_catalog.pg_relation_size(oid)))::float8
		FROM pg_catalog.pg_class WHERE oid = $1::regclass AND relkind IN ('r', 'p', 'm')`, overrides).Scan(&share); err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return nil, err
	}
	sample := ""
	if share != nil {
		sample = fmt.Sprintf(" TABLESAMPLE SYSTEM (%g)", *share)
	}
	rows, err := tx.Query(ctx, `
		SELECT valid_until
		FROM (SELECT valid_until FROM `+overrides+sample+` LIMIT 20000) o
		WHERE octet_length(valid_until) <= 32
		GROUP BY valid_until HAVING count(*) >= 100 ORDER BY count(*) DESC LIMIT 20`)
	if err != nil {
		return nil, err
	}
	found, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, err
	}
	found = store.CommonExpiries(found)
	s.common.Store(&found)
	return found, nil
}
