package postgres

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"decayctl/internal/store"
)

// severalServers tells how a connection finds the server that can be written. Without the setting it takes the first that answers.
const severalServers = "; if the address names several servers, add target_session_attrs=read-write"

// check checks that this is a fact store that decayctl can work with, and that the role has the privileges for a sweep or
// a dry run. It changes nothing.
func (s *Store) check(ctx context.Context) error {
	err := s.within(ctx, reading, func(tx pgx.Tx) error {
		s.notes, s.locks = nil, nil // of an earlier attempt
		if !s.params.ReadOnly {
			var standby bool
			if err := tx.QueryRow(ctx, "SELECT pg_is_in_recovery()").Scan(&standby); err != nil {
				return err
			}
			if standby {
				return &store.Error{Kind: store.NotPermitted, Text: "the server is a hot standby, which cannot be written; sweep on the primary (a dry run works here)" + severalServers}
			}
			var frozen bool
			if err := tx.QueryRow(ctx, "SELECT current_setting('default_transaction_read_only')::boolean").Scan(&frozen); err != nil {
				return err
			}
			if frozen {
				return &store.Error{Kind: store.NotPermitted, Text: "the server, the database or the role is read-only (default_transaction_read_only is on); sweep with a role that may write (a dry run works here)"}
			}
		}
		if err := s.readServer(ctx, tx); err != nil {
			return err
		}
		if err := s.checkSettings(ctx, tx); err != nil {
			return err
		}
		if err := s.readLayout(ctx, tx); err != nil {
			return err
		}
		forms, err := s.forms(ctx, tx)
		if err != nil {
			return err
		}
		if len(forms["facts"].Columns) == 0 {
			return &store.Error{Kind: store.Unusable, Text: fmt.Sprintf("not a Stigmem fact store: schema %s has no table facts; name the node's schema with --pg-schema", s.quoted)}
		}
		if err := s.checkPrivileges(ctx, tx); err != nil {
			return err
		}
		var migrations []string
		if len(forms["schema_migrations"].Columns) > 0 {
			rows, err := tx.Query(ctx, "SELECT version FROM "+s.table("schema_migrations"))
			if err != nil {
				return err
			}
			if migrations, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
				return err
			}
		}
		notes, err := store.CheckSchema(migrations, forms)
		if err != nil { // Citus may refuse the index that this asks for, until the tables are moved
			return cmp.Or(s.misplacedError(err), err)
		}
		s.notes = append(s.notes, notes...)
		if err := s.checkCollations(ctx, tx); err != nil {
			return err
		}
		if err := s.findTriggers(ctx, tx); err != nil {
			return err
		}
		if err := s.checkLocks(ctx, tx); err != nil || s.params.ReadOnly {
			return err
		}
		if err := s.checkLayout(); err != nil {
			return err
		}
		return s.checkVectors(ctx, tx, forms)
	})
	if err == nil && s.params.ReadOnly {
		var note string
		if note, err = s.Check(ctx); note != "" {
			s.notes = append(s.notes, note)
		}
	}
	return s.translate(err, "open the store")
}

// checkSettings refuses settings that would change results and that only a superuser may reset.
func (s *Store) checkSettings(ctx context.Context, tx pgx.Tx) error {
	var replication, damaged, checksums, encoding string
	err := tx.QueryRow(ctx, `
		SELECT current_setting('session_replication_role'), current_setting('zero_damaged_pages'),
		       current_setting('ignore_checksum_failure'), current_setting('server_encoding')`).Scan(&replication, &damaged, &checksums, &encoding)
	s.notUTF8 = encoding != "UTF8" && encoding != bytesOnly
	var odd string
	switch {
	case err != nil:
		return err
	case replication == "replica" && !s.params.ReadOnly:
		odd = "session_replication_role is replica, which switches the store's foreign keys and triggers off"
	case damaged == "on":
		odd = "zero_damaged_pages is on, which empties damaged pages, and a legal hold on one of them is gone"
	case checksums == "on":
		odd = "ignore_checksum_failure is on, which reads damaged pages as if they were whole"
	}
	if encoding == bytesOnly {
		s.notes = append(s.notes, "the database's encoding is SQL_ASCII, which does not tell what bytes beyond ASCII mean; policies, tenants and all other text are compared byte by byte")
	}
	if odd != "" {
		return &store.Error{Kind: store.Unusable, Text: "the setting " + odd + "; have it reset for the role, the database or the server, or use another role"}
	}
	return nil
}

// bytesOnly is the encoding of a database that stores any bytes as text.
const bytesOnly = "SQL_ASCII"

// stateTables are the tables that Candidates and ScanAll read in one snapshot.
var stateTables = []string{"facts", "fact_validity_overrides", "fact_quarantine_status", "tombstones", "tombstone_revocations"}

// checkLocks sets locks if the role may lock all of stateTables. With SELECT on some columns only, it may not.
func (s *Store) checkLocks(ctx context.Context, tx pgx.Tx) error {
	var lockable int
	err := tx.QueryRow(ctx, `
		SELECT count(*)
		FROM pg_catalog.pg_class c
		JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = $1 AND c.relname = ANY($2::text[])
		  AND pg_catalog.has_table_privilege(c.oid, 'SELECT')`, s.schema, stateTables).Scan(&lockable)
	if err != nil || lockable < len(stateTables) {
		return err
	}
	s.locks = nil
	for _, name := range stateTables {
		s.locks = append(s.locks, s.table(name))
	}
	return nil
}

// checkCollations refuses columns of fact ids with another collation than facts.id: the rows for a range of facts are read
// from each table by a range of ids.
func (s *Store) checkCollations(ctx context.Context, tx pgx.Tx) error {
	rows, err := tx.Query(ctx, `
		SELECT c.relname || '.' || a.attname
		FROM pg_catalog.pg_class c
		JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid
		JOIN (VALUES ('fact_validity_overrides', 'fact_id'), ('fact_quarantine_status', 'fact_id'), ('entity_edges', 'id'))
			AS w(relation, name) ON w.relation = c.relname AND w.name = a.attname
		WHERE n.nspname = $1 AND a.attcollation <> (
			SELECT i.attcollation FROM pg_catalog.pg_attribute i WHERE i.attrelid = $2::regclass AND i.attname = 'id')
		ORDER BY 1`, s.schema, s.table("facts"))
	if err != nil {
		return err
	}
	odd, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(odd) == 0 {
		return err
	}
	return &store.Error{Kind: store.Unusable, Text: fmt.Sprintf("the collation of %s is not that of facts.id: what belongs to a fact could be missed; give these columns the collation that the node gave them", strings.Join(odd, ", "))}
}

// privilegeSet is privileges on columns. If a column is "", the privilege is on the whole table.
type privilegeSet struct{ tables, columns, privileges []string }

func (w *privilegeSet) add(table, privilege string, columns ...string) {
	for _, column := range columns {
		w.tables, w.columns, w.privileges = append(w.tables, table), append(w.columns, column), append(w.privileges, privilege)
	}
}

const wholeTable = ""

func (w *privilegeSet) addAll(more privilegeSet) {
	for i, table := range more.tables {
		w.add(table, more.privileges[i], more.columns[i])
	}
}

// privileges tells which of some privileges the role holds, by table. It ignores missing tables.
func (s *Store) privileges(ctx context.Context, tx pgx.Tx, w privilegeSet) (held, missing []string, err error) {
	rows, err := tx.Query(ctx, `
		SELECT w.privilege || ' on ' || $1 || '.' || w.tab,
		       bool_and(pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND CASE
		           WHEN w.col = '' THEN pg_catalog.has_table_privilege(c.oid, w.privilege)
		           ELSE pg_catalog.has_column_privilege(c.oid, a.attnum, w.privilege) END)
		FROM unnest($2::text[], $3::text[], $4::text[]) AS w(tab, col, privilege)
		JOIN pg_catalog.pg_class c ON c.relname = w.tab
		JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace AND n.nspname = $1
		LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attname = w.col
		WHERE w.col = '' OR a.attnum IS NOT NULL
		GROUP BY 1 ORDER BY 1`, s.schema, w.tables, w.columns, w.privileges)
	if err != nil {
		return nil, nil, err
	}
	var privilege string
	var holds bool
	_, err = pgx.ForEachRow(rows, []any{&privilege, &holds}, func() error {
		if holds {
			held = append(held, privilege)
		} else {
			missing = append(missing, privilege)
		}
		return nil
	})
	return held, missing, err
}

// require fails with NotPermitted, and names all privileges that the role lacks.
func (s *Store) require(ctx context.Context, tx pgx.Tx, w privilegeSet) error {
	_, missing, err := s.privileges(ctx, tx, w)
	if err != nil || len(missing) == 0 {
		return err
	}
	return &store.Error{Kind: store.NotPermitted, Text: "the role lacks " + strings.Join(missing, ", ") + " (and USAGE on the schema, if it has none); have them granted, or use another role"}
}

// checkPrivileges checks the privileges for a sweep or a dry run. Grants on columns are enough.
func (s *Store) checkPrivileges(ctx context.Context, tx pgx.Tx) error {
	var w privilegeSet
	for _, t := range store.Tables {
		if s.params.ReadOnly && t.Written() && t.Name != "fact_validity_overrides" {
			continue
		}
		w.add(t.Name, "SELECT", t.Read...)
		if !s.params.ReadOnly {
			w.add(t.Name, "INSERT", t.Insert...)
			w.add(t.Name, "INSERT", t.Newer...)
			w.add(t.Name, "UPDATE", t.Update...)
		}
	}
	return s.require(ctx, tx, w)
}

// undoPrivileges are the privileges that an undo needs in addition to those of a sweep.
func undoPrivileges() (w privilegeSet) {
	w.add("fact_validity_overrides", "DELETE", wholeTable)
	w.add("fact_validity_overrides", "UPDATE", "confidence")
	w.add("fact_retractions", "DELETE", wholeTable)
	w.add("fact_retractions", "SELECT", "id", "retracted_by")
	return w
}

// prunePrivileges are the privileges that a removal of jobs needs in addition to those of a sweep.
func prunePrivileges() (w privilegeSet) {
	w.add("jobs", "DELETE", wholeTable)
	return w
}

// checkVectors checks whether decayctl can delete vectors, and ask the node to make them again.
func (s *Store) checkVectors(ctx context.Context, tx pgx.Tx, forms map[string]store.Form) error {
	var exists bool
	err := tx.QueryRow(ctx, `
		SELECT v.oid IS NOT NULL,
		       coalesce(pg_catalog.has_table_privilege(v.oid, 'DELETE')
		            AND pg_catalog.has_column_privilege(v.oid, 'fact_id', 'SELECT'), false),
		       coalesce(pg_catalog.has_table_privilege(e.oid, 'SELECT')
		            AND pg_catalog.has_table_privilege(e.oid, 'INSERT')
		            AND pg_catalog.has_table_privilege(e.oid, 'UPDATE'), false)
		FROM (SELECT pg_catalog.to_regclass($1)::oid AS oid) v, (SELECT pg_catalog.to_regclass($2)::oid AS oid) e`,
		s.quoted+".vec_facts", s.quoted+".fact_embedding_status").Scan(&exists, &s.vec, &s.backfill)
	if err != nil {
		return err
	}
	noted := false
	for i, may := range []*bool{&s.vec, &s.backfill} {
		table := store.VectorTables[i]
		if unfit := table.Check(forms[table.Name]); unfit != nil && *may {
			*may, noted = false, true
			s.note(table.DoneWithout(unfit.Error()))
		}
	}
	switch {
	case noted:
	case exists && !s.vec:
		s.note(store.VectorTables[0].DoneWithout("the role may not delete from vec_facts (grant SELECT and DELETE on it)"))
	case exists && !s.backfill:
		s.note(store.VectorTables[1].DoneWithout("fact_embedding_status is missing, or the role may not write it (grant SELECT, INSERT and UPDATE on it)"))
	}
	return nil
}
