package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"decayctl/internal/store"
)

// placed is where a table has to be in a Citus cluster. column is what it is distributed by; "" is not distributed.
type placed struct {
	table, column string
	reference     bool // a copy on every node
	withFacts     bool // in one shard with the fact
	orLocal       bool // on the coordinator is fine too
}

// placement is where the tables of a store have to be: what belongs to a fact is in one shard with it, so that a statement
// about facts needs no other node, and what a worker locks first is in one place.
func placement() (all []placed) {
	all = []placed{
		{table: "facts", column: "id"},
		{table: "fact_validity_overrides", column: "fact_id", withFacts: true},
		{table: "fact_retractions", column: "fact_id", withFacts: true},
		{table: "fact_quarantine_status", column: "fact_id", withFacts: true},
		{table: "fact_embedding_status", column: "fact_id", withFacts: true},
		{table: "vec_facts", column: "fact_id", withFacts: true},
		{table: "entity_edges", column: "id", withFacts: true},
		{table: "memory_cards", column: "entity_uri", orLocal: true},
		{table: "tombstones", reference: true},
		{table: "tombstone_revocations", reference: true},
	}
	for _, name := range append([]string{"jobs", "schema_migrations", "node_meta"}, store.OwnTables()...) {
		all = append(all, placed{table: name})
	}
	return all
}

// found is where Citus says that a table is.
type found struct {
	method     string // h: distributed by hash, n: not distributed, "": Citus does not know the table
	model      string // s: one copy of each shard, t: a copy on every node, c: more copies of a shard
	column     string // that it is distributed by
	colocation int64
	key        *string  // the name of its primary key
	keyColumns []string // of that
}

// local tells whether the rows are on the coordinator alone. A table with one shard and without a column has a colocation.
func (f found) local() bool {
	return f.method == "" || f.method == "n" && f.model == "s" && f.colocation == 0
}

// readLayout recognises a store that is distributed by Citus, and lists the tables that are not where a sweep needs them.
func (s *Store) readLayout(ctx context.Context, tx pgx.Tx) error {
	var there, known, schemas bool
	if err := tx.QueryRow(ctx, `
		SELECT pg_catalog.to_regclass('pg_catalog.pg_dist_partition') IS NOT NULL, pg_catalog.to_regprocedure('pg_catalog.citus_backend_gpid()') IS NOT NULL,
		       pg_catalog.to_regclass('pg_catalog.pg_dist_schema') IS NOT NULL`).Scan(&there, &known, &schemas); err != nil || !there {
		return err
	}
	want := placement()
	names := make([]string, len(want))
	for i, each := range want {
		names[i] = each.table
	}
	rows, err := tx.Query(ctx, `
		SELECT c.relname, coalesce(p.partmethod::text, ''), coalesce(p.repmodel::text, ''),
		       coalesce(pg_catalog.column_to_column_name(p.logicalrelid, p.partkey), ''), coalesce(p.colocationid, 0)::bigint, k.conname,
		       ARRAY(SELECT a.attname FROM unnest(k.conkey) WITH ORDINALITY AS u(num, place)
		             JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = u.num ORDER BY u.place)::text[]
		FROM pg_catalog.pg_class c
		JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		LEFT JOIN pg_catalog.pg_dist_partition p ON p.logicalrelid = c.oid
		LEFT JOIN pg_catalog.pg_constraint k ON k.conrelid = c.oid AND k.contype = 'p'
		WHERE n.nspname = $1 AND c.relname = ANY($2::text[]) AND c.relkind IN ('r', 'p')`, s.schema, names)
	if err != nil {
		return err
	}
	tables, distributed := map[string]found{}, false
	var name string
	var f found
	if _, err := pgx.ForEachRow(rows, []any{&name, &f.method, &f.model, &f.column, &f.colocation, &f.key, &f.keyColumns}, func() error {
		tables[name] = f
		distributed = distributed || !f.local()
		return nil
	}); err != nil || !distributed {
		return err
	}
	var node, workers int
	if err := tx.QueryRow(ctx, `
		SELECT (SELECT groupid FROM pg_catalog.pg_dist_local_group),
		       (SELECT count(*) FROM pg_catalog.pg_dist_node WHERE isactive AND shouldhaveshards)`).Scan(&node, &workers); err != nil {
		return err
	}
	switch {
	case !known:
		return &store.Error{Kind: store.Unusable, Text: "the store is distributed by a Citus older than 11, which decayctl cannot work with; upgrade the extension"}
	case node != 0:
		return &store.Error{Kind: store.Unusable, Text: "this server is a worker node of a Citus cluster; name the coordinator with --store"}
	}
	if schemas {
		if err := s.refuseSharded(ctx, tx); err != nil {
			return err
		}
	}
	s.layout = citus{localCards: tables["memory_cards"].local()}
	s.cluster = &store.Cluster{Workers: workers}
	for _, each := range want {
		if f, there := tables[each.table]; there {
			if problem, statements := s.misplaced(each, f, tables["facts"]); problem != "" {
				s.cluster.Misplaced = append(s.cluster.Misplaced, store.Misplaced{Table: each.table, Problem: problem, Statements: statements})
			}
		}
	}
	return s.moveForeignKeys(ctx, tx, tables["facts"].colocation)
}

// refuseSharded refuses a schema that Citus keeps on one node as a whole: each of its tables is a shard.
func (s *Store) refuseSharded(ctx context.Context, tx pgx.Tx) error {
	var sharded bool
	err := tx.QueryRow(ctx, `
		SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_dist_schema d JOIN pg_catalog.pg_namespace n ON n.oid = d.schemaid WHERE n.nspname = $1)`,
		s.schema).Scan(&sharded)
	if err != nil || !sharded {
		return err
	}
	return &store.Error{
		Kind: store.Unusable, Detail: "SELECT citus_schema_undistribute(" + literalName(s.quoted) + ");\n",
		Text: "the store's schema is distributed as a whole (schema-based sharding), which decayctl cannot work with; have an administrator run the statement below, once",
	}
}

// misplaced says what is wrong with where a table is, and which statements mend it. problem is "" if nothing is. If facts has
// to move, its later colocation is not known yet.
func (s *Store) misplaced(p placed, f, facts found) (problem string, statements []string) {
	name, local := literalName(s.table(p.table)), f.local()
	undo := "SELECT undistribute_table(" + name + ");"
	switch {
	case p.reference && f.model == "t", local && (p.orLocal || p.column == "" && !p.reference):
		return "", nil
	case p.reference:
		problem, statements = "has to be a reference table", []string{"SELECT create_reference_table(" + name + ");"}
	case p.column == "":
		return "has to be on the coordinator alone, and not distributed", []string{undo}
	case f.method == "h" && f.model == "c":
		problem, statements = "has several copies of each shard, whose rows cannot be locked", []string{"SET citus.shard_replication_factor = 1;", s.distribute(p, name)}
	case f.method == "h" && f.column == p.column && (!p.withFacts || f.colocation == facts.colocation):
		return "", nil
	case f.method == "h" && f.column == p.column && (facts.method != "h" || facts.model == "c" || facts.column != "id"):
		problem, statements = "is not colocated with facts", []string{s.distribute(p, name)}
	case f.method == "h" && f.column == p.column:
		return "is not colocated with facts", []string{"SELECT alter_distributed_table(" + name + ", colocate_with => " + literalName(s.table("facts")) + ");"}
	default:
		problem, statements = "has to be distributed by "+p.column, []string{s.distribute(p, name)}
		if p.withFacts {
			problem += ", colocated with facts"
		}
		if f.key != nil && !slices.Contains(f.keyColumns, p.column) {
			key := make([]string, 0, len(f.keyColumns)+1)
			for _, column := range append(slices.Clone(f.keyColumns), p.column) {
				key = append(key, pgx.Identifier{column}.Sanitize())
			}
			table := s.table(p.table) // in two statements: Citus refuses both in one
			statements = append([]string{
				fmt.Sprintf("ALTER TABLE %s DROP CONSTRAINT %s;", table, pgx.Identifier{*f.key}.Sanitize()),
				fmt.Sprintf("ALTER TABLE %s ADD PRIMARY KEY (%s);", table, strings.Join(key, ", ")),
			}, statements...)
		}
	}
	if !local {
		statements = append([]string{undo}, statements...)
	}
	return problem, statements
}

// distribute is the statement that distributes a table.
func (s *Store) distribute(p placed, name string) string {
	with := ""
	if p.withFacts {
		with = ", colocate_with => " + literalName(s.table("facts"))
	}
	return "SELECT create_distributed_table(" + name + ", '" + p.column + "'" + with + ");"
}

// literalName is the name of a table as a literal for a person to read.
func literalName(table string) string { return "'" + strings.ReplaceAll(table, "'", "''") + "'" }

// checkLayout refuses to write to a cluster in which a sweep could not do all that it promises.
func (s *Store) checkLayout() error {
	if s.cluster == nil {
		return nil
	}
	if names := s.triggers.Names; len(names) > 0 {
		return &store.Error{Kind: store.Unusable, Text: "a distributed table has a trigger (" + strings.Join(names, ", ") + "), and decayctl cannot find out what it changes in the shards; drop it"}
	}
	return s.misplacedError(nil)
}

// misplacedError is the error for a cluster whose tables are not where a sweep needs them, nil if they are. because is the
// server's error for a statement that Citus refuses there.
func (s *Store) misplacedError(because error) error {
	if s.cluster == nil || len(s.cluster.Misplaced) == 0 {
		return nil
	}
	var tables, statements []string
	for _, m := range s.cluster.Misplaced {
		tables, statements = append(tables, m.Table+" "+m.Problem), append(statements, m.Statements...)
	}
	return &store.Error{
		Kind: store.Unusable, Detail: strings.Join(statements, "\n") + "\n", Err: because,
		Text: "the tables of this Citus cluster are not where a sweep needs them: " + strings.Join(tables, "; ") + "; have an administrator run the statements below once, in this order",
	}
}
