package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"decayctl/internal/store"
)

// factSQL is how PostgreSQL says what is asked about facts. The concatenation keeps an index out of it. OFFSET 0 keeps a
// subquery from becoming a join: every batch would read all tombstones.
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
		Number:    "$number::float8::float4", // to which rounding keeps the order: nothing below the floor is lost
		Smallest:  0x1p-126,                  // with every digit that a float4 has; the server refuses to cast less
	}
}

// canonicalSQL leaves 29 February to Go, which knows leap years. No regular expression: PostgreSQL takes longer over one
// than over all the rest of a row. translate knows the ten ASCII digits only.
const canonicalSQL = `(
			translate($stamp, '0123456789', '9999999999') IN ('9999-99-99T99:99:99.999999+99:99', '9999-99-99T99:99:99+99:99')
			AND $stamp LIKE '%+00:00'
			AND $stamp COLLATE "C" >= '0001'
			AND substr($stamp, 12, 2) COLLATE "C" <= '23' AND substr($stamp, 15, 2) COLLATE "C" <= '59' AND substr($stamp, 18, 2) COLLATE "C" <= '59'
			AND substr($stamp, 6, 2) COLLATE "C" BETWEEN '01' AND '12' AND substr($stamp, 9, 2) COLLATE "C" BETWEEN '01' AND '31'
			AND (substr($stamp, 9, 2) COLLATE "C" <= '28'
			  OR substr($stamp, 6, 2) <> '02' AND substr($stamp, 9, 2) COLLATE "C" <= '30'
			  OR substr($stamp, 6, 2) IN ('01', '03', '05', '07', '08', '10', '12')))`

// oneOf compares with an array of the stamps.
func oneOf(stamps []string, args *store.Args) string {
	return "coalesce($stamp = ANY(" + args.Add(stamps) + "::text[]), false)"
}

// within is the condition that a column lies in a range, and its arguments: $1, and $2 where the range
// neither is a list nor begins before the first fact. A range without a low end would be taken for a third of all
// facts by a planner that has no statistics, or plans for any values.
func within(r store.Range, column string) (string, store.Args) {
	switch {
	case r.IDs != nil:
		return column + " = " + anyKey, store.Args{r.IDs}
	case !r.After.Set:
		return column + " >= '' AND " + column + " <= $1", store.Args{r.Last.ID}
	}
	return column + " > $2 AND " + column + " <= $1", store.Args{r.Last.ID, r.After.ID}
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
