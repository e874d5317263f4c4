package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"decayctl/internal/fact"
	"decayctl/internal/store"
)

// Estimate is what the planner believes, over all partitions. A table never analysed is guessed
// from its size.
func (s *Store) Estimate(ctx context.Context) (int64, error) {
	var rows int64
	err := s.within(ctx, reading, func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, `
			SELECT coalesce(sum(CASE WHEN c.reltuples >= 0 THEN c.reltuples
			                         ELSE pg_catalog.pg_relation_size(c.oid) / 400 END), 0)::bigint
			FROM pg_catalog.pg_class c
			WHERE c.relkind <> 'p'
			  AND (c.oid = $1::regclass OR c.oid IN (SELECT relid FROM pg_catalog.pg_partition_tree($1::regclass)))`, s.table("facts")).Scan(&rows)
	})
	return rows, s.translate(err, "estimate the number of facts")
}

// NextRange walks the id index alone, in the order the id column is collated in.
func (s *Store) NextRange(ctx context.Context, p store.RangeParams) (next store.Range, err error) {
	err = s.within(ctx, reading, func(tx pgx.Tx) error {
		next, err = s.nextRange(ctx, tx, p)
		return err
	})
	return next, s.translate(err, "read the facts")
}

func (s *Store) nextRange(ctx context.Context, tx pgx.Tx, p store.RangeParams) (store.Range, error) {
	where, args := "", []any{p.Size}
	if p.After.Set {
		where, args = "WHERE id > $2", append(args, p.After.ID)
	}
	next := store.Range{After: p.After}
	var last *string
	err := tx.QueryRow(ctx, `
		SELECT max(id), count(*)
		FROM (SELECT id FROM `+s.table("facts")+` `+where+` ORDER BY id LIMIT $1) r`,
		args...).Scan(&last, &next.Facts)
	next.Last = cursor(last)
	return next, err
}

// cursor is a place as the tables hold it; NULL is before the first fact.
func cursor(id *string) store.Cursor {
	if id == nil {
		return store.Cursor{}
	}
	return store.After(*id)
}

// place is the cursor as the tables hold it.
func place(at store.Cursor) *string {
	if !at.Set {
		return nil
	}
	return &at.ID
}

// heldSQL: an active legal hold covers the fact f. A hold whose scope is not one of the four (the
// star, a list, anything else) covers every scope: in doubt the fact lives. OFFSET 0 keeps it a look-up
// for each fact: as a join, every batch would read all tombstones. The concatenation keeps the index on
// tenant_id out of it, which has all tombstones of a tenant.
func (s *Store) heldSQL() string {
	return `EXISTS (
			SELECT 1 FROM ` + s.table("tombstones") + ` t
			WHERE t.entity_uri = f.entity AND t.tenant_id || '' = f.tenant_id AND t.legal_hold <> 0
			  AND (t.scope = f.scope OR t.scope NOT IN ('local', 'team', 'company', 'public'))
			  AND ` + s.unrevokedSQL() + `
			OFFSET 0)`
}

// unrevokedSQL: the tombstone t has no revocation by its own issuer. A revocation that another issuer signed lifts
// nothing, and neither does one whose issuer is NULL: in doubt the fact lives.
func (s *Store) unrevokedSQL() string {
	return `NOT EXISTS (
				SELECT 1 FROM ` + s.table("tombstone_revocations") + ` r
				WHERE r.tombstone_id = t.id AND r.signed_by = t.signed_by)`
}

// pendingSQL: the effective quarantine status of f is pending.
func (s *Store) pendingSQL() string { return s.statusSQL() + ` IS NOT DISTINCT FROM 'pending'` }

// statusSQL is the effective quarantine status of f.
func (s *Store) statusSQL() string {
	return `coalesce(
			(SELECT q.quarantine_status FROM ` + s.table("fact_quarantine_status") + ` q WHERE q.fact_id = f.id),
			f.quarantine_status)`
}

// partSize is how many facts are handed over at once.
const partSize = 1_000

// Candidates reads one range, on one state of the store. The range is put to the override table too: joined
// plainly, the planner would hash all of it for every range.
func (s *Store) Candidates(ctx context.Context, p store.CandidatesParams, use func([]fact.Candidate) error) error {
	err := s.onOneState(ctx, func(tx pgx.Tx) error {
		common, err := s.commonExpiries(ctx, tx)
		if err != nil {
			return err
		}
		few, err := s.fewTombstones(ctx, tx)
		if err != nil {
			return err
		}
		protections, err := s.loadProtections(ctx, tx, p.Range, few)
		if err != nil {
			return err
		}
		quarantine := "f.quarantine_status"
		if !protections.StatusesComplete() {
			quarantine = s.statusSQL()
		}
		fresh, err := s.fresh(ctx, tx, p.Range)
		if err != nil {
			return err
		}
		ask := s.candidatesQuery
		if fresh {
			ask = s.freshQuery
			// To read all pages of the table for a part of its facts may look cheap, and grows with the table. The
			// memory is the server's, to note which rows to fetch and to sort them.
			if _, err := tx.Exec(ctx, "SELECT set_config('enable_seqscan', 'off', true), set_config('work_mem', '32MB', true)"); err != nil {
				return err
			}
		}
		query, args := ask(p, common, s.selected(p, protections.HoldsComplete(), quarantine))
		place := 0
		return s.eachPart(ctx, tx, query, args, protections, func(part []fact.Candidate) error {
			for i := range part {
				part[i].Place = place
				place++
			}
			return use(part)
		})
	})
	return s.translate(err, "read the facts")
}

// fresh tells whether few facts of a range have an override.
func (s *Store) fresh(ctx context.Context, tx pgx.Tx, r store.Range) (bool, error) {
	if r.IDs != nil {
		return false, nil
	}
	where, args := within(r, "fact_id")
	var overrides int
	err := tx.QueryRow(ctx, "SELECT count(*) FROM "+s.table("fact_validity_overrides")+" WHERE "+where, args...).Scan(&overrides)
	return overrides < r.Facts/3, err
}

// eachPart hands over the facts that a query finds, with their protections, some at a time: no more than are
// kept in memory, whatever the length of their text.
func (s *Store) eachPart(ctx context.Context, tx pgx.Tx, query string, args []any, protections *store.Protections, use func([]fact.Candidate) error) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	part, text := make([]fact.Candidate, 0, partSize), 0
	if err := s.eachCandidate(ctx, tx, query, args, func(c fact.Candidate) error {
		protections.Protect(&c)
		text += c.Text()
		if part = append(part, c); len(part) < partSize && text <= store.MaxPartText {
			return nil
		}
		full := part
		part, text = make([]fact.Candidate, 0, partSize), 0
		err := use(full)
		if err != nil {
			stop() // else all that is left would be fetched before the rows are closed
		}
		return err
	}); err != nil {
		return err
	}
	return use(part)
}

func (s *Store) eachCandidate(ctx context.Context, tx pgx.Tx, query string, args []any, use func(fact.Candidate) error) error {
	rows, err := tx.Query(ctx, query, args...)
	if err != nil {
		return err
	}
	var c fact.Candidate
	var o fact.Override
	var confidence float32
	var overridden bool
	var overriddenConfidence *float32
	var updatedAt *string
	_, err = eachRow(rows, []any{&c.ID, &c.Entity, &c.Relation, &c.Tenant, &c.Scope,
		&c.Timestamp, &c.ValidUntil, &confidence, &overridden, &o.ValidUntil, &overriddenConfidence,
		&o.Reason, &updatedAt, &o.UpdatedBy, &c.LegalHold, &c.Quarantine, &c.Source,
	}, func() error {
		each := c
		each.Confidence = shortest(confidence)
		if overridden {
			override := o
			override.UpdatedAt, override.Confidence = *updatedAt, widened(overriddenConfidence)
			each.Override = &override
		}
		return use(each)
	})
	return err
}

// candidateColumns are the columns that candidates reads.
func candidateColumns(held, quarantine, source string) string {
	return `f.id, f.entity, f.relation, f.tenant_id, f.scope, f.timestamp, f.valid_until, f.confidence,
		       o.fact_id IS NOT NULL, o.valid_until, o.confidence, o.reason, o.updated_at, o.updated_by,
		       ` + held + `, ` + quarantine + `, ` + source
}

// shortest reads a float4 as the decimal it was written as, so that 0.7 is 0.7 and not
// 0.699999988: a confidence equal to the floor is not below it, here as on SQLite.
func shortest(value float32) float64 {
	wide, _ := strconv.ParseFloat(strconv.FormatFloat(float64(value), 'g', -1, 32), 64)
	return wide
}

// untilSQL is the effective expiry of the fact f under its override o.
const untilSQL = "coalesce(o.valid_until, f.valid_until)"

// narrowing is what a query of candidates is made of.
type narrowing struct {
	args  []any
	asOf  string // the as-of, as a parameter
	known string // the common expiries

	recoded bool // see Store
}

func (n *narrowing) arg(value any) string {
	n.args = append(n.args, value)
	return "$" + strconv.Itoa(len(n.args))
}

// newNarrowing begins a query that has some parameters already.
func (s *Store) newNarrowing(p store.CandidatesParams, common []string, args []any) *narrowing {
	n := &narrowing{args: args, recoded: s.recoded}
	n.asOf, n.known = n.arg(fact.FormatInstant(p.AsOf)), n.arg(common)
	return n
}

// live leaves out what has surely expired. Stamps are compared as text only where they have the node's
// own form, in which byte order is time order; every other stamp is read and left to Go.
func (n *narrowing) live(until string) string {
	return fmt.Sprintf(`(%[1]s IS NULL OR %[1]s COLLATE "C" > %[2]s OR NOT (coalesce(%[1]s = ANY(%[3]s::text[]), false) OR %[4]s))`,
		until, n.asOf, n.known, canonicalSQL(until))
}

// where is all that is asked of the fact f under its override o. The concatenation keeps the indexes on scope
// and tenant out of it: every range would read the entries of all facts of the scope.
func (n *narrowing) where(p store.CandidatesParams) string {
	where := []string{n.live(untilSQL)}
	if p.Scope != "" {
		where = append(where, "f.scope || '' = "+n.arg(p.Scope))
	}
	if p.Tenant != "" {
		where = append(where, "f.tenant_id || '' = "+n.arg(p.Tenant))
	}
	if !p.Prefilter.Live {
		where = append(where, "("+strings.Join(selectable(p.Prefilter, n.arg, n.recoded), " OR ")+")")
	}
	return strings.Join(where, "\n\t\t  AND ")
}

// selected are the columns of a candidate, as far as they are asked for.
func (s *Store) selected(p store.CandidatesParams, holdsKnown bool, quarantine string) string {
	held := s.heldSQL()
	if holdsKnown {
		held = "false"
	}
	source := "''"
	if p.Source {
		source = "f.source"
	}
	return candidateColumns(held, quarantine, source)
}

// freshQuery asks for the facts of a range few of which have an override: their rows are fetched in the
// order in which they lie, which takes half as long as to look each up.
func (s *Store) freshQuery(p store.CandidatesParams, common []string, selected string) (string, []any) {
	inRange, args := within(p.Range, "f.id")
	overrideInRange, _ := within(p.Range, "o.fact_id")
	n := s.newNarrowing(p, common, args)
	return `
		SELECT ` + selected + `
		FROM ` + s.table("facts") + ` f
		LEFT JOIN ` + s.table("fact_validity_overrides") + ` o ON o.fact_id = f.id AND ` + overrideInRange + `
		WHERE ` + inRange + ` AND ` + n.where(p) + `
		ORDER BY f.id`, n.args
}

// candidatesQuery asks for the facts of a range.
//
// What an override has expired is left out first, from the two indexes by id and from the overrides,
// which lie in id order: on a store that was swept before, few rows of facts are left to be fetched, and
// those lie anywhere. LATERAL with LIMIT keeps that a look-up by key; a plain join may scan all facts.
func (s *Store) candidatesQuery(p store.CandidatesParams, common []string, selected string) (string, []any) {
	inRange, args := within(p.Range, "f.id")
	overrideInRange, _ := within(p.Range, "o.fact_id")
	n := s.newNarrowing(p, common, args)
	return `
		WITH o AS MATERIALIZED (
			SELECT f.id, o.fact_id, o.valid_until, o.confidence, o.reason, o.updated_at, o.updated_by
			FROM ` + s.table("facts") + ` f
			LEFT JOIN ` + s.table("fact_validity_overrides") + ` o ON o.fact_id = f.id AND ` + overrideInRange + `
			WHERE ` + inRange + ` AND ` + n.live("o.valid_until") + `)
		SELECT ` + selected + `
		FROM o
		CROSS JOIN LATERAL (
			SELECT f.id, f.entity, f.relation, f.tenant_id, f.scope, f.timestamp, f.valid_until, f.confidence, f.quarantine_status, f.source
			FROM ` + s.table("facts") + ` f WHERE f.id = o.id LIMIT 1) f
		WHERE ` + n.where(p) + `
		ORDER BY f.id`, n.args
}

// smallestFloat4 is above 0 with every digit that a float4 has; the server refuses to cast less.
const smallestFloat4 = 0x1p-126

// selectable is what the rules may select: by age, by confidence, or by fading.
func selectable(n store.Prefilter, arg func(any) string, recoded bool) []string {
	const confidence = "coalesce(o.confidence, f.confidence)"
	var wanted, old, fading []string
	aged := n.Age
	cutoff := func(before time.Time) string {
		return `f.timestamp COLLATE "C" <= ` + arg(fact.FormatInstant(before))
	}
	if n.Age && !n.Before.IsZero() {
		old = append(old, cutoff(n.Before))
	}
	for _, p := range n.Relations {
		aged = aged || p.Age
		if p.Age && !p.Before.IsZero() {
			old = append(old, related(p, arg, recoded)+" AND "+cutoff(p.Before))
		}
		if p.Fades {
			fading = append(fading, related(p, arg, recoded))
		}
	}
	if aged {
		old = append(old, "NOT "+canonicalSQL("f.timestamp"))
		wanted = append(wanted, "("+untilSQL+" IS NULL OR NOT "+canonicalSQL(untilSQL)+") AND ("+strings.Join(old, " OR ")+")")
	}
	if n.Below != nil {
		// As float4, to which rounding keeps the order: nothing below the floor is lost.
		wanted = append(wanted, confidence+" > 0 AND "+confidence+" <= "+arg(max(*n.Below, smallestFloat4))+"::float8::float4")
	}
	if fading != nil {
		wanted = append(wanted, confidence+" > 0 AND ("+strings.Join(fading, " OR ")+")")
	}
	if wanted == nil {
		wanted = append(wanted, "false")
	}
	return wanted
}

// related tells whether the fact f is of the relations of a part. A relation that the database's encoding may
// not have is left to Go: as a parameter it would be an error.
func related(p store.RelationFilter, arg func(any) string, recoded bool) string {
	switch {
	case p.Relation == "" || recoded && !isASCII(p.Relation):
		return "true"
	case p.Prefix:
		return "starts_with(f.relation, " + arg(p.Relation) + ")"
	}
	return "f.relation = " + arg(p.Relation)
}

// canonicalSQL tells whether a stamp has the node's own form and names a real date: text that
// fact.ParseInstant reads, and whose byte order is that of the instants. 29 February is left to Go,
// which knows leap years. No regular expression: PostgreSQL takes longer over one than over all the
// rest of a row. translate knows the ten ASCII digits only.
func canonicalSQL(stamp string) string {
	return strings.NewReplacer("$stamp", stamp).Replace(`(
			translate($stamp, '0123456789', '9999999999') IN ('9999-99-99T99:99:99.999999+99:99', '9999-99-99T99:99:99+99:99')
			AND $stamp LIKE '%+00:00'
			AND $stamp COLLATE "C" >= '0001'
			AND substr($stamp, 12, 2) COLLATE "C" <= '23' AND substr($stamp, 15, 2) COLLATE "C" <= '59' AND substr($stamp, 18, 2) COLLATE "C" <= '59'
			AND substr($stamp, 6, 2) COLLATE "C" BETWEEN '01' AND '12' AND substr($stamp, 9, 2) COLLATE "C" BETWEEN '01' AND '31'
			AND (substr($stamp, 9, 2) COLLATE "C" <= '28'
			  OR substr($stamp, 6, 2) <> '02' AND substr($stamp, 9, 2) COLLATE "C" <= '30'
			  OR substr($stamp, 6, 2) IN ('01', '03', '05', '07', '08', '10', '12')))`)
}

// Lag is how long ago the server wrote what its slowest replica has applied last. A replica that has
// caught up has no lag to the server.
func (s *Store) Lag(ctx context.Context) (lag store.Lag, err error) {
	err = s.within(ctx, reading, func(tx pgx.Tx) error {
		var seconds float64
		err := tx.QueryRow(ctx, `
			SELECT coalesce(application_name, ''), extract(epoch FROM replay_lag)::float8
			FROM pg_catalog.pg_stat_replication
			WHERE replay_lag IS NOT NULL ORDER BY replay_lag DESC LIMIT 1`).Scan(&lag.Replica, &seconds)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		lag.Behind = time.Duration(seconds * float64(time.Second))
		return err
	})
	return lag, s.translate(err, "read how far replicas are behind")
}

// Now is the server's clock.
func (s *Store) Now(ctx context.Context) (now time.Time, err error) {
	err = s.within(ctx, reading, func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, "SELECT clock_timestamp()").Scan(&now)
	})
	return now, s.translate(err, "read the server's clock")
}
