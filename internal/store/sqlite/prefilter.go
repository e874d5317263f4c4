package sqlite

import (
	"context"
	"strings"

	"decayctl/internal/store"
)

// factSQL is the conditions on facts in SQLite's dialect. The plus keeps an index from being used. Text is compared byte by
// byte, unless a column has another collation.
var factSQL = store.FactDialect{
	Table:     func(name string) string { return name },
	Unindexed: "+$column",
	SameBytes: " COLLATE BINARY",
	Is:        "IS",
	Text:      "CASE typeof($column) WHEN 'text' THEN $column ELSE '' END",
	Canonical: canonicalSQL,
	OneOf:     oneOf,
	Prefix:    "instr($column, $text) = 1",
	Number:    "$number",
}

// Conditions on the fact f: see store.FactDialect.
var (
	heldSQL    = factSQL.Held()
	pendingSQL = factSQL.Pending()
	statusSQL  = factSQL.Status()
)

const (
	twoDigits = "[0-9][0-9]"
	toSeconds = twoDigits + twoDigits + "-" + twoDigits + "-" + twoDigits + "T" + twoDigits + ":[0-5][0-9]:[0-5][0-9]"
)

// canonicalSQL uses octet_length, since length stops at a NUL. strftime finds dates such as 30 February. It is slow, and so
// is used for the last days of a month only.
const canonicalSQL = `(
			($stamp GLOB '` + toSeconds + `.` + twoDigits + twoDigits + twoDigits + `+00:00' OR $stamp GLOB '` + toSeconds + `+00:00')
			AND octet_length($stamp) IN (25, 32) AND typeof($stamp) = 'text' AND $stamp >= '0001'
			AND substr($stamp, 12, 2) < '24' AND substr($stamp, 6, 2) BETWEEN '01' AND '12'
			AND (substr($stamp, 9, 2) BETWEEN '01' AND '28'
				OR strftime('%Y-%m-%dT%H:%M:%S', substr($stamp, 1, 19)) IS substr($stamp, 1, 19)))`

// oneOf implements store.FactDialect.OneOf.
func oneOf(stamps []string, args *store.Args) string {
	if len(stamps) == 0 {
		return "0"
	}
	places := make([]string, len(stamps))
	for i, stamp := range stamps {
		places[i] = args.Add(stamp)
	}
	return "$stamp IN (" + strings.Join(places, ", ") + ")"
}

// within is the condition that a column of ids is in a range.
func within(r store.Range, column string, arg func(any) string) string {
	if r.IDs != nil {
		list := packIDs(r.IDs)
		return column + " IN (" + strings.ReplaceAll(list.sql, "$1", arg(list.json)) + ")"
	}
	from := column + " >= ''"
	if r.After.Set {
		from = column + " > " + arg(r.After.ID)
	}
	return from + " AND " + column + " <= " + arg(r.Last.ID)
}

// commonExpiries are expiries that many overrides share, such as those of one earlier sweep. They are read once, from some
// overrides at both ends of the table. A missed one only costs time.
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
