package postgres

import (
	"context"
	"errors"
	"slices"

	"github.com/jackc/pgx/v5"
)

// foreignKey is a foreign key between two tables.
type foreignKey struct {
	name, definition string
	from, to         keyEnd
}

// keyEnd is a table of a foreign key, with the columns of the key.
type keyEnd struct {
	schema, table string
	columns       []string
	at            found // now
}

func (e keyEnd) sql() string { return pgx.Identifier{e.schema, e.table}.Sanitize() }

// moveForeignKeys adds the foreign keys that are in the way to the statements that move tables. Each is dropped before the first of
// its tables moves. What Citus allows afterwards is put back behind the last one.
func (s *Store) moveForeignKeys(ctx context.Context, tx pgx.Tx, facts int64) error {
	misplaced, order := s.cluster.Misplaced, map[string]int{}
	for i, m := range misplaced {
		order[s.table(m.Table)] = i
	}
	keys, err := s.foreignKeys(ctx, tx)
	if err != nil {
		return err
	}
	drops, adds := make([][]string, len(misplaced)), make([][]string, len(misplaced))
	for _, k := range keys {
		from, fromMoves := order[k.from.sql()]
		to, toMoves := order[k.to.sql()]
		switch {
		case !fromMoves && !toMoves:
			continue
		case !fromMoves:
			from = to
		case !toMoves:
			to = from
		}
		alter, name := "ALTER TABLE "+k.from.sql()+" ", pgx.Identifier{k.name}.Sanitize()
		drop := alter + "DROP CONSTRAINT " + name + ";"
		if s.later(k.from, facts).mayRefer(s.later(k.to, facts)) {
			adds[max(from, to)] = append(adds[max(from, to)], alter+"ADD CONSTRAINT "+name+" "+k.definition+";")
		} else {
			drop += " -- for good: Citus does not allow it"
		}
		drops[min(from, to)] = append(drops[min(from, to)], drop)
	}
	for i, m := range misplaced {
		misplaced[i].Statements = slices.Concat(drops[i], m.Statements, adds[i])
	}
	return nil
}

// foreignKeys reads the foreign keys from and to the tables of the store. The empty search_path makes the server write the names of
// tables with their schema.
func (s *Store) foreignKeys(ctx context.Context, tx pgx.Tx) (all []foreignKey, err error) {
	part, err := tx.Begin(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, part.Rollback(ctx)) }()
	if _, err := part.Exec(ctx, "SET LOCAL search_path = ''"); err != nil {
		return nil, err
	}
	end := func(table, columns string) string {
		return `
			SELECT n.nspname AS schema, c.relname AS name,
			       ARRAY(SELECT a.attname FROM unnest(` + columns + `) WITH ORDINALITY AS u(num, place)
			             JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = u.num ORDER BY u.place)::text[],
			       coalesce(p.partmethod::text, ''), coalesce(p.repmodel::text, ''),
			       coalesce(pg_catalog.column_to_column_name(p.logicalrelid, p.partkey), ''), coalesce(p.colocationid, 0)::bigint
			FROM pg_catalog.pg_class c
			JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
			LEFT JOIN pg_catalog.pg_dist_partition p ON p.logicalrelid = c.oid
			WHERE c.oid = ` + table
	}
	rows, err := part.Query(ctx, `
		SELECT k.conname, pg_catalog.pg_get_constraintdef(k.oid), f.*, t.*
		FROM pg_catalog.pg_constraint k
		CROSS JOIN LATERAL (`+end("k.conrelid", "k.conkey")+`) f
		CROSS JOIN LATERAL (`+end("k.confrelid", "k.confkey")+`) t
		WHERE k.contype = 'f' AND k.conparentid = 0 AND $1 IN (f.schema, t.schema)
		ORDER BY f.name, k.conname, f.schema`, s.schema)
	if err != nil {
		return nil, err
	}
	var k foreignKey
	columns := func(e *keyEnd) []any {
		return []any{&e.schema, &e.table, &e.columns, &e.at.method, &e.at.model, &e.at.column, &e.at.colocation}
	}
	_, err = pgx.ForEachRow(rows, slices.Concat([]any{&k.name, &k.definition}, columns(&k.from), columns(&k.to)), func() error {
		all = append(all, k)
		return nil
	})
	return all, err
}

// spread is where the rows of a table are after all tables were moved.
type spread struct {
	reference, local bool
	key              int // the position in a foreign key of the column that puts a row into the shard of its fact; -1 is none
}

// later is where the rows of a table are to be: a table that a sweep does not need stays where it is. facts is the colocation of
// facts.
func (s *Store) later(e keyEnd, facts int64) spread {
	reference, local, column := e.at.model == "t", e.at.local(), ""
	if e.at.method == "h" && e.at.colocation == facts {
		column = e.at.column
	}
	for _, p := range placement() {
		if s.table(p.table) == e.sql() && !p.orLocal {
			reference, local, column = p.reference, !p.reference && p.column == "", p.column
		}
	}
	key := -1
	if column != "" {
		key = slices.Index(e.columns, column)
	}
	return spread{reference, local, key}
}

// mayRefer tells whether Citus allows a foreign key from a table to another.
func (from spread) mayRefer(to spread) bool {
	return to.reference || to.local && (from.local || from.reference) || from.key >= 0 && from.key == to.key
}
