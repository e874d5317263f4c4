package postgres

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"decayctl/internal/store"
)

// skipKeys is the setting under which the server checks no foreign keys for the rest of a transaction. For each override, the
// check locks the row of the fact, and so writes the fact's page.
const skipKeys = "pg_catalog.set_config('session_replication_role', 'replica', true)"

var _ store.KeyChecked = (*Store)(nil)

// SkipForeignKeys implements store.KeyChecked.
func (s *Store) SkipForeignKeys(ctx context.Context) error {
	if s.cluster != nil {
		return &store.Error{Kind: store.Refused, Text: "--no-fk-checks: the tables are distributed by Citus, whose other servers would still check foreign keys; leave the option out"}
	}
	var checks store.KeyChecks
	err := s.within(ctx, reading, func(tx pgx.Tx) (err error) {
		checks, err = s.keyChecks(ctx, tx)
		return err
	})
	switch {
	case err != nil:
		return s.translate(err, "look at foreign keys")
	case len(checks.Obstacles) > 0:
		return &store.Error{Kind: store.Refused, Text: "--no-fk-checks cannot be used because of " + strings.Join(checks.Obstacles, ", ") + "; leave the option out"}
	case checks.Grant != "":
		return &store.Error{
			Kind: store.NotPermitted, Detail: checks.Grant + "\n",
			Text: "--no-fk-checks: the role may not set session_replication_role; have a superuser run the statement below, or leave the option out",
		}
	case !checks.Permitted:
		return &store.Error{Kind: store.NotPermitted, Text: "--no-fk-checks: only a superuser may set session_replication_role before PostgreSQL 15; leave the option out"}
	}
	s.skipKeys.Store(true)
	return nil
}

// keyChecks finds out whether batches could skip foreign keys.
func (s *Store) keyChecks(ctx context.Context, tx pgx.Tx) (k store.KeyChecks, err error) {
	if k.Permitted, err = maySkipKeys(ctx, tx); err != nil {
		return k, err
	}
	if !k.Permitted {
		var role string
		var grantable bool
		if err := tx.QueryRow(ctx, "SELECT current_user, current_setting('server_version_num')::int >= 150000").Scan(&role, &grantable); err != nil {
			return k, err
		}
		if grantable {
			k.Grant = "GRANT SET ON PARAMETER session_replication_role TO " + pgx.Identifier{role}.Sanitize() + ";"
		}
	}
	k.Obstacles, err = s.keyObstacles(ctx, tx)
	return k, err
}

// maySkipKeys tries the setting: a hosted server may permit it to more roles than its catalogue says.
func maySkipKeys(ctx context.Context, tx pgx.Tx) (bool, error) {
	try, err := tx.Begin(ctx)
	if err != nil {
		return false, err
	}
	_, err = try.Exec(ctx, "SELECT "+skipKeys)
	failed := try.Rollback(ctx)
	var server *pgconn.PgError
	if errors.As(err, &server) && server.Code == "42501" { // insufficient_privilege
		return false, failed
	}
	return err == nil, errors.Join(err, failed)
}

// keyObstacles are the triggers, rules and constraints of the tables that a batch writes, except for foreign keys that cannot be
// broken. These are keys to facts, which the statements check themselves, and keys of columns that a batch does not write.
// A trigger or rule that is ENABLE ALWAYS acts either way, but what it writes would lose its own keys and triggers. A partition
// may have keys that its table has not: an update can move a row there, and so writes all its columns. A function that a default
// calls could write to other tables, and those would lose their keys and triggers too. Functions of the server, or in C, write none.
func (s *Store) keyObstacles(ctx context.Context, tx pgx.Tx) ([]string, error) {
	var tables, columns []string // columns that a batch writes; "" is none, "*" is any
	var inserted []string        // tables of the node; a default may fill any of their columns
	add := func(table string, of ...string) {
		for _, column := range of {
			tables, columns = append(tables, table), append(columns, column)
		}
	}
	for _, t := range slices.Concat(store.Tables, store.VectorTables) {
		if !t.Written() && t.Name != "vec_facts" { // whose rows a batch deletes
			continue
		}
		add(t.Name, "")
		add(t.Name, t.Update...)
		if len(t.Insert) > 0 && t.Name != "jobs" { // a batch inserts no job
			add(t.Name, "*")
			add(t.Name, t.Insert...)
			inserted = append(inserted, t.Name)
		}
	}
	for _, name := range store.OwnTables() {
		add(name, "*")
	}
	rows, err := tx.Query(ctx, withRelations+`
		SELECT CASE WHEN k.contype = 'f' THEN 'the foreign key ' || k.conname || ' of ' || k.conrelid::regclass
		            WHEN t.tgisinternal AND k.oid IS NOT NULL THEN 'the constraint ' || k.conname || ' of ' || r.root_name
		            ELSE 'the trigger ' || t.tgname || ' on ' || r.root_name END
		FROM relation r
		JOIN pg_catalog.pg_trigger t ON t.tgrelid = r.oid AND t.tgenabled <> 'D'
		LEFT JOIN pg_catalog.pg_constraint k ON k.oid = t.tgconstraint
		CROSS JOIN LATERAL (
			SELECT array_agg(a.attname::text) AS names, coalesce(bool_or(a.attgenerated <> ''), false) AS generated
			FROM pg_catalog.pg_attribute a WHERE a.attrelid = k.conrelid AND a.attnum = ANY(k.conkey)) key
		WHERE NOT coalesce(k.contype = 'f' AND k.conrelid = r.oid AND k.confrelid NOT IN (SELECT oid FROM relation) AND (
			r.root_name = ANY($5::text[]) AND key.names = '{fact_id}' AND k.confrelid = $4::regclass AND k.confkey = ARRAY(
				SELECT a.attnum FROM pg_catalog.pg_attribute a WHERE a.attrelid = k.confrelid AND a.attname = 'id')
			OR NOT EXISTS (
				SELECT 1 FROM unnest($2::text[], $3::text[]) AS w(tab, col)
				WHERE w.tab = r.root_name AND (w.col = '*' OR w.col = ANY(key.names) OR w.col <> '' AND (key.generated OR r.oid <> r.root AND k.conparentid = 0)))), false)
		UNION
		SELECT 'the rule ' || w.rulename || ' on ' || r.root_name
		FROM relation r JOIN pg_catalog.pg_rewrite w ON w.ev_class = r.oid AND w.ev_enabled <> 'D'
		UNION
		SELECT 'the table ' || i.inhrelid::regclass || ' that inherits from ' || r.root_name
		FROM relation r
		JOIN pg_catalog.pg_class c ON c.oid = r.oid AND c.relkind = 'r'
		JOIN pg_catalog.pg_inherits i ON i.inhparent = c.oid
		UNION
		SELECT 'the function ' || p.proname || ' in the default of ' || r.root_name || '.' || a.attname
		FROM relation r
		JOIN pg_catalog.pg_attrdef d ON d.adrelid = r.oid
		JOIN pg_catalog.pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
		JOIN pg_catalog.pg_depend uses ON uses.classid = 'pg_catalog.pg_attrdef'::regclass AND uses.objid = d.oid AND uses.refclassid = 'pg_catalog.pg_proc'::regclass
		JOIN pg_catalog.pg_proc p ON p.oid = uses.refobjid AND p.provolatile = 'v'
		JOIN pg_catalog.pg_language l ON l.oid = p.prolang AND l.lanname NOT IN ('internal', 'c')
		WHERE r.oid = r.root AND r.root_name = ANY($5::text[])
		  AND NOT EXISTS (SELECT 1 FROM unnest($2::text[], $3::text[]) AS w(tab, col) WHERE w.tab = r.root_name AND w.col = a.attname)
		ORDER BY 1`, s.schema, tables, columns, s.table("facts"), inserted)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// checksKeys tells whether the server looks each expired fact up for a foreign key.
func (s *Store) checksKeys(ctx context.Context, tx pgx.Tx) (checks bool, err error) {
	err = tx.QueryRow(ctx, `
		SELECT EXISTS (
			SELECT 1
			FROM pg_catalog.pg_constraint k
			JOIN pg_catalog.pg_trigger t ON t.tgconstraint = k.oid AND t.tgrelid = k.conrelid AND t.tgenabled <> 'D'
			WHERE k.contype = 'f' AND k.confrelid = $1::regclass
			  AND coalesce(pg_catalog.pg_partition_root(k.conrelid), k.conrelid) IN ($2::regclass, $3::regclass))`,
		s.table("facts"), s.table("fact_validity_overrides"), s.table("fact_retractions")).Scan(&checks)
	return checks, err
}

// factsExist keeps facts that were deleted out of a statement that writes those of the list b, whose ids are $1. The condition on
// the keys makes the planner look each fact up.
func (s *Store) factsExist() string {
	return `JOIN ` + s.table("facts") + ` f ON f.id = b.id WHERE f.id = ` + anyKey
}
