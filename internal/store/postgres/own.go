package postgres

import (
	"context"
	"database/sql"
	_ "embed" // the table definitions
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"

	"decayctl/internal/store"
)

//go:embed migrations/0001_jobs.sql
var jobTables string

//go:embed migrations/0002_edge_confidence.sql
var edgeConfidence string

//go:embed migrations/0003_claimed_ids.sql
var claimedIDs string

//go:embed migrations/0004_job_indexes.sql
var jobIndexes string

// migrations are what was done to decayctl's own tables, in order: the first is version 1.
var migrations = []string{jobTables, edgeConfidence, claimedIDs, jobIndexes}

// The version of decayctl's own tables, and the table that tells which one is there.
const (
	newest   = 4
	versions = "decayctl_migrations"
)

// ownTables are decayctl's own tables, and what a role needs to be granted on them.
var ownTables = []struct {
	name       string
	privileges []string
}{
	{versions, []string{"SELECT"}},
	{"decayctl_store", []string{"SELECT", "INSERT", "UPDATE", "DELETE"}},
	{"decayctl_jobs", []string{"SELECT", "INSERT", "UPDATE", "DELETE"}},
	{"decayctl_workers", []string{"SELECT", "INSERT", "UPDATE", "DELETE"}},
	{"decayctl_claims", []string{"SELECT", "INSERT", "UPDATE", "DELETE"}},
	{"decayctl_before", []string{"SELECT", "INSERT", "UPDATE", "DELETE"}},
}

func ownPrivileges() (w wanted) {
	for _, t := range ownTables {
		for _, privilege := range t.privileges {
			w.add(t.name, privilege, wholeTable)
		}
	}
	return w
}

// Prepare makes decayctl's own tables where they are not there yet. Two processes may be at it at
// once: the one that comes too late finds them made when it looks again.
func (s *Store) Prepare(ctx context.Context) error {
	if s.params.ReadOnly {
		return store.ErrReadOnly
	}
	const attempts, pause = 10, 200 * time.Millisecond
	for attempt := 1; ; attempt++ {
		var current bool
		err := s.within(ctx, reading, func(tx pgx.Tx) (err error) {
			current, err = s.current(ctx, tx)
			return err
		})
		if err != nil || current {
			return s.translate(err, "look for decayctl's own tables")
		}
		err = s.translate(s.migrate(ctx), "create decayctl's own tables")
		if store.Is(err, store.NotPermitted) {
			return s.notPermitted(ctx, fmt.Sprintf("the role may not create tables in schema %s, and decayctl keeps its jobs in tables of its own there; have an administrator run the statements below, once", s.quoted), err)
		}
		if err == nil || attempt == attempts || ctx.Err() != nil {
			return err
		}
		again := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			again.Stop()
		case <-again.C:
		}
	}
}

// current tells whether decayctl's own tables are there in the form this version knows, and may be
// used.
func (s *Store) current(ctx context.Context, tx pgx.Tx) (bool, error) {
	if there, err := s.has(ctx, tx, versions); err != nil || !there {
		return false, err
	}
	if err := s.checkOwn(ctx, tx); err != nil {
		return false, err
	}
	version, err := s.version(ctx, tx)
	if err != nil {
		return false, err
	}
	if version > newest {
		return false, &store.Error{Kind: store.Unusable, Text: fmt.Sprintf("the job tables are of a newer decayctl (version %d, this one knows up to %d); upgrade this one", version, newest)}
	}
	return version == newest, nil
}

// version is that of decayctl's own tables; 0 where there are none, or where the role may not ask.
func (s *Store) version(ctx context.Context, tx pgx.Tx) (version int, err error) {
	var readable bool
	err = tx.QueryRow(ctx, "SELECT coalesce(pg_catalog.has_table_privilege(pg_catalog.to_regclass($1), 'SELECT'), false)", s.table(versions)).Scan(&readable)
	if err != nil || !readable {
		return 0, err
	}
	err = tx.QueryRow(ctx, "SELECT coalesce(max(version_id), 0) FROM "+s.table(versions)).Scan(&version)
	return version, err
}

// has tells whether a table is there.
func (s *Store) has(ctx context.Context, tx pgx.Tx, table string) (there bool, err error) {
	err = tx.QueryRow(ctx, "SELECT pg_catalog.to_regclass($1) IS NOT NULL", s.table(table)).Scan(&there)
	return there, err
}

// checkOwn names every grant that is missing on those of decayctl's own tables that are there.
func (s *Store) checkOwn(ctx context.Context, tx pgx.Tx) error {
	_, missing, err := s.privileges(ctx, tx, ownPrivileges())
	if err != nil || len(missing) == 0 {
		return err
	}
	grants, err := s.grants(ctx, tx)
	if err != nil {
		return err
	}
	return &store.Error{
		Kind: store.NotPermitted, Detail: grants,
		Text: "the role lacks " + strings.Join(missing, ", ") + ", which decayctl's jobs need; have an administrator run the statements below",
	}
}

// migrate brings decayctl's own tables to the newest version.
func (s *Store) migrate(ctx context.Context) error {
	var allowed bool
	err := s.within(ctx, reading, func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, "SELECT pg_catalog.has_schema_privilege($1, 'CREATE')", s.schema).Scan(&allowed)
	})
	if err != nil {
		return err
	}
	if !allowed {
		return &store.Error{Kind: store.NotPermitted, Text: "the role may not create tables"}
	}
	plain, err := database.NewStore(database.DialectPostgres, s.table(versions))
	if err != nil {
		return err
	}
	db := stdlib.OpenDBFromPool(s.pool)
	defer func() { _ = db.Close() }()
	var all []*goose.Migration
	for i, statements := range migrations {
		run := func(ctx context.Context, tx *sql.Tx) error {
			if err := s.set(ctx, tx); err != nil {
				return err
			}
			_, err := tx.ExecContext(ctx, s.inSchema(statements))
			return err
		}
		all = append(all, goose.NewGoMigration(int64(i+1), &goose.GoFunc{RunTx: run}, nil))
	}
	provider, err := goose.NewProvider(goose.DialectCustom, db, nil,
		goose.WithStore(history{plain, s}), goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()),
		goose.WithGoMigrations(all...))
	if err != nil {
		return err
	}
	_, err = provider.Up(ctx)
	return err
}

// set gives a transaction of database/sql the settings.
func (s *Store) set(ctx context.Context, db database.DBTxConn) error {
	_, err := db.ExecContext(ctx, s.preamble(pgx.ReadCommitted))
	return err
}

// inSchema puts the schema into the table definitions.
func (s *Store) inSchema(statements string) string {
	return strings.ReplaceAll(statements, "{schema}", s.quoted)
}

// history is goose's record of what it has done. Goose reads it outside of transactions, where the
// settings would not hold: a role among them may be the only one that is allowed to.
type history struct {
	database.Store
	s *Store
}

// CreateVersionTable runs in a transaction.
func (h history) CreateVersionTable(ctx context.Context, db database.DBTxConn) error {
	if err := h.s.set(ctx, db); err != nil {
		return err
	}
	return h.Store.CreateVersionTable(ctx, db)
}

// TableExists goes by the quoted name, of which goose's own would take quotes and dots literally.
func (h history) TableExists(ctx context.Context, db database.DBTxConn) (there bool, err error) {
	err = h.read(ctx, db, func(tx database.DBTxConn) error {
		return tx.QueryRowContext(ctx, "SELECT pg_catalog.to_regclass($1) IS NOT NULL", h.Tablename()).Scan(&there)
	})
	return there, err
}

// GetLatestVersion is read with the settings.
func (h history) GetLatestVersion(ctx context.Context, db database.DBTxConn) (version int64, err error) {
	err = h.read(ctx, db, func(tx database.DBTxConn) error {
		version, err = h.Store.GetLatestVersion(ctx, tx)
		return err
	})
	return version, err
}

// ListMigrations is read with the settings.
func (h history) ListMigrations(ctx context.Context, db database.DBTxConn) (list []*database.ListMigrationsResult, err error) {
	err = h.read(ctx, db, func(tx database.DBTxConn) error {
		list, err = h.Store.ListMigrations(ctx, tx)
		return err
	})
	return list, err
}

func (h history) read(ctx context.Context, db database.DBTxConn, work func(database.DBTxConn) error) error {
	conn, ok := db.(interface {
		BeginTx(context.Context, *sql.TxOptions) (*sql.Tx, error)
	})
	if !ok {
		return work(db) // a transaction already
	}
	tx, err := conn.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	if err := h.s.set(ctx, tx); err != nil {
		return err
	}
	return work(tx)
}

// DDL is what an administrator runs where the role may not create tables.
func (s *Store) DDL(ctx context.Context) (ddl string, err error) {
	err = s.within(ctx, reading, func(tx pgx.Tx) error {
		grants, err := s.grants(ctx, tx)
		if err != nil {
			return err
		}
		version, err := s.version(ctx, tx)
		if err != nil {
			return err
		}
		if version > 0 && version < newest {
			ddl = s.inSchema(strings.Join(migrations[version:], "\n")) + s.applied(version+1) + "\n" + grants
			return nil
		}
		ddl = s.inSchema(strings.Join(migrations, "\n")+`
-- Which version of these tables this is, as decayctl would have noted it.
CREATE TABLE {schema}.`+versions+` (
    id         integer PRIMARY KEY GENERATED BY DEFAULT AS IDENTITY,
    version_id bigint NOT NULL,
    is_applied boolean NOT NULL,
    tstamp     timestamp NOT NULL DEFAULT now()
);
`) + s.applied(0) + "\n" + grants
		return err
	})
	return ddl, s.translate(err, "write down the statements for decayctl's own tables")
}

// applied notes the migrations that were run, from one on.
func (s *Store) applied(first int) (notes string) {
	for version := first; version <= newest; version++ {
		notes += fmt.Sprintf("INSERT INTO %s (version_id, is_applied) VALUES (%d, true);\n", s.table(versions), version)
	}
	return notes
}

// grants are the statements that let the role use decayctl's own tables.
func (s *Store) grants(ctx context.Context, tx pgx.Tx) (string, error) {
	var role string
	if err := tx.QueryRow(ctx, "SELECT current_user").Scan(&role); err != nil {
		return "", err
	}
	var statements strings.Builder
	for _, t := range ownTables {
		fmt.Fprintf(&statements, "GRANT %s ON %s TO %s;\n", strings.Join(t.privileges, ", "), s.table(t.name), pgx.Identifier{role}.Sanitize())
	}
	return statements.String(), nil
}

// notPermitted is a refusal that comes with what an administrator can do about it.
func (s *Store) notPermitted(ctx context.Context, text string, cause error) error {
	ddl, err := s.DDL(ctx)
	if err != nil {
		return err
	}
	return &store.Error{Kind: store.NotPermitted, Text: text, Detail: ddl, Err: cause}
}
