package postgres

import (
	"context"
	"database/sql"
	_ "embed" // the table definitions
	"fmt"
	"slices"
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

// ownTables are decayctl's own tables, and what a role needs to be granted on them.
var ownTables = []struct {
	name       string
	privileges []string
}{
	{store.OwnVersions, []string{"SELECT"}},
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
		state, err := s.own(ctx)
		if err == nil && len(state.Columns[store.OwnVersions]) > 0 {
			err = s.mayUseOwn(ctx)
		}
		switch {
		case err != nil:
			return err
		case state.Version > store.NewestOwn:
			return &store.Error{Kind: store.Unusable, Text: fmt.Sprintf("the job tables are of a newer decayctl (version %d, this one knows up to %d); upgrade this one", state.Version, store.NewestOwn)}
		case state.Version == store.NewestOwn:
			return s.remakeIndexes(ctx, state)
		}
		err = s.translate(s.migrate(ctx), "create decayctl's own tables")
		if store.Is(err, store.NotPermitted) {
			return s.notPermitted(ctx, fmt.Sprintf("the role may not create tables in schema %s, and decayctl keeps its jobs in tables of its own there; have an administrator run the statements below, once", s.quoted), err)
		}
		if err == nil || attempt == attempts || ctx.Err() != nil || store.Is(err, store.Busy) {
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

// mayUseOwn names every grant that is missing on decayctl's own tables.
func (s *Store) mayUseOwn(ctx context.Context) error {
	err := s.within(ctx, reading, func(tx pgx.Tx) error { return s.checkOwn(ctx, tx) })
	return s.translate(err, "look for decayctl's own tables")
}

// remakeIndexes makes the indexes anew that decayctl's own tables have lost. A role that may not does without.
func (s *Store) remakeIndexes(ctx context.Context, state store.OwnState) error {
	if len(state.LostIndexes()) == 0 {
		return nil
	}
	err := s.within(ctx, writing, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, s.inSchema(strings.ReplaceAll(jobIndexes, "CREATE INDEX", "CREATE INDEX IF NOT EXISTS")), pgx.QueryExecModeSimpleProtocol)
		return err
	})
	if err = s.translate(err, "make the indexes of decayctl's own tables anew"); store.Is(err, store.NotPermitted) {
		return nil
	}
	return err
}

// own reads what there is of decayctl's own tables, and refuses what it could not work with.
func (s *Store) own(ctx context.Context) (state store.OwnState, err error) {
	// One snapshot: another process may be making the tables.
	err = s.isolated(ctx, pgx.RepeatableRead, reading, nil, func(tx pgx.Tx) error {
		state, err = s.ownState(ctx, tx)
		return err
	})
	if err == nil {
		err = state.Check(s.table)
	}
	return state, s.translate(err, "look for decayctl's own tables")
}

func (s *Store) ownState(ctx context.Context, tx pgx.Tx) (store.OwnState, error) {
	state := store.OwnState{Columns: map[string][]string{}, Keys: map[string][]store.Index{}}
	rows, err := tx.Query(ctx, `
		SELECT c.relname, a.attname
		FROM pg_catalog.pg_class c
		JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
		WHERE n.nspname = $1 AND c.relname = ANY($2::text[]) AND c.relkind IN ('r', 'p', 'v', 'm', 'f')`, s.schema, store.OwnTables())
	if err != nil {
		return state, err
	}
	var table, name string
	if _, err = pgx.ForEachRow(rows, []any{&table, &name}, func() error {
		state.Columns[table] = append(state.Columns[table], name)
		return nil
	}); err != nil {
		return state, err
	}
	rows, err = tx.Query(ctx, `
		SELECT c.relname, x.relname, i.indisunique AND i.indisvalid AND i.indpred IS NULL,
		       ARRAY(SELECT coalesce(a.attname, '') FROM unnest(i.indkey) k LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = k)::text[]
		FROM pg_catalog.pg_index i
		JOIN pg_catalog.pg_class c ON c.oid = i.indrelid
		JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
		JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = $1 AND c.relname = ANY($2::text[])`, s.schema, store.OwnTables())
	if err != nil {
		return state, err
	}
	var index store.Index
	if _, err = pgx.ForEachRow(rows, []any{&table, &name, &index.Unique, &index.Columns}, func() error {
		state.Keys[table] = append(state.Keys[table], store.Index{Unique: index.Unique, Columns: slices.Clone(index.Columns)})
		state.Indexes = append(state.Indexes, name)
		return nil
	}); err != nil {
		return state, err
	}
	readable := func(table, column string) (may bool, err error) {
		if !slices.Contains(state.Columns[table], column) {
			return false, nil
		}
		err = tx.QueryRow(ctx, "SELECT coalesce(pg_catalog.has_table_privilege(pg_catalog.to_regclass($1), 'SELECT'), false)", s.table(table)).Scan(&may)
		return may, err
	}
	if may, err := readable("decayctl_store", "id"); err != nil {
		return state, err
	} else if may {
		if err := tx.QueryRow(ctx, "SELECT NOT EXISTS (SELECT 1 FROM "+s.table("decayctl_store")+")").Scan(&state.NoRow); err != nil {
			return state, err
		}
	}
	may, err := readable(store.OwnVersions, "version_id")
	switch {
	case err != nil:
		return state, err
	case may:
		err = tx.QueryRow(ctx, "SELECT coalesce(max(version_id), 0) FROM "+s.table(store.OwnVersions)).Scan(&state.Version)
	case len(state.Columns[store.OwnVersions]) > 0:
		state.Version = -1
	}
	return state, err
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
	plain, err := database.NewStore(database.DialectPostgres, s.table(store.OwnVersions))
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
	_, err := db.ExecContext(ctx, s.preamble(nil, s.params.LockTimeout))
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
	state, err := s.own(ctx)
	if err != nil {
		return "", err
	}
	err = s.within(ctx, reading, func(tx pgx.Tx) error {
		grants, err := s.grants(ctx, tx)
		if err != nil {
			return err
		}
		if version := state.Version; version > 0 && version < store.NewestOwn {
			ddl = s.inSchema(strings.Join(migrations[version:], "\n")) + s.applied(version+1) + "\n" + grants
			return nil
		}
		ddl = s.inSchema(strings.Join(migrations, "\n")+`
-- Which version of these tables this is, as decayctl would have noted it.
CREATE TABLE {schema}.`+store.OwnVersions+` (
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
	for version := first; version <= store.NewestOwn; version++ {
		notes += fmt.Sprintf("INSERT INTO %s (version_id, is_applied) VALUES (%d, true);\n", s.table(store.OwnVersions), version)
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
