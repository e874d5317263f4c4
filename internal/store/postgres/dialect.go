package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"decayctl/internal/store"
	"decayctl/internal/store/jobtable"
)

// dialect implements jobtable.Dialect for PostgreSQL.
type dialect struct{ *Store }

var _ jobtable.Dialect = dialect{}

// jobTx implements jobtable.Tx.
type jobTx struct{ pgx.Tx }

func (t jobTx) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	done, err := t.Tx.Exec(ctx, query, args...)
	return done.RowsAffected(), err
}

func (t jobTx) Query(ctx context.Context, columns []any, use func() error, query string, args ...any) error {
	return onRows(ctx, t.Tx)(query, args, columns, use)
}

func (d dialect) Read(ctx context.Context, work func(jobtable.Tx) error) error {
	return d.within(ctx, reading, func(t pgx.Tx) error { return work(jobTx{t}) })
}

func (d dialect) Snapshot(ctx context.Context, work func(jobtable.Tx) error) error {
	return d.run(ctx, transaction{level: pgx.RepeatableRead, access: reading}, func(t pgx.Tx) error { return work(jobTx{t}) })
}

func (d dialect) Write(ctx context.Context, work func(jobtable.Tx) error) error {
	return d.within(ctx, writing, func(t pgx.Tx) error { return work(jobTx{t}) })
}

func (d dialect) Translate(err error, doing string) error { return d.translate(err, doing) }

func (d dialect) Table(name string) string { return d.table(name) }

func (d dialect) InSchema(statements string) string {
	return strings.NewReplacer("{schema}", d.quoted, "{clustered}", "", "{bytes}", ` COLLATE "C"`).Replace(statements)
}

func (dialect) Bytes(column string) string { return column + ` COLLATE "C"` }

func (dialect) NoIndex(column string) string { return "(" + column + " || '')" }

func (dialect) In(column string, n int) string {
	return fmt.Sprintf("%s = ANY($%d::text[])", column, n)
}

func (dialect) Array(texts []string) any { return texts }

// Among uses ARRAY, so that the query runs first. For a join, the server may read the whole table.
func (dialect) Among(key, query string) string { return key + " = ANY(ARRAY(" + query + "))" }

func (dialect) BeforeImageKey() string { return "ctid" }

func (dialect) NodeJobID() string { return `n.id COLLATE "default"` }

func (dialect) Lock(of string) string { return " FOR UPDATE " + of }

// Clock is the server's clock, which all hosts share. Unlike now(), clock_timestamp() advances within a transaction.
func (dialect) Clock(unitsPerSecond int64) string {
	return fmt.Sprintf("(extract(epoch FROM clock_timestamp()) * %d)::bigint", unitsPerSecond)
}

func (d dialect) Encode(text string) string { return d.encodable(text) }

// UseIndexes disables all other plans. For a table that was never analysed, the planner may choose to read the whole table
// for each part of it.
func (dialect) UseIndexes(ctx context.Context, tx jobtable.Tx) error {
	_, err := tx.Exec(ctx, `SELECT set_config(setting, 'off', true) FROM unnest('{enable_seqscan,enable_bitmapscan,enable_sort}'::text[]) AS setting`)
	return err
}

// Apart uses a savepoint, so that the settings apply to work only.
func (d dialect) Apart(ctx context.Context, t jobtable.Tx, work func(jobtable.Tx) error) (err error) {
	part, err := t.(jobTx).Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, part.Rollback(ctx)) }()
	if err := d.UseIndexes(ctx, jobTx{part}); err != nil {
		return err
	}
	return work(jobTx{part})
}

func (d dialect) WaitAtMost(ctx context.Context, t jobtable.Tx, wait time.Duration) error {
	return d.waitFor(ctx, t.(jobTx).Tx, wait)
}

func (dialect) FollowClock(context.Context, jobtable.Tx, store.Lease) error { return nil }

func (dialect) LeaseWritten(store.Lease) {}

func (dialect) Exclusive() bool { return false }

func (dialect) Checkpoint(context.Context) {}

func (d dialect) MayUndo(ctx context.Context, t jobtable.Tx) error {
	if err := d.require(ctx, t.(jobTx).Tx, undoPrivileges()); err != nil {
		return err
	}
	return d.layout.settled(ctx, t.(jobTx).Tx)
}

func (d dialect) MayPrune(ctx context.Context, t jobtable.Tx) error {
	return d.require(ctx, t.(jobTx).Tx, prunePrivileges())
}

func (d dialect) NextRange(ctx context.Context, t jobtable.Tx, p store.RangeParams) (store.Range, error) {
	return d.nextRange(ctx, t.(jobTx).Tx, p)
}

// InOrder also leaves out facts that do not exist any more.
func (d dialect) InOrder(ctx context.Context, tx jobtable.Tx, ids []string, last store.Cursor) (sorted []string, err error) {
	var id string
	err = tx.Query(ctx, []any{&id}, func() error { sorted = append(sorted, id); return nil },
		`SELECT id FROM `+d.table("facts")+` WHERE id = `+anyKey+` AND id <= $2 ORDER BY id`, ids, last.ID)
	return sorted, err
}

func (d dialect) HasTable(ctx context.Context, t jobtable.Tx, table string) (there bool, err error) {
	err = t.(jobTx).QueryRow(ctx, "SELECT pg_catalog.to_regclass($1) IS NOT NULL", d.table(table)).Scan(&there)
	return there, err
}

func (d dialect) HasColumn(ctx context.Context, t jobtable.Tx, table, column string) (there bool, err error) {
	err = t.(jobTx).QueryRow(ctx, `SELECT EXISTS (
			SELECT 1 FROM pg_catalog.pg_attribute WHERE attrelid = $1::regclass AND attname = $2 AND NOT attisdropped)`,
		d.table(table), column).Scan(&there)
	return there, err
}

func (d dialect) OwnShape(ctx context.Context, tx jobtable.Tx) (store.OwnState, error) {
	state := store.OwnState{Columns: map[string][]string{}, Keys: map[string][]store.Index{}}
	var table, name string
	err := tx.Query(ctx, []any{&table, &name}, func() error {
		state.Columns[table] = append(state.Columns[table], name)
		return nil
	}, `
		SELECT c.relname, a.attname
		FROM pg_catalog.pg_class c
		JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
		WHERE n.nspname = $1 AND c.relname = ANY($2::text[]) AND c.relkind IN ('r', 'p', 'v', 'm', 'f')`, d.schema, store.OwnTables())
	if err != nil {
		return state, err
	}
	var index store.Index
	err = tx.Query(ctx, []any{&table, &name, &index.Unique, &index.Columns}, func() error {
		state.Keys[table] = append(state.Keys[table], store.Index{Unique: index.Unique, Columns: slices.Clone(index.Columns)})
		state.Indexes = append(state.Indexes, name)
		return nil
	}, `
		SELECT c.relname, x.relname, i.indisunique AND i.indisvalid AND i.indpred IS NULL,
		       ARRAY(SELECT coalesce(a.attname, '') FROM unnest(i.indkey) k LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = k)::text[]
		FROM pg_catalog.pg_index i
		JOIN pg_catalog.pg_class c ON c.oid = i.indrelid
		JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
		JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = $1 AND c.relname = ANY($2::text[])`, d.schema, store.OwnTables())
	return state, err
}

func (d dialect) MayRead(ctx context.Context, t jobtable.Tx, table string) (may bool, err error) {
	err = t.(jobTx).QueryRow(ctx, "SELECT coalesce(pg_catalog.has_table_privilege(pg_catalog.to_regclass($1), 'SELECT'), false)", d.table(table)).Scan(&may)
	return may, err
}

func (d dialect) MayUseOwn(ctx context.Context, t jobtable.Tx) error {
	_, missing, err := d.privileges(ctx, t.(jobTx).Tx, ownPrivileges())
	if err != nil || len(missing) == 0 {
		return err
	}
	grants, err := d.Grants(ctx, t)
	if err != nil {
		return err
	}
	return &store.Error{
		Kind: store.NotPermitted, Detail: grants,
		Text: "the role lacks " + strings.Join(missing, ", ") + ", which decayctl's jobs need; have an administrator run the statements below",
	}
}

func (d dialect) MayCreate(ctx context.Context, t jobtable.Tx) error {
	var allowed bool
	err := t.(jobTx).QueryRow(ctx, "SELECT pg_catalog.has_schema_privilege($1, 'CREATE')", d.schema).Scan(&allowed)
	if err == nil && !allowed {
		err = &store.Error{Kind: store.NotPermitted, Text: "the role may not create tables"}
	}
	return err
}

func (d dialect) NotPermitted(older bool) string {
	if older {
		return "decayctl's own tables are of an older version, and the role may not change them; have an administrator run the statements below, once"
	}
	return fmt.Sprintf("the role may not create tables in schema %s, and decayctl keeps its jobs in tables of its own there; have an administrator run the statements below, once", d.quoted)
}

// ownTables are decayctl's own tables, with the privileges that a role needs on them.
func ownTables() (all []struct{ name, privileges string }) {
	for _, name := range store.OwnTables() {
		privileges := "SELECT, INSERT, UPDATE, DELETE"
		if name == store.OwnVersions {
			privileges = "SELECT"
		}
		all = append(all, struct{ name, privileges string }{name, privileges})
	}
	slices.Reverse(all)
	return all
}

func ownPrivileges() (w privilegeSet) {
	for _, table := range ownTables() {
		for privilege := range strings.SplitSeq(table.privileges, ", ") {
			w.add(table.name, privilege, wholeTable)
		}
	}
	return w
}

func (d dialect) Grants(ctx context.Context, t jobtable.Tx) (string, error) {
	var role string
	if err := t.(jobTx).QueryRow(ctx, "SELECT current_user").Scan(&role); err != nil {
		return "", err
	}
	var statements strings.Builder
	for _, table := range ownTables() {
		fmt.Fprintf(&statements, "GRANT %s ON %s TO %s;\n", table.privileges, d.table(table.name), pgx.Identifier{role}.Sanitize())
	}
	return statements.String(), nil
}

// LockSchema takes an advisory lock for the transaction, which works with poolers in transaction mode.
func (d dialect) LockSchema(ctx context.Context, tx jobtable.Tx) error {
	_, err := tx.Exec(ctx, "SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended($1, 0))", "decayctl "+d.schema)
	return err
}

func (dialect) Versions() string {
	return `CREATE TABLE {schema}.` + store.OwnVersions + ` (
    id         integer PRIMARY KEY GENERATED BY DEFAULT AS IDENTITY,
    version_id bigint NOT NULL,
    is_applied boolean NOT NULL,
    tstamp     timestamp NOT NULL DEFAULT now()
);
`
}
