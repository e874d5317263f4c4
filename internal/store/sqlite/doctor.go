package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"

	"decayctl/internal/store"
)

// Diagnose implements store.Doctor.
func (s *Store) Diagnose(ctx context.Context) (store.Diagnosis, error) {
	d := store.Diagnosis{Server: "SQLite " + Version, Triggers: s.triggers.Names}
	err := s.reading(ctx, func(tx querier) error {
		if err := tx.QueryRowContext(ctx, "SELECT max(version) FROM schema_migrations").Scan(&d.Migration); err != nil {
			return err
		}
		if err := s.diagnoseOwn(ctx, tx, &d); err != nil {
			return err
		}
		if err := s.diagnoseIndexes(ctx, tx, &d); err != nil {
			return err
		}
		return factSQL.CountFacts(&d, onRows(ctx, tx))
	})
	if err != nil {
		return d, s.translate(err, "look the store over")
	}
	if d.Facts, err = s.Estimate(ctx); err != nil {
		return d, err
	}
	// SQLite has no roles: a process that may write the file may do everything.
	for _, privilege := range []string{"read the file", "write the file"} {
		if privilege == "write the file" && !s.mayWrite() {
			d.MissingPrivileges = append(d.MissingPrivileges, privilege)
			continue
		}
		d.HeldPrivileges = append(d.HeldPrivileges, privilege)
	}
	return d, nil
}

// mayWrite checks the file's mode. It must not open the file: closing a descriptor releases all POSIX locks that this
// process holds on the file, those of SQLite among them.
func (s *Store) mayWrite() bool {
	info, err := os.Stat(s.path)
	return err == nil && info.Mode().Perm()&0o222 != 0
}

func (s *Store) diagnoseOwn(ctx context.Context, tx querier, d *store.Diagnosis) error {
	version, broken, err := s.Table.Diagnose(ctx, jobTx{tx})
	if d.OwnVersion, d.OwnBroken = int64(version), broken; err != nil || broken || version == 0 {
		return err
	}
	var bytes sql.NullInt64
	err = tx.QueryRowContext(ctx, `
		SELECT count(*), sum(length(job_id) + length(fact_id) + coalesce(length(valid_until), 0) + coalesce(length(reason), 0)
		       + coalesce(length(updated_at), 0) + coalesce(length(updated_by), 0) + coalesce(length(edge_valid_until), 0) + 20)
		FROM decayctl_before`).Scan(&d.BeforeImages, &bytes)
	d.BeforeImageMB = float64(bytes.Int64) / (1 << 20)
	return err
}

// freshCards is a look-up that only this store makes: see staleCards.
var freshCards = store.Lookup{Columns: []string{"is_stale"}, Effect: "every batch reads all memory cards to see which are fresh"}

func (s *Store) diagnoseIndexes(ctx context.Context, tx querier, d *store.Diagnosis) error {
	indexes, err := tableIndexes(ctx, tx)
	if err != nil {
		return err
	}
	for _, table := range store.Tables {
		lookups := table.Lookups
		if table.Name == "memory_cards" {
			lookups = append(slices.Clip(lookups), freshCards)
		}
		there, isTable := indexes[table.Name]
		for _, lookup := range lookups {
			if isTable && !lookup.Unique && !lookup.Served(there) {
				d.MissingIndexes = append(d.MissingIndexes, store.MissingIndex{
					Table: table.Name, Columns: lookup.Columns, Effect: lookup.Effect, Statement: createIndex(table.Name, lookup),
				})
			}
		}
	}
	return nil
}

// tableIndexes reads the indexes of the tables that decayctl uses, with names in lower case. It leaves out partial indexes,
// and columns with another collation than the node's: such an index does not serve a look-up.
func tableIndexes(ctx context.Context, tx querier) (map[string][]store.Index, error) {
	names, err := json.Marshal(store.TableNames())
	if err != nil {
		return nil, err
	}
	found, last := map[string][]store.Index{}, ""
	var table string
	var index, column *string
	var unique *bool
	return found, onRows(ctx, tx)(`
		SELECT lower(t.name), i.name, i."unique", CASE WHEN c.coll = 'BINARY' THEN lower(c.name) END
		FROM sqlite_schema t
		LEFT JOIN pragma_index_list(t.name) i ON NOT i.partial
		LEFT JOIN pragma_index_xinfo(i.name) c ON c.key
		WHERE t.type = 'table' AND lower(t.name) IN (SELECT value FROM json_each($1))
		ORDER BY t.name, i.name, c.seqno`, []any{string(names)}, []any{&table, &index, &unique, &column}, func() error {
		if index == nil {
			found[table] = nil
			return nil
		}
		if *index != last {
			found[table] = append(found[table], store.Index{Unique: *unique})
			last = *index
		}
		of := &found[table][len(found[table])-1]
		of.Columns = append(of.Columns, text(column))
		return nil
	})
}

// createIndex is the statement that makes the index for a look-up.
func createIndex(table string, l store.Lookup) string {
	create := "CREATE INDEX"
	if l.Unique {
		create = "CREATE UNIQUE INDEX"
	}
	return fmt.Sprintf(`%s "idx_%s_%s" ON "%s" ("%s");`, create, table, strings.Join(l.Columns, "_"), table, strings.Join(l.Columns, `", "`))
}
