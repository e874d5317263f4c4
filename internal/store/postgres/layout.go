package postgres

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"

	"decayctl/internal/store"
)

// layout is what depends on where the rows of a table are: on one server, or in the shards of a Citus cluster. All other
// statements are the same for both.
type layout interface {
	// set changes settings for the rest of a transaction, such as "work_mem = '32MB'", wherever its statements run.
	set(ctx context.Context, tx pgx.Tx, settings ...string) error
	// lockRows locks rows by their keys and calls use for each row that exists, after it was scanned.
	lockRows(ctx context.Context, tx pgx.Tx, l rowLock, scans []any, use func() error) error
	// lockCards locks those of some memory cards that are fresh, in one order, and returns them. It returns all of them if an UPDATE
	// locks them in the order of the list.
	lockCards(ctx context.Context, tx pgx.Tx, table string, cards cardArrays) (cardArrays, error)
	// insert runs an INSERT of a list of rows with fact_id. insertNew runs one into the overrides, and skips keys that exist.
	insert(ctx context.Context, tx pgx.Tx, insert string, args ...any) (inserted int64, err error)
	insertNew(ctx context.Context, tx pgx.Tx, insert string, args ...any) (inserted int64, err error)
	// looksUp tells whether a statement can look rows of facts up for each row of a list, whatever the planner expects.
	looksUp() bool
	// groups is a query: the facts of the groups with the entities $1, relations $2, scopes $3 and tenants $4.
	groups(facts, overrides string) string
	// tenantNames reads the names of tenants, in order.
	tenantNames(d store.FactDialect, from string, most int, query store.Query) ([]string, error)
	// blocksOther is a query: whether a session that is not decayctl's waits for a lock of this one. A session of decayctl has
	// read the table $1 of its jobs in the same transaction.
	blocksOther() string
	// settled fails with errUnsettled if a transaction that was committed may not be visible yet.
	settled(ctx context.Context, tx pgx.Tx) error
	// estimate is a query: about how many rows the table $1 has.
	estimate() string
}

// rowLock is which rows to lock, and which of their columns to read.
type rowLock struct {
	table, key, columns string // as SQL names them; the rows are r
	ids                 []string
}

// oneServer is the layout of tables that are on the server that decayctl is connected to.
type oneServer struct{}

func (oneServer) set(ctx context.Context, tx pgx.Tx, settings ...string) error {
	_, err := tx.Exec(ctx, "SET LOCAL "+strings.Join(settings, "; SET LOCAL "))
	return err
}

func (oneServer) lockRows(ctx context.Context, tx pgx.Tx, l rowLock, scans []any, use func() error) error {
	rows, err := tx.Query(ctx, `
		SELECT l.*
		FROM unnest($1::text[]) AS b(id)
		CROSS JOIN LATERAL (SELECT `+l.columns+` FROM `+l.table+` r WHERE r.`+l.key+` = b.id FOR UPDATE) l`, l.ids)
	if err != nil {
		return err
	}
	_, err = pgx.ForEachRow(rows, scans, use)
	return err
}

func (oneServer) lockCards(_ context.Context, _ pgx.Tx, _ string, cards cardArrays) (cardArrays, error) {
	return cards, nil
}

func (oneServer) insert(ctx context.Context, tx pgx.Tx, insert string, args ...any) (inserted int64, err error) {
	done, err := tx.Exec(ctx, insert, args...)
	return done.RowsAffected(), err
}

// insertNew first tries without ON CONFLICT, which looks each key up first and costs time. It repeats the statement after a
// savepoint if a key exists.
func (l oneServer) insertNew(ctx context.Context, tx pgx.Tx, insert string, args ...any) (inserted int64, err error) {
	try, err := tx.Begin(ctx)
	if err != nil {
		return 0, err
	}
	if inserted, err = l.insert(ctx, try, insert, args...); err == nil {
		return inserted, try.Commit(ctx)
	}
	if !duplicate(err) {
		return 0, err
	}
	if err := try.Rollback(ctx); err != nil {
		return 0, err
	}
	return l.insert(ctx, tx, insert+skipExisting, args...)
}

// skipExisting makes an INSERT into the overrides skip keys that exist.
const skipExisting = " ON CONFLICT (fact_id) DO NOTHING"

func (oneServer) looksUp() bool { return true }

// groups uses LATERAL, so that the planner looks each group up by the index on entity, relation and scope. The concatenation
// keeps the index on tenant_id from being used.
func (oneServer) groups(facts, overrides string) string {
	return `
		SELECT ` + groupColumns + `
		FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS g(entity, relation, scope, tenant_id)
		CROSS JOIN LATERAL (
			SELECT f.id, f.entity, f.relation, f.tenant_id, f.scope, f.source, f.timestamp, f.valid_until
			FROM ` + facts + ` f
			WHERE f.entity = g.entity AND f.relation = g.relation AND f.scope = g.scope AND f.tenant_id || '' = g.tenant_id
			OFFSET 0) f
		LEFT JOIN LATERAL (
			SELECT o.fact_id, o.valid_until, o.updated_at, o.updated_by FROM ` + overrides + ` o WHERE o.fact_id = f.id LIMIT 1) o ON true`
}

func (oneServer) tenantNames(d store.FactDialect, from string, most int, query store.Query) ([]string, error) {
	return d.TenantNames(from, most, query)
}

func (oneServer) blocksOther() string {
	return `
		SELECT EXISTS (
			SELECT 1 FROM pg_catalog.pg_locks l
			WHERE NOT l.granted AND pg_catalog.pg_backend_pid() = ANY (pg_catalog.pg_blocking_pids(l.pid))
			  AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_locks own WHERE own.relation = $1::text::regclass AND own.pid = l.pid))`
}

func (oneServer) settled(context.Context, pgx.Tx) error { return nil }

// estimate is the planner's number of rows, over all partitions. For a table that was never analysed it is estimated from the
// table's size.
func (oneServer) estimate() string {
	return `
		SELECT coalesce(sum(CASE WHEN c.reltuples >= 0 THEN c.reltuples
		                         ELSE pg_catalog.pg_relation_size(c.oid) / 400 END), 0)::bigint
		FROM pg_catalog.pg_class c
		WHERE c.relkind <> 'p'
		  AND (c.oid = $1::regclass OR c.oid IN (SELECT relid FROM pg_catalog.pg_partition_tree($1::regclass)))`
}
