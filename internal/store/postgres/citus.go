package postgres

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"decayctl/internal/store"
)

// citus is the layout of a store whose tables are distributed over the nodes of a Citus cluster. decayctl is connected to the
// coordinator. checkLayout has made sure that what belongs to a fact is in one shard with it.
type citus struct {
	facts string // the table, as SQL names it
}

// set makes SET LOCAL count on the worker nodes too. Citus sends them the text of the whole message, so each setting is one.
func (citus) set(ctx context.Context, tx pgx.Tx, settings ...string) error {
	for _, each := range append([]string{"citus.propagate_set_commands = 'local'"}, settings...) {
		if _, err := tx.Exec(ctx, "SET LOCAL "+each); err != nil {
			return err
		}
	}
	return nil
}

// lockRows locks the rows shard by shard, since FOR UPDATE is refused in a statement that needs several shards. The shards come
// in the same order in every transaction.
func (c citus) lockRows(ctx context.Context, tx pgx.Tx, l rowLock, scans []any, use func() error) error {
	if len(l.ids) == 0 {
		return nil
	}
	rows, err := tx.Query(ctx, `
		SELECT pg_catalog.array_agg(i.id ORDER BY i.place)
		FROM unnest($1::text[]) WITH ORDINALITY AS i(id, place)
		GROUP BY pg_catalog.get_shard_id_for_distribution_column($2::regclass, i.id)
		ORDER BY pg_catalog.get_shard_id_for_distribution_column($2::regclass, i.id)`, l.ids, c.facts)
	if err != nil {
		return err
	}
	shards, err := pgx.CollectRows(rows, pgx.RowTo[[]string])
	if err != nil {
		return err
	}
	for _, ids := range shards {
		rows, err := tx.Query(ctx, `
			SELECT `+l.columns+` FROM `+l.table+` r WHERE r.`+l.key+` = ANY($1::text[]) ORDER BY r.`+l.key+` FOR UPDATE`, ids)
		if err != nil {
			return err
		}
		if _, err := pgx.ForEachRow(rows, scans, use); err != nil {
			return err
		}
	}
	return nil
}

// insert returns the rows: else Citus copies them into the shards, where it reports a row that is refused without its SQLSTATE, and
// counts rows that ON CONFLICT has skipped.
func (citus) insert(ctx context.Context, tx pgx.Tx, insert string, args ...any) (inserted int64, err error) {
	_, err = collect(ctx, tx, func(string) { inserted++ }, insert+" RETURNING fact_id", args...)
	return inserted, err
}

// insertNew does not try without ON CONFLICT first, after which the transaction would go on in a savepoint on every node.
func (c citus) insertNew(ctx context.Context, tx pgx.Tx, insert string, args ...any) (inserted int64, err error) {
	return c.insert(ctx, tx, insert+skipExisting, args...)
}

// looksUp is false: Citus refuses LIMIT and OFFSET in a subquery that depends on a list, and plans in each shard by its
// statistics.
func (citus) looksUp() bool { return false }

// groups joins: each shard looks the groups up by its own index.
func (citus) groups(facts, overrides string) string {
	return `
		SELECT ` + groupColumns + `
		FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS g(entity, relation, scope, tenant_id)
		JOIN ` + facts + ` f ON f.entity = g.entity AND f.relation = g.relation AND f.scope = g.scope AND f.tenant_id || '' = g.tenant_id
		LEFT JOIN ` + overrides + ` o ON o.fact_id = f.id`
}

// tenantNames lists distinct names, since Citus refuses recursion.
func (citus) tenantNames(d store.FactDialect, from string, most int, query store.Query) (names []string, err error) {
	var name string
	err = query(`SELECT DISTINCT tenant_id FROM `+d.Table("facts")+` WHERE tenant_id >= $1 ORDER BY tenant_id LIMIT $2`,
		[]any{from, most}, []any{&name}, func() error { names = append(names, name); return nil })
	return names, err
}

// blocksOther asks all nodes: a session that waits for this one waits on the node with the row. The sessions of decayctl are on
// the coordinator, with the table of its jobs.
func (citus) blocksOther() string {
	return `
		SELECT EXISTS (
			SELECT 1 FROM pg_catalog.citus_lock_waits w
			WHERE w.blocking_gpid = pg_catalog.citus_backend_gpid()
			  AND NOT EXISTS (
				SELECT 1 FROM pg_catalog.pg_locks own
				WHERE own.relation = $1::text::regclass
				  AND pg_catalog.citus_calculate_gpid(pg_catalog.citus_nodeid_for_gpid(pg_catalog.citus_backend_gpid()), own.pid) = w.waiting_gpid))`
}

// errUnsettled is the error while a node has not finished a transaction that the cluster may have committed.
var errUnsettled = errors.New("a node of the Citus cluster has not finished a transaction")

// settled fails while a transaction that was committed may not be visible on a node. An undo would not see what a sweep wrote
// there, and leave it.
func (c citus) settled(ctx context.Context, tx pgx.Tx) error {
	unfinished, err := c.unfinished(ctx, tx)
	if err == nil && unfinished > 0 {
		err = errUnsettled
	}
	return err
}

// unfinished counts prepared transactions that do not end by themselves. If a node fails between the commit on the coordinator and
// its own, Citus commits there some time later.
func (citus) unfinished(ctx context.Context, tx pgx.Tx) (int, error) {
	prepared := func() ([]string, error) {
		rows, err := tx.Query(ctx, `
			SELECT DISTINCT gid
			FROM pg_catalog.run_command_on_all_nodes($$
				SELECT coalesce(pg_catalog.string_agg(gid, ' '), '') FROM pg_catalog.pg_prepared_xacts
				WHERE database = pg_catalog.current_database() AND gid LIKE 'citus%' $$)
			CROSS JOIN LATERAL pg_catalog.unnest(pg_catalog.string_to_array(result, ' ')) AS gid
			WHERE success AND gid <> ''`)
		if err != nil {
			return nil, err
		}
		return pgx.CollectRows(rows, pgx.RowTo[string])
	}
	before, err := prepared()
	if err != nil || len(before) == 0 {
		return 0, err
	}
	select { // for those that are being committed right now
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-time.After(time.Second):
	}
	after, err := prepared()
	after = slices.DeleteFunc(after, func(gid string) bool { return !slices.Contains(before, gid) })
	return len(after), err
}

// diagnose finds out whether the cluster finishes its transactions.
func (c citus) diagnose(ctx context.Context, tx pgx.Tx, found *store.Cluster) (err error) {
	if found.Unfinished, err = c.unfinished(ctx, tx); err != nil {
		return err
	}
	return tx.QueryRow(ctx, `
		SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_stat_activity
			WHERE datname = pg_catalog.current_database() AND application_name LIKE 'Citus Maintenance Daemon%')`).Scan(&found.Maintained)
}

// estimate also serves a table that is on the coordinator alone, and should not be.
func (citus) estimate() string {
	return `
		SELECT CASE WHEN EXISTS (SELECT 1 FROM pg_catalog.pg_dist_partition WHERE logicalrelid = $1::text::regclass) THEN (
		SELECT coalesce(sum(result::float8), 0)::bigint
		FROM pg_catalog.run_command_on_all_nodes(pg_catalog.format($$
			SELECT coalesce(sum(CASE WHEN c.reltuples >= 0 THEN c.reltuples ELSE pg_catalog.pg_relation_size(c.oid) / 400 END), 0)
			FROM pg_catalog.pg_dist_shard s
			JOIN pg_catalog.pg_class t ON t.oid = s.logicalrelid
			JOIN pg_catalog.pg_class c ON c.relnamespace = t.relnamespace AND c.relname = pg_catalog.concat(t.relname, '_', s.shardid)
			WHERE t.oid = %L::regclass $$, $1::text))
		WHERE success) ELSE (` + oneServer{}.estimate() + `) END`
}
