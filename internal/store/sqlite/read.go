package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"decayctl/internal/store"
)

// Estimate is the largest rowid: rows of facts are never deleted.
func (s *Store) Estimate(ctx context.Context) (int64, error) {
	var rows sql.NullInt64
	err := s.read.QueryRowContext(ctx, "SELECT max(rowid) FROM facts").Scan(&rows)
	return rows.Int64, s.translate(err, "estimate the number of facts")
}

// NextRange finds the range that comes next, without claiming it.
func (s *Store) NextRange(ctx context.Context, p store.RangeParams) (store.Range, error) {
	next, err := s.nextRange(ctx, s.read, p)
	return next, s.translate(err, "read the facts")
}

// nextRange walks the id index alone. SQLite lets a TEXT primary key be NULL or a blob; a node
// never writes such ids, and they are passed over, since they have no place among the others.
func (s *Store) nextRange(ctx context.Context, tx querier, p store.RangeParams) (store.Range, error) {
	from, args := "id >= ''", []any{p.Size}
	if p.After.Set {
		from, args = "id > $2", append(args, p.After.ID)
	}
	next := store.Range{After: p.After, Mark: store.Mark(s.mark.Load())}
	// The last fact of a full range is found by stepping over the others, a third of what counting takes.
	facts := "FROM facts WHERE " + from + " AND id < x'' ORDER BY id LIMIT "
	var last sql.NullString
	err := tx.QueryRowContext(ctx, "SELECT id "+facts+"1 OFFSET $1 - 1", args...).Scan(&last)
	next.Facts = p.Size
	if errors.Is(err, sql.ErrNoRows) {
		err = tx.QueryRowContext(ctx, "SELECT max(id), count(*) FROM (SELECT id "+facts+"$1)", args...).Scan(&last, &next.Facts)
	}
	if last.Valid {
		next.Last = store.After(last.String)
	}
	return next, err
}

// plainIn finds the facts of a range that have no override, which is looked for last.
func plainIn(p store.CandidatesParams, common []string) (from string, args store.Args) {
	return `FROM facts f
		WHERE ` + within(p.Range, "f.id", args.Add) + ` AND ` + factSQL.Conditions(p, common, &args).Where(store.OwnColumns) + `
		  AND NOT EXISTS (SELECT 1 FROM fact_validity_overrides o WHERE o.fact_id = f.id)`, args
}

// overriddenIn finds the facts of a range that have one. Those that it has ended are left out before the fact
// is looked up.
func overriddenIn(p store.CandidatesParams, common []string) (from string, args store.Args) {
	return `FROM fact_validity_overrides o CROSS JOIN facts f ON f.id = o.fact_id
		WHERE ` + within(p.Range, "o.fact_id", args.Add) + ` AND ` + factSQL.Conditions(p, common, &args).Unexpired("o.valid_until") + `
		  AND ` + factSQL.Conditions(p, common, &args).Where(store.EffectiveColumns), args
}

// Now is this host's clock.
func (s *Store) Now(context.Context) (time.Time, error) { return s.params.Now(), nil }
