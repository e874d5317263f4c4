package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"decayctl/internal/store"
)

// fewTombstones tells whether there are at most store.MaxTombstones.
func (s *Store) fewTombstones(ctx context.Context, tx pgx.Tx) (few bool, err error) {
	err = tx.QueryRow(ctx, `SELECT count(*) <= $1 FROM (SELECT 1 FROM `+s.table("tombstones")+` LIMIT $1 + 1) t`,
		store.MaxTombstones).Scan(&few)
	return few, err
}

// loadProtections loads the protections of a range. It loads legal holds only if there are few tombstones.
func (s *Store) loadProtections(ctx context.Context, tx pgx.Tx, r store.Range, few bool) (*store.Protections, error) {
	p := &store.Protections{}
	if few {
		if err := p.LoadHolds(s.factSQL(), onRows(ctx, tx)); err != nil {
			return nil, err
		}
	}
	where, args := within(r, "fact_id")
	return p, p.LoadStatuses(s.factSQL(), where, args, onRows(ctx, tx))
}

// onRows runs statements that return rows.
func onRows(ctx context.Context, tx pgx.Tx) store.Query {
	return func(query string, args, to []any, each func() error) error {
		rows, err := tx.Query(ctx, query, args...)
		if err != nil {
			return err
		}
		_, err = pgx.ForEachRow(rows, to, each)
		return err
	}
}
