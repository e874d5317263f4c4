package sqlite

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"decayctl/internal/fact"
	"decayctl/internal/store"
)

// Most facts have no override. Each of their columns is read as one value, which has that of all facts line by line:
// a row for each fact takes the driver twice as long, and the garbage collector. Their texts are parts of those
// values, and keep them in memory.

// columns are what is read of facts, and what of it is known already.
type columns struct {
	*store.Protections
	source bool   // their source is wanted
	status string // SQL for the quarantine status that stands in a fact
	placed bool   // the place of each is the number of its row; else it has none
	alone  bool   // it is one fact, whose text may be of any length
}

// plain reads facts that have no override. Where a text has a line break in it, a row is read for each.
func (c columns) plain(ctx context.Context, tx querier, from string, args store.Args, room int) ([]fact.Candidate, error) {
	var ids, entities, relations, tenants, scopes, stamps, untils, confidences, holds, statuses, sources lines
	lists := []list{
		{"f.id", &ids}, {"f.entity", &entities}, {"f.relation", &relations}, {"f.tenant_id", &tenants}, {"f.scope", &scopes},
		{"f.timestamp", &stamps}, {optionalSQL("f.valid_until"), &untils}, {"f.confidence", &confidences},
		{optionalSQL(c.status), &statuses},
	}
	if !c.HoldsComplete() {
		lists = append(lists, list{heldSQL, &holds})
	}
	if c.source {
		lists = append(lists, list{"f.source", &sources})
	}
	var rows lines
	if c.placed {
		lists = append(lists, list{"f.rowid", &rows})
	}
	facts, sound, err := readLists(ctx, tx, lists, from, args)
	if err != nil && !errors.Is(err, errTooLong) {
		return nil, err
	}
	if !sound {
		return c.rows(ctx, tx, noOverrideSQL, from, args)
	}
	found := make([]fact.Candidate, facts, facts+room)
	for i := range found {
		f := &found[i]
		f.ID, f.Entity, f.Relation, f.Tenant, f.Scope = ids.cut(), entities.cut(), relations.cut(), tenants.cut(), scopes.cut()
		f.Timestamp, f.ValidUntil, f.Quarantine = stamps.cut(), optional(untils.cut()), optional(statuses.cut())
		f.Source, f.LegalHold = sources.cut(), holds.cut() == "1"
		if f.Confidence, err = strconv.ParseFloat(confidences.cut(), 64); err != nil {
			return c.rows(ctx, tx, noOverrideSQL, from, args)
		}
		if c.placed {
			if f.Place, err = strconv.Atoi(rows.cut()); err != nil {
				return nil, err
			}
		}
		c.Protect(f)
	}
	return found, nil
}

// list is a column, and where its lines go.
type list struct {
	column string
	to     *lines
}

// readLists reads columns. They are not sound where a text has a line break in it. Where all texts of a column are too
// long for one value it fails with errTooLong.
func readLists(ctx context.Context, tx querier, lists []list, from string, args store.Args) (rows int, sound bool, err error) {
	query, to := "SELECT count(*)", []any{&rows}
	for _, l := range lists {
		query += ", coalesce(group_concat(" + l.column + ", char(10)), '')"
		to = append(to, l.to)
	}
	if err = tx.QueryRowContext(ctx, query+" "+from, args...).Scan(to...); tooLong(err) {
		return 0, false, errTooLong
	}
	return rows, !slices.ContainsFunc(lists, func(l list) bool { return !l.to.are(rows) }), err
}

// lines are texts with line breaks in between.
type lines string

// cut takes the first text.
func (l *lines) cut() string {
	line, rest, _ := strings.Cut(string(*l), "\n")
	*l = lines(rest)
	return line
}

// are tells whether these are so many texts: they seem more if one has a line break in it. None is missing, since no
// column is NULL that is not read by optional.
func (l lines) are(texts int) bool { return strings.Count(string(l), "\n") == max(texts-1, 0) }

// optionalSQL is a column that may be NULL, to be read by optional.
func optionalSQL(column string) string { return "ifnull('=' || " + column + ", '')" }

func optional(line string) *string {
	text, some := strings.CutPrefix(line, "=")
	if !some {
		return nil
	}
	return &text
}

// What rows are read with.
const (
	overrideSQL   = "o.fact_id IS NOT NULL, o.valid_until, o.confidence, o.reason, o.updated_at, o.updated_by"
	noOverrideSQL = "false, NULL, NULL, NULL, NULL, NULL"
)

// numberedSQL are the facts whose row numbers a list has.
const numberedSQL = "json_each($1) b CROSS JOIN facts f ON f.rowid = b.value"

// rows reads facts row by row, as long as they are short.
func (c columns) rows(ctx context.Context, tx querier, override, from string, args store.Args) (found []fact.Candidate, err error) {
	text := 0
	err = c.eachRow(ctx, tx, override, from, args, func(f fact.Candidate) (bool, error) {
		if text += f.Text(); text > store.MaxPartText && !c.alone {
			return false, errTooLong
		}
		found = append(found, f)
		return true, nil
	})
	return found, err
}

// eachRow reads facts row by row, for as long as more are wanted.
func (c columns) eachRow(ctx context.Context, tx querier, override, from string, args store.Args, use func(fact.Candidate) (more bool, err error)) error {
	held, source, place := "0", "''", "0"
	if c.placed {
		place = "f.rowid"
	}
	if !c.HoldsComplete() {
		held = heldSQL
	}
	if c.source {
		source = "f.source"
	}
	rows, err := tx.QueryContext(ctx, "SELECT "+candidateColumns(override, held, c.status, source, place)+" "+from, args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for more := true; more && rows.Next(); {
		f, err := scanCandidate(rows)
		if err != nil {
			return err
		}
		c.Protect(&f)
		if more, err = use(f); err != nil {
			return err
		}
	}
	return rows.Err()
}

// candidateColumns are the columns that scanCandidate reads.
func candidateColumns(override, held, quarantine, source, place string) string {
	return `f.id, f.entity, f.relation, f.tenant_id, f.scope, f.timestamp, f.valid_until, f.confidence,
			` + override + `, ` + held + `, ` + quarantine + `, ` + source + `, ` + place
}

func scanCandidate(rows interface{ Scan(to ...any) error }) (c fact.Candidate, err error) {
	var o fact.Override
	var overridden bool
	var updatedAt *string
	err = rows.Scan(&c.ID, &c.Entity, &c.Relation, &c.Tenant, &c.Scope, &c.Timestamp,
		&c.ValidUntil, &c.Confidence, &overridden, &o.ValidUntil, &o.Confidence, &o.Reason,
		&updatedAt, &o.UpdatedBy, &c.LegalHold, &c.Quarantine, &c.Source, &c.Place)
	if err == nil && overridden {
		override := o
		override.UpdatedAt = *updatedAt
		c.Override = &override
	}
	return c, err
}

// inOrder puts facts into the order of their ids. They are in it, if SQLite goes by the index, which it does not
// promise for plain ones.
func inOrder(found []fact.Candidate) []fact.Candidate {
	byID := func(a, b fact.Candidate) int { return strings.Compare(a.ID, b.ID) }
	if !slices.IsSortedFunc(found, byID) {
		slices.SortFunc(found, byID)
	}
	return found
}

// merge makes one list, in the order of ids, of facts that have no override and those that have one.
func merge(plain, overridden []fact.Candidate) []fact.Candidate {
	plain = inOrder(plain)
	merged := append(plain, overridden...) //nolint:gocritic // its end is written from
	last := len(plain) - 1
	for to := len(merged) - 1; len(overridden) > 0; to-- {
		next := overridden[len(overridden)-1]
		if last >= 0 && merged[last].ID > next.ID {
			merged[to] = merged[last]
			last--
			continue
		}
		merged[to] = next
		overridden = overridden[:len(overridden)-1]
	}
	return merged
}
