package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"decayctl/internal/store"
)

// Diagnose implements store.Doctor.
func (s *Store) Diagnose(ctx context.Context) (store.Diagnosis, error) {
	var d store.Diagnosis
	err := s.within(ctx, reading, func(tx pgx.Tx) error {
		d = store.Diagnosis{Triggers: s.triggers.Names}
		for _, step := range []func(context.Context, pgx.Tx, *store.Diagnosis) error{
			s.diagnoseServer, s.diagnoseCluster, s.diagnoseOwn, s.diagnosePrivileges, s.diagnoseIndexes, s.diagnoseKeys, s.diagnoseFacts,
		} {
			if err := step(ctx, tx, &d); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return d, s.translate(err, "look the store over")
	}
	if d.Facts, err = s.Estimate(ctx); err != nil {
		return d, err
	}
	d.FirstSweep, err = s.costOfFirst(ctx, d.Facts)
	return d, err
}

func (s *Store) diagnoseServer(ctx context.Context, tx pgx.Tx, d *store.Diagnosis) error {
	var there time.Time
	before := s.params.Now()
	err := tx.QueryRow(ctx, `
		SELECT pg_catalog.concat('PostgreSQL ', current_setting('server_version'), (SELECT ' with Citus ' || extversion FROM pg_catalog.pg_extension WHERE extname = 'citus')),
		       current_user, clock_timestamp()`).Scan(&d.Server, &d.Role, &there)
	if err != nil {
		return err
	}
	// The server read its clock at some time between the question and the answer.
	here := before.Add(s.params.Now().Sub(before) / 2)
	ahead := there.Sub(here)
	d.Clock = &ahead
	return tx.QueryRow(ctx, `SELECT coalesce(max(version COLLATE "C"), '') FROM `+s.table("schema_migrations")).Scan(&d.Migration)
}

func (s *Store) diagnoseCluster(ctx context.Context, tx pgx.Tx, d *store.Diagnosis) error {
	nodes, distributed := s.layout.(citus)
	if !distributed {
		return nil
	}
	found := *s.cluster
	d.Cluster = &found
	return nodes.diagnose(ctx, tx, d.Cluster)
}

// diagnosePrivileges checks the privileges for a sweep, an undo and a removal of jobs.
func (s *Store) diagnosePrivileges(ctx context.Context, tx pgx.Tx, d *store.Diagnosis) error {
	w := undoPrivileges()
	for _, t := range store.Tables {
		w.add(t.Name, "SELECT", t.Read...)
		w.add(t.Name, "INSERT", t.Insert...)
		w.add(t.Name, "INSERT", t.Newer...)
		w.add(t.Name, "UPDATE", t.Update...)
	}
	w.addAll(prunePrivileges())
	w.addAll(ownPrivileges())
	var err error
	if d.HeldPrivileges, d.MissingPrivileges, err = s.privileges(ctx, tx, w); err != nil || d.OwnVersion != 0 {
		return err
	}
	// decayctl's own tables do not exist yet, and the role needs to create them.
	var allowed bool
	if err := tx.QueryRow(ctx, "SELECT pg_catalog.has_schema_privilege($1, 'CREATE')", s.schema).Scan(&allowed); err != nil {
		return err
	}
	if create := "CREATE on schema " + s.schema; allowed {
		d.HeldPrivileges = append(d.HeldPrivileges, create)
	} else {
		d.MissingPrivileges = append(d.MissingPrivileges, create)
	}
	return nil
}

func (s *Store) diagnoseOwn(ctx context.Context, tx pgx.Tx, d *store.Diagnosis) error {
	version, broken, err := s.Table.Diagnose(ctx, jobTx{tx})
	if d.OwnVersion, d.OwnBroken = int64(version), broken; err != nil || broken || version <= 0 {
		return err
	}
	var readable bool
	if err := tx.QueryRow(ctx, "SELECT pg_catalog.has_table_privilege($1, 'SELECT')", s.table("decayctl_before")).Scan(&readable); err != nil || !readable {
		d.OwnVersion = -1
		return err
	}
	var bytes int64
	err = tx.QueryRow(ctx, `SELECT count(*), pg_catalog.pg_total_relation_size($1::regclass) FROM `+s.table("decayctl_before"), s.table("decayctl_before")).Scan(&d.BeforeImages, &bytes)
	d.BeforeImageMB = float64(bytes) / (1 << 20)
	return err
}

// diagnoseIndexes checks each partition by itself. It need not check unique indexes, without which the store is refused.
func (s *Store) diagnoseIndexes(ctx context.Context, tx pgx.Tx, d *store.Diagnosis) error {
	relations, err := s.relations(ctx, tx)
	if err != nil {
		return err
	}
	for _, table := range store.Tables {
		for _, lookup := range table.Lookups {
			for _, r := range relations[table.Name] {
				if lookup.Unique || r.partitioned || lookup.Served(r.indexes) {
					continue
				}
				d.MissingIndexes = append(d.MissingIndexes, store.MissingIndex{
					Table: r.name, Columns: lookup.Columns, Effect: lookup.Effect, Statement: r.createIndex(lookup),
				})
			}
		}
	}
	return nil
}

func (s *Store) diagnoseKeys(ctx context.Context, tx pgx.Tx, d *store.Diagnosis) error {
	if s.cluster != nil {
		return nil
	}
	checks, err := s.keyChecks(ctx, tx)
	if err != nil {
		return err
	}
	d.KeyChecks = &checks
	for _, table := range []string{"fact_validity_overrides", "fact_retractions", "fact_embedding_status"} {
		var readable bool
		if err := tx.QueryRow(ctx, `
			SELECT EXISTS (
				SELECT 1 FROM pg_catalog.pg_attribute a
				WHERE a.attrelid = pg_catalog.to_regclass($1) AND a.attname = 'fact_id' AND pg_catalog.has_column_privilege(a.attrelid, a.attnum, 'SELECT'))`,
			s.table(table)).Scan(&readable); err != nil {
			return err
		}
		if !readable {
			continue
		}
		var orphans int64
		if err := tx.QueryRow(ctx, `SELECT count(*) FROM `+s.table(table)+` o WHERE NOT EXISTS (SELECT 1 FROM `+s.table("facts")+` f WHERE f.id = o.fact_id)`).Scan(&orphans); err != nil {
			return err
		}
		checks.Orphans += orphans
	}
	return nil
}

// withRelations begins a query with the table relation: the tables $2 of the schema $1, and all their partitions.
const withRelations = `
		WITH root AS (
			SELECT c.oid, c.relname
			FROM pg_catalog.pg_class c
			JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
			WHERE n.nspname = $1 AND c.relname = ANY($2::text[])
		), relation AS (
			SELECT root.oid AS root, root.relname AS root_name, root.oid FROM root
			UNION
			SELECT root.oid, root.relname, p.relid::oid FROM root CROSS JOIN LATERAL pg_catalog.pg_partition_tree(root.oid) p
		)`

// relation is a table or a partition.
type relation struct {
	schema, name string
	partition    bool // is a partition
	partitioned  bool // has partitions, and no rows of its own
	indexes      []store.Index
}

// relations reads the tables that decayctl uses and their partitions, by the names of the tables. It leaves out indexes that
// do not serve a look-up: partial ones, invalid or unfinished ones, and columns with another collation or operator class.
func (s *Store) relations(ctx context.Context, tx pgx.Tx) (map[string][]relation, error) {
	rows, err := tx.Query(ctx, withRelations+`
		SELECT r.root_name, n.nspname, c.relname, r.oid <> r.root, c.relkind = 'p', i.indexrelid IS NOT NULL,
		       coalesce(i.indisunique AND i.indimmediate, false),
		       ARRAY(
		           SELECT CASE WHEN o.opcdefault AND i.indcollation[k] = a.attcollation THEN a.attname ELSE '' END
		           FROM generate_series(0, i.indnkeyatts - 1) k
		           JOIN pg_catalog.pg_opclass o ON o.oid = i.indclass[k]
		           LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[k]
		           ORDER BY k)::text[]
		FROM relation r
		JOIN pg_catalog.pg_class c ON c.oid = r.oid AND c.relkind IN ('r', 'p')
		JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		LEFT JOIN (
			pg_catalog.pg_index i
			JOIN pg_catalog.pg_class ic ON ic.oid = i.indexrelid
			JOIN pg_catalog.pg_am am ON am.oid = ic.relam AND am.amname = 'btree'
		) ON i.indrelid = c.oid AND i.indisvalid AND i.indisready AND i.indpred IS NULL
		ORDER BY r.root_name, r.oid <> r.root, n.nspname, c.relname, r.oid, i.indexrelid`, s.schema, store.AllTableNames())
	if err != nil {
		return nil, err
	}
	found := map[string][]relation{}
	var table string
	var r relation
	var indexed bool
	var index store.Index
	_, err = pgx.ForEachRow(rows, []any{&table, &r.schema, &r.name, &r.partition, &r.partitioned, &indexed, &index.Unique, &index.Columns}, func() error {
		all := found[table]
		if n := len(all); n == 0 || all[n-1].schema != r.schema || all[n-1].name != r.name {
			all = append(all, relation{schema: r.schema, name: r.name, partition: r.partition, partitioned: r.partitioned})
		}
		if last := &all[len(all)-1]; indexed {
			last.indexes = append(last.indexes, store.Index{Columns: slices.Clone(index.Columns), Unique: index.Unique})
		}
		found[table] = all
		return nil
	})
	return found, err
}

// createIndex is the statement that creates the index for a look-up. CONCURRENTLY lets the node write meanwhile; the server
// does not allow it on a partitioned table.
func (r relation) createIndex(l store.Lookup) string {
	create := "CREATE INDEX"
	if l.Unique {
		create = "CREATE UNIQUE INDEX"
	}
	if !r.partitioned {
		create += " CONCURRENTLY"
	}
	columns := make([]string, len(l.Columns))
	for i, column := range l.Columns {
		columns[i] = pgx.Identifier{column}.Sanitize()
	}
	return fmt.Sprintf("%s ON %s (%s);", create, pgx.Identifier{r.schema, r.name}.Sanitize(), strings.Join(columns, ", "))
}

// diagnoseFacts reads no facts that are not in one shard with their overrides: Citus may refuse the statements.
func (s *Store) diagnoseFacts(ctx context.Context, tx pgx.Tx, d *store.Diagnosis) error {
	if s.cluster != nil && len(s.cluster.Misplaced) > 0 {
		return nil
	}
	return s.factSQL().CountFacts(d, onRows(ctx, tx))
}
