package sqlite

import (
	"context"

	"decayctl/internal/store"
)

// loadProtections loads those of the facts of a range.
func (s *Store) loadProtections(ctx context.Context, tx querier, r store.Range) (*store.Protections, error) {
	p, err := s.loadHolds(ctx, tx, r.Mark)
	if err != nil {
		return nil, err
	}
	args := store.Args{}
	where := within(r, "fact_id", args.Add)
	return &p, p.LoadStatuses(factSQL, where, args, onRows(ctx, tx))
}

// holdsAt is the holds of a store at a mark.
type holdsAt struct {
	mark  store.Mark
	holds store.Protections
}

// loadHolds loads the holds where tombstones are few, or takes those it has for a range of the same mark. A
// hold that another process has put since changes the mark, and the batch looks at each fact once more.
func (s *Store) loadHolds(ctx context.Context, tx querier, mark store.Mark) (p store.Protections, err error) {
	if known := s.holds.Load(); known != nil && mark != 0 && known.mark == mark {
		return known.holds, nil
	}
	var tombstones int
	if err := tx.QueryRowContext(ctx, "SELECT coalesce(max(rowid), 0) FROM tombstones").Scan(&tombstones); err != nil {
		return p, err
	}
	if tombstones <= store.MaxTombstones {
		if err := p.LoadHolds(factSQL, onRows(ctx, tx)); err != nil {
			return p, err
		}
	}
	s.holds.Store(&holdsAt{mark, p})
	return p, nil
}
