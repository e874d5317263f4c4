package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"decayctl/internal/store"
)

// factSQL is the conditions on facts in PostgreSQL's dialect. The concatenation keeps an index from being used. OFFSET 0 keeps
// a subquery from becoming a join, for which every batch would read all tombstones.
func (s *Store) factSQL() store.FactDialect {
	return store.FactDialect{
		Table:     s.table,
		Unindexed: "$column || ''",
		ByteOrder: ` COLLATE "C"`,
		Is:        "IS NOT DISTINCT FROM",
		Text:      "$column",
		LookUp:    "\n\t\t\tOFFSET 0",
		Canonical: canonicalSQL,
		OneOf:     oneOf,
		Prefix:    "starts_with($column, $text)",
		ASCIIOnly: s.notUTF8,
		Number:    "$number::float8::float4", // rounding to float4 keeps the order, so no fact below the floor is lost
		Smallest:  0x1p-126,                  // the server refuses to cast a smaller number to float4
	}
}

// canonicalSQL is false for 29 February: Go knows leap years. It uses translate and not a regular expression, which would take
// longer than all other conditions on a row. translate replaces only the ten ASCII digits.
const canonicalSQL = `(
			translate($stamp, '0123456789', '9999999999') IN ('9999-99-99T99:99:99.999999+99:99', '9999-99-99T99:99:99+99:99')
			AND $stamp LIKE '%+00:00'
			AND $stamp COLLATE "C" >= '0001'
			AND substr($stamp, 12, 2) COLLATE "C" <= '23' AND substr($stamp, 15, 2) COLLATE "C" <= '59' AND substr($stamp, 18, 2) COLLATE "C" <= '59'
			AND substr($stamp, 6, 2) COLLATE "C" BETWEEN '01' AND '12' AND substr($stamp, 9, 2) COLLATE "C" BETWEEN '01' AND '31'
			AND (substr($stamp, 9, 2) COLLATE "C" <= '28'
			  OR substr($stamp, 6, 2) <> '02' AND substr($stamp, 9, 2) COLLATE "C" <= '30'
			  OR substr($stamp, 6, 2) IN ('01', '03', '05', '07', '08', '10', '12')))`

// oneOf implements store.FactDialect.OneOf.
func oneOf(stamps []string, args *store.Args) string {
	return "coalesce($stamp = ANY(" + args.Add(stamps) + "::text[]), false)"
}

// within is the condition that a column of ids is in a range, with its arguments: $1, and $2 if the range has a low end and no
// list of ids. The condition always has a low end: without one, a planner without statistics expects a third of all facts.
func within(r store.Range, column string) (string, store.Args) {
	switch {
	case r.IDs != nil:
		return column + " = " + anyKey, store.Args{r.IDs}
	case !r.After.Set:
		return column + " >= '' AND " + column + " <= $1", store.Args{r.Last.ID}
	}
	return column + " > $2 AND " + column + " <= $1", store.Args{r.Last.ID, r.After.ID}
}

// commonExpiries are expiries that many overrides share, such as those of one earlier sweep. They are read once, from a sample
// of the table's pages. A missed one only costs time.
func (s *Store) commonExpiries(ctx context.Context, tx pgx.Tx) ([]string, error) {
	if known := s.common.Load(); known != nil {
		return *known, nil
	}
	overrides := s.table("fact_validity_overrides")
	var share *float64 // of the table's pages, in percent; NULL if the table cannot be sampled
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
