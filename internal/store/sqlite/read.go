package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"

	"decayctl/internal/fact"
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

// heldSQL: an active legal hold covers the fact f. A hold whose scope is not one of the four (the
// star, a list, anything else) covers every scope: in doubt the fact lives. The plus keeps the index
// on the tenant out of it: nearly every tombstone is of the same one.
const heldSQL = `EXISTS (
		SELECT 1 FROM tombstones t
		WHERE t.entity_uri = f.entity AND +t.tenant_id = f.tenant_id AND t.legal_hold <> 0
		  AND (t.scope = f.scope OR t.scope NOT IN ('local', 'team', 'company', 'public'))
		  AND ` + unrevokedSQL + `)`

// unrevokedSQL: the tombstone t has no revocation by its own issuer. A revocation that another issuer signed lifts
// nothing, and neither does one whose issuer is NULL: in doubt the fact lives.
const unrevokedSQL = `NOT EXISTS (
			SELECT 1 FROM tombstone_revocations r
			WHERE r.tombstone_id = t.id AND r.signed_by = t.signed_by COLLATE BINARY)`

// pendingSQL: the effective quarantine status of f is pending.
const pendingSQL = statusSQL + ` IS 'pending'`

// statusSQL is the effective quarantine status of f.
const statusSQL = `coalesce(
		(SELECT q.quarantine_status FROM fact_quarantine_status q WHERE q.fact_id = f.id),
		f.quarantine_status)`

// effective are SQL for what counts of a fact.
type effective struct{ until, confidence string }

var (
	own   = effective{"f.valid_until", "f.confidence"}                                                  // of a fact without an override
	under = effective{"coalesce(o.valid_until, f.valid_until)", "coalesce(o.confidence, f.confidence)"} // of f under its override o
)

// plainIn finds the facts of a range that have no override, which is looked for last.
func plainIn(p store.CandidatesParams, common []string) (from string, args arguments) {
	return `FROM facts f
		WHERE ` + within(p.Range, "f.id", args.add) + ` AND ` + own.where(p, common, args.add) + `
		  AND NOT EXISTS (SELECT 1 FROM fact_validity_overrides o WHERE o.fact_id = f.id)`, args
}

// overriddenIn finds the facts of a range that have one. Those that it has ended are left out before the fact
// is looked up.
func overriddenIn(p store.CandidatesParams, common []string) (from string, args arguments) {
	return `FROM fact_validity_overrides o CROSS JOIN facts f ON f.id = o.fact_id
		WHERE ` + within(p.Range, "o.fact_id", args.add) + ` AND ` + live("o.valid_until", p.AsOf, common, args.add) + `
		  AND ` + under.where(p, common, args.add), args
}

// where is all that is asked of the fact f. The plus keeps the indexes on scope and tenant
// out of it: every range would read all facts of the scope.
func (e effective) where(p store.CandidatesParams, common []string, arg func(any) string) string {
	where := []string{live(e.until, p.AsOf, common, arg)}
	if p.Scope != "" {
		where = append(where, "+f.scope = "+arg(p.Scope))
	}
	if p.Tenant != "" {
		where = append(where, "+f.tenant_id = "+arg(p.Tenant))
	}
	if !p.Prefilter.Live {
		where = append(where, "("+strings.Join(e.selectable(p.Prefilter, arg), " OR ")+")")
	}
	return strings.Join(where, "\n\t\t  AND ")
}

// live leaves out what has surely expired. Stamps are compared as text only where they have the node's own
// form, in which text order is time order; every other stamp is read and left to Go.
func live(until string, asOf time.Time, common []string, arg func(any) string) string {
	return "(" + until + " IS NULL OR " + until + " > " + arg(fact.FormatInstant(asOf)) +
		" OR NOT (" + commonSQL(until, common, arg) + " OR " + canonicalSQL(until) + "))"
}

// selectable is what the rules may select: by age, by confidence, or by fading.
func (e effective) selectable(n store.Prefilter, arg func(any) string) []string {
	var wanted, old, fading []string
	aged := n.Age
	cutoff := func(before time.Time) string { return "f.timestamp <= " + arg(fact.FormatInstant(before)) }
	if n.Age && !n.Before.IsZero() {
		old = append(old, cutoff(n.Before))
	}
	for _, p := range n.Relations {
		aged = aged || p.Age
		if p.Age && !p.Before.IsZero() {
			old = append(old, related(p, arg)+" AND "+cutoff(p.Before))
		}
		if p.Fades {
			fading = append(fading, related(p, arg))
		}
	}
	if aged {
		old = append(old, "NOT "+canonicalSQL("f.timestamp"))
		wanted = append(wanted, "("+e.until+" IS NULL OR NOT "+canonicalSQL(e.until)+") AND ("+strings.Join(old, " OR ")+")")
	}
	if n.Below != nil {
		wanted = append(wanted, e.confidence+" > 0 AND "+e.confidence+" <= "+arg(*n.Below))
	}
	if fading != nil {
		wanted = append(wanted, e.confidence+" > 0 AND ("+strings.Join(fading, " OR ")+")")
	}
	if wanted == nil {
		wanted = append(wanted, "false")
	}
	return wanted
}

// related tells whether the fact f is of the relations of a part.
func related(p store.RelationFilter, arg func(any) string) string {
	switch {
	case p.Relation == "":
		return "true"
	case p.Prefix:
		return "instr(f.relation, " + arg(p.Relation) + ") = 1"
	}
	return "f.relation = " + arg(p.Relation)
}

// canonicalSQL tells whether a stamp has the node's own form and names a real date: text that
// fact.ParseInstant reads, and whose order is that of the instants. It is never NULL for a value
// that is not. octet_length sees past a NUL. strftime moves a 30 February to March; it takes longer than all
// the rest, and is asked about the last days of months alone.
func canonicalSQL(stamp string) string {
	const digits = "[0-9][0-9]"
	const seconds = digits + digits + "-" + digits + "-" + digits + "T" + digits + ":[0-5][0-9]:[0-5][0-9]"
	return strings.NewReplacer("$stamp", stamp).Replace(`(
			($stamp GLOB '` + seconds + `.` + digits + digits + digits + `+00:00' OR $stamp GLOB '` + seconds + `+00:00')
			AND octet_length($stamp) IN (25, 32) AND typeof($stamp) = 'text' AND $stamp >= '0001'
			AND substr($stamp, 12, 2) < '24' AND substr($stamp, 6, 2) BETWEEN '01' AND '12'
			AND (substr($stamp, 9, 2) BETWEEN '01' AND '28'
				OR strftime('%Y-%m-%dT%H:%M:%S', substr($stamp, 1, 19)) IS substr($stamp, 1, 19)))`)
}

// Lag is none: what copies a SQLite file is not known to it.
func (s *Store) Lag(context.Context) (store.Lag, error) { return store.Lag{}, nil }

// Now is this host's clock.
func (s *Store) Now(context.Context) (time.Time, error) { return s.params.Now(), nil }
