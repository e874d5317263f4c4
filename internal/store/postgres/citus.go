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
	localCards bool // the memory cards are on the coordinator
}

// besideOthers lets batches write to the same shards at once. By default a statement that writes to several shards keeps all other
// such statements away from them until its transaction ends, so that they do not lock rows in different orders. decayctl locks
// rows in one order, and gives up after a short wait.
const besideOthers = `pg_catalog.set_config('citus.enable_deadlock_prevention', 'off', true)`

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
func (citus) lockRows(ctx context.Context, tx pgx.Tx, l rowLock, scans []any, use func() error) error {
	return eachShard(ctx, tx, l.table, l.ids, func(places []int) error {
		rows, err := tx.Query(ctx, `
			SELECT `+l.columns+` FROM `+l.table+` r WHERE r.`+l.key+` = ANY($1::text[]) ORDER BY r.`+l.key+` FOR UPDATE`, pick(l.ids, places))
		if err != nil {
			return err
		}
		_, err = pgx.ForEachRow(rows, scans, use)
		return err
	})
}

// lockCards locks the cards shard by shard: an UPDATE of several shards locks rows on all nodes at once, and two batches could
// deadlock.
func (c citus) lockCards(ctx context.Context, tx pgx.Tx, table string, cards cardArrays) (fresh cardArrays, err error) {
	if c.localCards {
		return cards, nil
	}
	wanted := map[store.Card]bool{}
	for i := range cards.entities {
		wanted[cards.at(i)] = true
	}
	var card store.Card
	err = eachShard(ctx, tx, table, cards.entities, func(places []int) error {
		rows, err := tx.Query(ctx, `
			SELECT m.entity_uri, m.tenant_id, m.scope
			FROM `+table+` m
			WHERE m.entity_uri = ANY($1::text[]) AND m.tenant_id = ANY($2::text[]) AND m.scope = ANY($3::text[]) AND m.is_stale + 0 = 0
			ORDER BY m.entity_uri, m.tenant_id, m.scope
			FOR UPDATE`, pick(cards.entities, places), pick(cards.tenants, places), pick(cards.scopes, places))
		if err != nil {
			return err
		}
		_, err = pgx.ForEachRow(rows, []any{&card.Entity, &card.Tenant, &card.Scope}, func() error {
			if wanted[card] {
				fresh.add(card)
			}
			return nil
		})
		return err
	})
	return fresh, err
}

// eachShard calls work for each shard of a table that has rows with some keys, with the places of these keys in their list.
func eachShard(ctx context.Context, tx pgx.Tx, table string, keys []string, work func(places []int) error) error {
	if len(keys) == 0 {
		return nil
	}
	rows, err := tx.Query(ctx, `
		SELECT pg_catalog.array_agg(i.place - 1 ORDER BY i.place)
		FROM unnest($1::text[]) WITH ORDINALITY AS i(id, place)
		GROUP BY pg_catalog.get_shard_id_for_distribution_column($2::text::regclass, i.id)
		ORDER BY pg_catalog.get_shard_id_for_distribution_column($2::text::regclass, i.id)`, keys, table)
	if err != nil {
		return err
	}
	shards, err := pgx.CollectRows(rows, pgx.RowTo[[]int])
	if err != nil {
		return err
	}
	for _, places := range shards {
		if err := work(places); err != nil {
			return err
		}
	}
	return nil
}

// pick are the texts at some places of a list.
func pick(list []string, places []int) []string {
	picked := make([]string, len(places))
	for i, place := range places {
		picked[i] = list[place]
	}
	return picked
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

// tenantNames asks for one name after the other, since Citus refuses recursion. Each shard looks its first name up by the index; for
// DISTINCT it would read all facts.
func (citus) tenantNames(d store.FactDialect, from string, most int, query store.Query) (names []string, err error) {
	for after := ">="; len(names) < most; after = ">" {
		found := false
		err := query(`SELECT tenant_id FROM `+d.Table("facts")+` WHERE tenant_id `+after+` $1 ORDER BY tenant_id LIMIT 1`,
			[]any{from}, []any{&from}, func() error { found = true; return nil })
		if err != nil || !found {
			return names, err
		}
		names = append(names, from)
	}
	return names, nil
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
