package sqlite

import (
	"context"
	"fmt"
	"strings"

	"decayctl/internal/store"
)

// readByRowID are the tables that decayctl reads by rowid.
var readByRowID = map[string]bool{"facts": true, "fact_validity_overrides": true, "fact_quarantine_status": true, "tombstones": true}

// forms reads the forms of the tables that decayctl uses.
func (s *Store) forms(ctx context.Context) (map[string]store.Form, error) {
	indexes, err := tableIndexes(ctx, s.read)
	if err != nil {
		return nil, err
	}
	forms := map[string]store.Form{}
	for _, table := range store.TableNames() {
		form, err := s.form(ctx, table)
		if err != nil {
			return nil, err
		}
		form.Indexes = indexes[table]
		form.CreateIndex = func(l store.Lookup) string { return createIndex(table, l) }
		forms[table] = form
	}
	return forms, nil
}

func (s *Store) form(ctx context.Context, table string) (form store.Form, err error) {
	var kind string
	var withoutRowID, shadowed bool // shadowed by a column
	var c store.Column
	err = onRows(ctx, s.read)(`
		SELECT l.type, l.wr, lower(c.name), upper(c.type), c."notnull",
		       c.dflt_value IS NOT NULL OR c.pk AND upper(c.type) = 'INTEGER', c.hidden IN (2, 3)
		FROM pragma_table_list($1) l JOIN pragma_table_xinfo($1) c WHERE l.schema = 'main'`, []any{table}, []any{
		&kind, &withoutRowID, &c.Name, &c.Declared, &c.NotNull, &c.Default, &c.Generated,
	}, func() error {
		c.Type = affinity(c.Declared)
		if c.Declared == "" {
			c.Declared = "of no declaration"
		}
		shadowed = shadowed || strings.EqualFold(c.Name, "rowid")
		form.Columns = append(form.Columns, c)
		return nil
	})
	if err != nil || len(form.Columns) == 0 {
		return form, err
	}
	switch {
	case kind != "table":
		form.Kind = "a " + kind + " and no plain table"
	case withoutRowID && readByRowID[table]:
		form.Kind = "a table WITHOUT ROWID"
	case shadowed && readByRowID[table]:
		form.Kind = "a table with a column named rowid"
	default:
		return form, s.findFolded(ctx, table, form.Columns)
	}
	return form, nil
}

// affinity is the type that SQLite derives from a declared type. An index on a column without text affinity does not serve
// comparisons with a column of text.
func affinity(declared string) store.Type {
	has := func(parts ...string) bool {
		for _, part := range parts {
			if strings.Contains(declared, part) {
				return true
			}
		}
		return false
	}
	switch {
	case has("INT"):
		return store.BigInt
	case has("CHAR", "CLOB", "TEXT"):
		return store.Text
	case has("REAL", "FLOA", "DOUB"): //nolint:misspell // the rule of SQLite
		return store.Real
	}
	return store.Other
}

// findFolded sets Folded of the columns with another collation than BINARY. No pragma tells the collation, so it compares
// two texts. The first part of the UNION gives the columns their collations, the second the texts.
func (s *Store) findFolded(ctx context.Context, table string, columns []store.Column) error {
	var names, values, compared []string
	var folded []any
	for i := range columns {
		if c := &columns[i]; c.Type == store.Text {
			name := `"` + strings.ReplaceAll(c.Name, `"`, `""`) + `"`
			names, values = append(names, name), append(values, "'a'")
			compared, folded = append(compared, fmt.Sprintf("%[1]s = 'A' OR %[1]s = 'a '", name)), append(folded, &c.Folded)
		}
	}
	if len(names) == 0 {
		return nil
	}
	return s.read.QueryRowContext(ctx, fmt.Sprintf("SELECT %s FROM (SELECT %s FROM %q WHERE false UNION ALL SELECT %s)",
		strings.Join(compared, ", "), strings.Join(names, ", "), table, strings.Join(values, ", "))).Scan(folded...)
}
