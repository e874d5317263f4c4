package sqlite

import (
	"context"
	"database/sql"
	_ "embed"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/pressly/goose/v3"

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

const (
	ownVersions = "decayctl_migrations" // the table in which goose notes the migrations there were
	newestOwn   = 4
)

// Prepare makes decayctl's own tables where they are missing. Two processes may do so at once: the one
// that comes second fails on the first one's tables, and looks again.
func (s *Store) Prepare(ctx context.Context) error {
	if s.conn == nil {
		return store.ErrReadOnly
	}
	var failed error
	for _, pause := range []time.Duration{0, 50 * time.Millisecond, 500 * time.Millisecond} {
		if err := sleep(ctx, pause); err != nil {
			return err
		}
		version, err := s.prepared(ctx)
		if err != nil || version == newestOwn {
			return s.translate(err, "read decayctl's own tables")
		}
		if version > newestOwn {
			return &store.Error{Kind: store.Unusable, Text: "the job tables are of a newer decayctl; upgrade this one"}
		}
		// Whoever keeps the store locked is met here: goose would wait for the lock four times over.
		if failed = s.within(ctx, func(querier) error { return nil }); failed != nil {
			break
		}
		if failed = s.migrate(ctx); failed == nil {
			return nil
		}
	}
	if ctx.Err() != nil { // whatever the driver calls it, this is why
		return ctx.Err()
	}
	return s.translate(failed, "create decayctl's own tables")
}

// prepared is the version of decayctl's own tables, or 0 where there are none.
func (s *Store) prepared(ctx context.Context) (version int, err error) {
	err = s.reading(ctx, func(tx querier) error {
		if there, err := s.exists(ctx, tx, ownVersions); err != nil || !there {
			return err
		}
		return tx.QueryRowContext(ctx, "SELECT coalesce(max(version_id), 0) FROM "+ownVersions).Scan(&version)
	})
	return version, err
}

// exists tells whether there is such a table.
func (s *Store) exists(ctx context.Context, tx querier, table string) (there bool, err error) {
	err = tx.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = $1)", table).Scan(&there)
	return there, err
}

// migrate runs what is missing of decayctl's own migrations, on a connection of its own: goose wants a
// pool, and that of the writes has none to spare.
func (s *Store) migrate(ctx context.Context) error {
	if err := s.take(ctx); err != nil {
		return err
	}
	defer s.release()
	db, err := s.connect(url.Values{"mode": {"rw"}, "_txlock": {"immediate"}, "_pragma": {"wal_autocheckpoint=0"}}, 1)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	var all []*goose.Migration
	for i, statements := range migrations {
		run := func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, statements)
			return err
		}
		all = append(all, goose.NewGoMigration(int64(i+1), &goose.GoFunc{RunTx: run}, nil))
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, nil, goose.WithTableName(ownVersions),
		goose.WithGoMigrations(all...), goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()))
	if err != nil {
		return err
	}
	_, err = provider.Up(ctx)
	var partial *goose.PartialError
	if errors.As(err, &partial) {
		return partial.Err // the rest of its text is about goose
	}
	return err
}

// DDL is what Prepare would run, goose's own table included.
func (s *Store) DDL(ctx context.Context) (string, error) {
	version, err := s.prepared(ctx)
	if err != nil {
		return "", s.translate(err, "read decayctl's own tables")
	}
	if version > 0 && version < newestOwn {
		return strings.Join(migrations[version:], "\n") + applied(version+1), nil
	}
	return strings.Join(migrations, "\n") + `
-- The migrations that were run.
CREATE TABLE ` + ownVersions + ` (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    version_id INTEGER NOT NULL,
    is_applied INTEGER NOT NULL,
    tstamp     TIMESTAMP DEFAULT (datetime('now'))
);
` + applied(0), nil
}

// applied notes the migrations that were run, from one on.
func applied(first int) (notes string) {
	for version := first; version <= newestOwn; version++ {
		notes += fmt.Sprintf("INSERT INTO "+ownVersions+" (version_id, is_applied) VALUES (%d, 1);\n", version)
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
