package sqlite

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"decayctl/internal/fact"
	"decayctl/internal/store"
)

// readTexts reads columns of text. Each column comes as one value that has the texts of all rows as lines, which is faster
// than reading row by row. The texts are parts of these values, and keep them in memory. sound is false if a text
// has a line break. No column may be NULL.
func readTexts(ctx context.Context, tx querier, columns []string, from string, args store.Args) (texts [][]string, sound bool, err error) {
	var rows int
	values := make([]string, len(columns))
	query, to := "SELECT count(*)", []any{&rows}
	for i, column := range columns {
		query += ", coalesce(group_concat(" + column + ", char(10)), '')"
		to = append(to, &values[i])
	}
	if err := tx.QueryRowContext(ctx, query+" "+from, args...).Scan(to...); err != nil {
		return nil, false, err
	}
	texts = make([][]string, len(columns))
	if rows == 0 {
		return texts, true, nil
	}
	for i, value := range values {
		if texts[i] = strings.Split(value, "\n"); len(texts[i]) != rows {
			return nil, false, nil
		}
	}
	return texts, true, nil
}

// readIndex reads the columns id and value of a query whose rows are in the order of ids.
func readIndex(ctx context.Context, tx querier, query string, args store.Args) (ids, values []string, err error) {
	columns, sound, err := readTexts(ctx, tx, []string{"id", "value"}, "FROM ("+query+")", args)
	if err != nil {
		return nil, nil, err
	}
	// SQLite does not promise that group_concat keeps the order of rows.
	if sound && slices.IsSorted(columns[0]) {
		return columns[0], columns[1], nil
	}
	var id, value string
	err = onRows(ctx, tx)(query, args, []any{&id, &value}, func() error {
		ids, values = append(ids, id), append(values, value)
		return nil
	})
	return ids, values, err
}

func parseRow(text string) (int64, error) { return strconv.ParseInt(text, 10, 64) }

// optionalSQL is SQL for a text that may be NULL: the text after an equals sign, or "". optional parses that.
func optionalSQL(column string) string { return "ifnull('=' || " + column + ", '')" }

func optional(line string) *string {
	text, some := strings.CutPrefix(line, "=")
	if !some {
		return nil
	}
	return &text
}

// readColumns reads facts without an override, column by column. If that fails, it reads them row by row.
func (c *scan) readColumns(ctx context.Context, tx querier, from string, args store.Args) ([]fact.Candidate, error) {
	held, status, source := c.selected()
	texts, sound, err := readTexts(ctx, tx, []string{
		"f.id", "f.entity", "f.relation", "f.tenant_id", "f.scope", "f.timestamp", optionalSQL("f.valid_until"), "f.confidence",
		held, optionalSQL(status), source, "f.rowid",
	}, from, args)
	if err != nil {
		return nil, err
	}
	if !sound {
		return c.readRowByRow(ctx, tx, noOverrideSQL, from, args)
	}
	found := make([]fact.Candidate, len(texts[0]))
	for i := range found {
		f := &found[i]
		f.ID, f.Entity, f.Relation, f.Tenant, f.Scope = texts[0][i], texts[1][i], texts[2][i], texts[3][i], texts[4][i]
		f.Timestamp, f.ValidUntil = texts[5][i], optional(texts[6][i])
		f.LegalHold, f.Quarantine, f.Source = texts[8][i] == "1", optional(texts[9][i]), texts[10][i]
		if f.Confidence, err = strconv.ParseFloat(texts[7][i], 64); err != nil {
			return c.readRowByRow(ctx, tx, noOverrideSQL, from, args)
		}
		if f.Place, err = strconv.Atoi(texts[11][i]); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// selected is SQL for the columns of a candidate that need not be read from the tables in every case: a constant if the
// protections are loaded, or if the source is not asked for.
func (c *scan) selected() (held, status, source string) {
	held, status, source = "0", "f.quarantine_status", "''"
	if !c.protections.HoldsComplete() {
		held = heldSQL
	}
	if !c.protections.StatusesComplete() {
		status = statusSQL
	}
	if c.params.Source {
		source = "f.source"
	}
	return held, status, source
}

// The columns of a fact's override o, and of no override.
const (
	overrideSQL   = "o.fact_id IS NOT NULL, o.valid_until, o.confidence, o.reason, o.updated_at, o.updated_by"
	noOverrideSQL = "false, NULL, NULL, NULL, NULL, NULL"
)

// readRowByRow reads facts row by row.
func (c *scan) readRowByRow(ctx context.Context, tx querier, override, from string, args store.Args) (found []fact.Candidate, err error) {
	held, status, source := c.selected()
	rows, err := tx.QueryContext(ctx, "SELECT "+candidateColumns(override, held, status, source)+" "+from, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	text := 0
	for rows.Next() {
		f, err := scanCandidate(rows)
		if err != nil {
			return nil, err
		}
		found = append(found, f)
		if text += f.Text(); text > store.MaxPartText && len(found) > 1 {
			return nil, errTooLong
		}
	}
	return found, rows.Err()
}

// candidateColumns is the columns that scanCandidate reads.
func candidateColumns(override, held, status, source string) string {
	return `f.id, f.entity, f.relation, f.tenant_id, f.scope, f.timestamp, f.valid_until, f.confidence,
			` + override + `, ` + held + `, ` + status + `, ` + source + `, f.rowid`
}

// scanCandidate reads a fact. Place is its rowid; see setPlaces.
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
