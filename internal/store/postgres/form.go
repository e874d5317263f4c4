package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"decayctl/internal/store"
)

// types are the types of PostgreSQL that decayctl's statements work with. double precision is not among them: confidences are
// compared as real.
var types = map[string]store.Type{
	"text": store.Text, "character varying": store.Text,
	"real":    store.Real,
	"integer": store.Integer, "smallint": store.Integer, "bigint": store.BigInt,
}

// kinds is Form.Kind by relkind: "" for a table and a partitioned table.
var kinds = map[string]string{
	"r": "", "p": "",
	"v": "a view and no plain table", "m": "a materialized view and no plain table", "f": "a foreign table and no plain table",
}

// forms reads the catalogue, since information_schema hides columns that the role may not use. A domain counts as its base
// type. Each domain on the way to the base type may refuse NULL. A domain inherits the default of the domain below it. The
// search for base types begins with domains only: otherwise the server reads pg_type once per column, most of what Open costs.
func (s *Store) forms(ctx context.Context, tx pgx.Tx) (map[string]store.Form, error) {
	rows, err := tx.Query(ctx, `
		SELECT c.relname, c.relkind::text, c.relkind = 'r' AND EXISTS (SELECT 1 FROM pg_catalog.pg_inherits i WHERE i.inhparent = c.oid),
		       a.attname, pg_catalog.format_type(coalesce(d.base, t.oid), NULL),
		       pg_catalog.format_type(a.atttypid, a.atttypmod), a.attnotnull OR coalesce(d.refuses, false),
		       a.atthasdef OR a.attidentity <> '' OR t.typdefault IS NOT NULL, a.attgenerated <> '' OR a.attidentity = 'a', NOT coalesce(l.collisdeterministic, true)
		FROM pg_catalog.pg_class c
		JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid
		JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
		CROSS JOIN LATERAL (
			WITH RECURSIVE domains AS (
				SELECT t.oid, t.typbasetype, t.typnotnull WHERE t.typtype = 'd'
				UNION ALL SELECT b.oid, b.typbasetype, b.typnotnull FROM domains d JOIN pg_catalog.pg_type b ON b.oid = d.typbasetype)
			SELECT max(oid) FILTER (WHERE typbasetype = 0) AS base, bool_or(typnotnull) AS refuses FROM domains) d
		LEFT JOIN pg_catalog.pg_collation l ON l.oid = a.attcollation
		WHERE n.nspname = $1 AND c.relname = ANY($2::text[]) AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
		  AND a.attnum > 0 AND NOT a.attisdropped`, s.schema, store.AllTableNames())
	if err != nil {
		return nil, err
	}
	forms := map[string]store.Form{}
	var table, kind, base string
	var parent bool
	var c store.Column
	if _, err := pgx.ForEachRow(rows, []any{&table, &kind, &parent, &c.Name, &base, &c.Declared, &c.NotNull, &c.Default, &c.Generated, &c.Folded}, func() error {
		form := forms[table]
		form.Kind = kinds[kind]
		if parent {
			form.Kind = "a table that others inherit from"
		}
		c.Type = types[base]
		form.Columns = append(form.Columns, c)
		forms[table] = form
		return nil
	}); err != nil {
		return nil, err
	}
	relations, err := s.relations(ctx, tx)
	for table, form := range forms {
		if all := relations[table]; len(all) > 0 {
			form.Indexes, form.CreateIndex = all[0].indexes, all[0].createIndex // of the whole: partitions come behind it
			forms[table] = form
		}
	}
	return forms, err
}
