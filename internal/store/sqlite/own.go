package sqlite

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"decayctl/internal/store"
)

//go:embed migrations/0001_jobs.sql
var jobsSQL string

//go:embed migrations/0002_edge_confidence.sql
var edgeConfidenceSQL string

//go:embed migrations/0003_claimed_ids.sql
var claimedIDsSQL string

//go:embed migrations/0004_job_indexes.sql
var jobIndexesSQL string

// migrations are what was done to decayctl's own tables, in order: the first is version 1.
var migrations = []string{jobsSQL, edgeConfidenceSQL, claimedIDsSQL, jobIndexesSQL}

// Prepare makes decayctl's own tables where they are missing, in one transaction: a node that compiles a
// statement while the schema changes may refuse a write.
func (s *Store) Prepare(ctx context.Context) error {
	if s.conn == nil {
		return store.ErrReadOnly
	}
	state, err := s.own(ctx)
	if err != nil {
		return err
	}
	if state.Version < store.NewestOwn {
		err = s.within(ctx, func(tx querier) (err error) {
			// Another process may have made them since.
			if state, err = s.ownState(ctx, tx); err != nil || state.Version >= store.NewestOwn {
				return err
			}
			if err = state.Check(quoted); err == nil {
				_, err = tx.ExecContext(ctx, missing(state.Version))
			}
			return err
		})
		if err != nil || state.Version < store.NewestOwn {
			return s.translate(err, "create decayctl's own tables")
		}
	}
	if state.Version > store.NewestOwn {
		return &store.Error{Kind: store.Unusable, Text: fmt.Sprintf("the job tables are of a newer decayctl (version %d, this one knows up to %d); upgrade this one", state.Version, store.NewestOwn)}
	}
	return s.remakeIndexes(ctx, state)
}

// remakeIndexes makes the indexes anew that decayctl's own tables have lost.
func (s *Store) remakeIndexes(ctx context.Context, state store.OwnState) error {
	if len(state.LostIndexes()) == 0 {
		return nil
	}
	err := s.within(ctx, func(tx querier) error {
		_, err := tx.ExecContext(ctx, strings.ReplaceAll(jobIndexesSQL, "CREATE INDEX", "CREATE INDEX IF NOT EXISTS"))
		return err
	})
	return s.translate(err, "make the indexes of decayctl's own tables anew")
}

// own reads what there is of decayctl's own tables, and refuses what it could not work with.
func (s *Store) own(ctx context.Context) (state store.OwnState, err error) {
	err = s.reading(ctx, func(tx querier) error {
		state, err = s.ownState(ctx, tx)
		return err
	})
	if err == nil {
		err = state.Check(quoted)
	}
	return state, s.translate(err, "read decayctl's own tables")
}

// ownState folds names, as SQLite does, which knows a table by its name in any case.
func (s *Store) ownState(ctx context.Context, tx querier) (store.OwnState, error) {
	state := store.OwnState{Columns: map[string][]string{}, Keys: map[string][]store.Index{}}
	names, err := json.Marshal(store.OwnTables())
	if err != nil {
		return state, err
	}
	rows, err := tx.QueryContext(ctx, `
		SELECT lower(t.name), lower(c.name), c.pk > 0 FROM sqlite_schema t JOIN pragma_table_info(t.name) c
		WHERE t.type IN ('table', 'view') AND lower(t.name) IN (SELECT value FROM json_each($1))`, string(names))
	if err != nil {
		return state, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var table, column string
		var key bool
		if err := rows.Scan(&table, &column, &key); err != nil {
			return state, err
		}
		state.Columns[table] = append(state.Columns[table], column)
		if !key {
			continue
		}
		if state.Keys[table] == nil {
			state.Keys[table] = []store.Index{{Unique: true}}
		}
		state.Keys[table][0].Columns = append(state.Keys[table][0].Columns, column)
	}
	if err := rows.Err(); err != nil {
		return state, err
	}
	if state.Indexes, err = s.strings(ctx, tx, "SELECT lower(name) FROM sqlite_schema WHERE type = 'index' AND lower(tbl_name) = 'decayctl_jobs'"); err != nil {
		return state, err
	}
	if len(state.Columns["decayctl_store"]) > 0 {
		if err := tx.QueryRowContext(ctx, "SELECT NOT EXISTS (SELECT 1 FROM decayctl_store)").Scan(&state.NoRow); err != nil {
			return state, err
		}
	}
	if !slices.Contains(state.Columns[store.OwnVersions], "version_id") {
		return state, nil
	}
	err = tx.QueryRowContext(ctx, "SELECT coalesce(max(version_id), 0) FROM "+store.OwnVersions).Scan(&state.Version)
	return state, err
}

func quoted(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// exists tells whether there is such a table.
func (s *Store) exists(ctx context.Context, tx querier, table string) (there bool, err error) {
	err = tx.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND lower(name) = $1)", table).Scan(&there)
	return there, err
}

// DDL is what Prepare would run, goose's own table included.
func (s *Store) DDL(ctx context.Context) (string, error) {
	state, err := s.own(ctx)
	if err != nil {
		return "", err
	}
	if state.Version < store.NewestOwn {
		return missing(state.Version), nil
	}
	return missing(0), nil
}

// missing makes of decayctl's own tables of a version those of the newest one. Version 0 is none.
func missing(version int) string {
	if version > 0 {
		return strings.Join(migrations[version:], "\n") + applied(version+1)
	}
	return strings.Join(migrations, "\n") + `
-- The migrations that were run.
CREATE TABLE ` + store.OwnVersions + ` (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    version_id INTEGER NOT NULL,
    is_applied INTEGER NOT NULL,
    tstamp     TIMESTAMP DEFAULT (datetime('now'))
);
` + applied(0)
}

// applied notes the migrations that were run, from one on.
func applied(first int) (notes string) {
	for version := first; version <= store.NewestOwn; version++ {
		notes += fmt.Sprintf("INSERT INTO "+store.OwnVersions+" (version_id, is_applied) VALUES (%d, 1);\n", version)
	}
	return notes
}

// sleep waits, unless the context ends first.
func sleep(ctx context.Context, pause time.Duration) error {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
