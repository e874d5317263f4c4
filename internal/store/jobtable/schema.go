package jobtable

import (
	"context"
	_ "embed" // the table definitions
	"errors"
	"fmt"
	"slices"
	"strings"

	"decayctl/internal/store"
)

// Schema is what a database says of its tables, and who may make them.
type Schema interface {
	HasTable(ctx context.Context, tx Tx, table string) (bool, error)
	HasColumn(ctx context.Context, tx Tx, table, column string) (bool, error)

	// OwnShape reads the columns, the unique keys and the indexes of decayctl's own tables.
	OwnShape(ctx context.Context, tx Tx) (store.OwnState, error)
	// MayRead tells whether the role may read a table that is there.
	MayRead(ctx context.Context, tx Tx, table string) (bool, error)
	// MayUseOwn fails with a *store.Error that lists the grants on decayctl's own tables that the role lacks.
	MayUseOwn(ctx context.Context, tx Tx) error
	// MayCreate fails with a *store.Error if the role may not create tables.
	MayCreate(ctx context.Context, tx Tx) error
	// NotPermitted is what to say, before the statements for an administrator, if the role may not make the tables, or
	// not change those of an older decayctl; "" if an administrator's statements would not help.
	NotPermitted(older bool) string
	// Grants are statements that let the role use decayctl's own tables, or "".
	Grants(ctx context.Context, tx Tx) (string, error)

	// Snapshot is Read on one state of the store.
	Snapshot(ctx context.Context, work func(Tx) error) error
	// LockSchema keeps other processes from making decayctl's own tables until the transaction ends.
	LockSchema(ctx context.Context, tx Tx) error
	// Versions is the definition of the table that notes the migrations.
	Versions() string
}

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

// Prepare makes decayctl's own tables in one transaction. A node on SQLite that compiles a statement while the schema
// changes may refuse a write, and once is enough for that.
func (t *Table) Prepare(ctx context.Context) error {
	if t.params.ReadOnly {
		return store.ErrReadOnly
	}
	state, err := t.ownTables(ctx)
	if err != nil {
		return err
	}
	if len(state.Columns[store.OwnVersions]) > 0 {
		if err := t.db.Read(ctx, func(tx Tx) error { return t.db.MayUseOwn(ctx, tx) }); err != nil {
			return t.db.Translate(err, "look for decayctl's own tables")
		}
	}
	if state.Version < store.NewestOwn {
		if state, err = t.create(ctx); err != nil || state.Version < store.NewestOwn {
			return err
		}
	}
	if state.Version > store.NewestOwn {
		return &store.Error{Kind: store.Unusable, Text: fmt.Sprintf("the job tables are of a newer decayctl (version %d, this one knows up to %d); upgrade this one", state.Version, store.NewestOwn)}
	}
	return t.remakeIndexes(ctx, state)
}

// create makes decayctl's own tables, or brings them to the newest version. It returns what it found: another process
// may have made them since.
func (t *Table) create(ctx context.Context) (state store.OwnState, err error) {
	err = t.db.Write(ctx, func(tx Tx) error {
		if err := t.db.LockSchema(ctx, tx); err != nil {
			return err
		}
		if state, err = t.ownState(ctx, tx); err != nil {
			return err
		}
		if state.Version < 0 || state.Version >= store.NewestOwn {
			return t.db.MayUseOwn(ctx, tx)
		}
		if err := state.Check(t.db.Table); err != nil {
			return err
		}
		if err := t.db.MayCreate(ctx, tx); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, t.upgrade(state))
		return err
	})
	err = t.db.Translate(err, "create decayctl's own tables")
	var refusal *store.Error // MayUseOwn's has statements of its own
	if text := t.db.NotPermitted(state.Version > 0); text != "" && errors.As(err, &refusal) && refusal.Kind == store.NotPermitted && refusal.Detail == "" {
		ddl, failed := t.DDL(ctx)
		if failed != nil {
			return state, failed
		}
		return state, &store.Error{Kind: store.NotPermitted, Text: text, Detail: ddl, Err: err}
	}
	return state, err
}

// remakeIndexes makes the indexes anew that decayctl's own tables have lost. A role that may not does without.
func (t *Table) remakeIndexes(ctx context.Context, state store.OwnState) error {
	if len(state.LostIndexes()) == 0 {
		return nil
	}
	err := t.db.Write(ctx, func(tx Tx) error {
		if err := t.db.LockSchema(ctx, tx); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, t.db.InSchema(strings.ReplaceAll(jobIndexesSQL, "CREATE INDEX", "CREATE INDEX IF NOT EXISTS")))
		return err
	})
	if err = t.db.Translate(err, "make the indexes of decayctl's own tables anew"); store.Is(err, store.NotPermitted) {
		return nil
	}
	return err
}

// Check notes that decayctl's own tables are broken: what needs them then fails, and all else works. It returns that
// in a sentence, "" if they are whole. It is for a store opened read-only; Prepare refuses broken tables.
func (t *Table) Check(ctx context.Context) (note string, err error) {
	var broken *store.Error
	if _, err = t.ownTables(ctx); errors.As(err, &broken) && broken.Kind == store.Unusable {
		t.broken = err
		return broken.Text, nil
	}
	return "", err
}

// ownTables reads what there is of decayctl's own tables, and refuses what it could not work with.
func (t *Table) ownTables(ctx context.Context) (state store.OwnState, err error) {
	err = t.db.Snapshot(ctx, func(tx Tx) error { // another process may be making the tables
		state, err = t.ownState(ctx, tx)
		return err
	})
	if err == nil {
		err = state.Check(t.db.Table)
	}
	return state, t.db.Translate(err, "look for decayctl's own tables")
}

func (t *Table) ownState(ctx context.Context, tx Tx) (store.OwnState, error) {
	state, err := t.db.OwnShape(ctx, tx)
	if err != nil {
		return state, err
	}
	if slices.Contains(state.Columns["decayctl_store"], "id") {
		may, err := t.db.MayRead(ctx, tx, "decayctl_store")
		if err == nil && may {
			_, err = first(ctx, tx, []any{&state.NoRow}, "SELECT NOT EXISTS (SELECT 1 FROM "+t.db.Table("decayctl_store")+")")
		}
		if err != nil {
			return state, err
		}
	}
	// A history without its column is none: Check finds the tables newer than it says.
	if !slices.Contains(state.Columns[store.OwnVersions], "version_id") {
		return state, nil
	}
	may, err := t.db.MayRead(ctx, tx, store.OwnVersions)
	if err != nil {
		return state, err
	}
	if !may {
		state.Version = -1
		return state, nil
	}
	_, err = first(ctx, tx, []any{&state.Version}, "SELECT coalesce(max(version_id), 0) FROM "+t.db.Table(store.OwnVersions))
	return state, err
}

// Diagnose tells which version decayctl's own tables have: 0 is none, -1 is one that the role may not read. broken tells
// that decayctl cannot work with them.
func (t *Table) Diagnose(ctx context.Context, tx Tx) (version int, broken bool, err error) {
	state, err := t.ownState(ctx, tx)
	return state.Version, state.Check(t.db.Table) != nil, err
}

// DDL is what Prepare would run, with the grants that the role needs. If the tables are there, it is what made them.
func (t *Table) DDL(ctx context.Context) (ddl string, err error) {
	state, err := t.ownTables(ctx)
	if err != nil {
		return "", err
	}
	if state.Version < 0 || state.Version >= store.NewestOwn {
		state = store.OwnState{}
	}
	err = t.db.Read(ctx, func(tx Tx) error {
		ddl = t.upgrade(state)
		grants, err := t.db.Grants(ctx, tx)
		if grants != "" {
			ddl += "\n" + grants
		}
		return err
	})
	return ddl, t.db.Translate(err, "write down the statements for decayctl's own tables")
}

// upgrade makes the newest version of decayctl's own tables of what there is. An older decayctl that was killed
// early has left a history that notes version 0 alone.
func (t *Table) upgrade(state store.OwnState) string {
	version := state.Version
	statements := strings.Join(migrations[version:], "\n")
	if len(state.Columns[store.OwnVersions]) == 0 {
		statements += "\n-- The migrations that were run.\n" + t.db.Versions()
	} else {
		version++
	}
	statements = t.db.InSchema(statements)
	for ; version <= store.NewestOwn; version++ {
		statements += fmt.Sprintf("INSERT INTO %s (version_id, is_applied) VALUES (%d, true);\n", t.db.Table(store.OwnVersions), version)
	}
	return statements
}
