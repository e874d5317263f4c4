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

// Schema is the part of Dialect that reads and changes the schema.
type Schema interface {
	HasTable(ctx context.Context, tx Tx, table string) (bool, error)
	HasColumn(ctx context.Context, tx Tx, table, column string) (bool, error)

	// OwnShape reads the columns, unique keys and indexes of decayctl's own tables.
	OwnShape(ctx context.Context, tx Tx) (store.OwnState, error)
	// MayRead tells whether the role may read a table. The table exists.
	MayRead(ctx context.Context, tx Tx, table string) (bool, error)
	// MayUseOwn fails with NotPermitted, and lists the grants on decayctl's own tables that the role lacks.
	MayUseOwn(ctx context.Context, tx Tx) error
	// MayCreate fails with NotPermitted if the role may not create tables.
	MayCreate(ctx context.Context, tx Tx) error
	// NotPermitted is the text of the error if the role may not create decayctl's own tables, or not upgrade those of an
	// older version. The statements for an administrator follow. It is "" if such statements would not help.
	NotPermitted(older bool) string
	// Grants are statements that let the role use decayctl's own tables, or "".
	Grants(ctx context.Context, tx Tx) (string, error)

	// Snapshot is Read with all statements on the same snapshot.
	Snapshot(ctx context.Context, work func(Tx) error) error
	// LockSchema keeps other processes from creating decayctl's own tables until the transaction ends.
	LockSchema(ctx context.Context, tx Tx) error
	// Versions is the statement that creates the table of migrations.
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

//go:embed migrations/0005_plans.sql
var plansSQL string

// migrations create and change decayctl's own tables. The first is version 1.
var migrations = []string{jobsSQL, edgeConfidenceSQL, claimedIDsSQL, jobIndexesSQL, plansSQL}

// Prepare creates or upgrades the tables in one transaction. A node on SQLite may fail a write if it compiles a statement
// while the schema changes; so the schema must change only once.
func (t *Table) Prepare(ctx context.Context) error {
	if t.params.ReadOnly {
		return store.ErrReadOnly
	}
	state, err := t.usable(ctx)
	if err != nil {
		return err
	}
	if state.Version < store.NewestOwn {
		if state, err = t.create(ctx); err != nil || state.Version < store.NewestOwn {
			return err
		}
	}
	if err := refuseNewer(state); err != nil {
		return err
	}
	return t.remakeIndexes(ctx, state)
}

// CheckOwn is what Prepare does before it writes.
func (t *Table) CheckOwn(ctx context.Context) error {
	_, err := t.usable(ctx)
	return err
}

// usable reads the state of decayctl's own tables. It fails if they cannot be written.
func (t *Table) usable(ctx context.Context) (store.OwnState, error) {
	state, err := t.ownTables(ctx)
	if err != nil {
		return state, err
	}
	if len(state.Columns[store.OwnVersions]) > 0 {
		if err := t.db.Read(ctx, func(tx Tx) error { return t.db.MayUseOwn(ctx, tx) }); err != nil {
			return state, t.db.Translate(err, "look for decayctl's own tables")
		}
	}
	return state, refuseNewer(state)
}

func refuseNewer(state store.OwnState) error {
	if state.Version <= store.NewestOwn {
		return nil
	}
	return &store.Error{Kind: store.Unusable, Text: fmt.Sprintf("the job tables are of a newer decayctl (version %d, this one knows up to %d); upgrade this one", state.Version, store.NewestOwn)}
}

// create creates decayctl's own tables, or upgrades them. It returns their state before: another process may have created
// them meanwhile.
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
	var refusal *store.Error // one with a Detail is of MayUseOwn and has its statements
	if text := t.db.NotPermitted(state.Version > 0); text != "" && errors.As(err, &refusal) && refusal.Kind == store.NotPermitted && refusal.Detail == "" {
		ddl, failed := t.DDL(ctx)
		if failed != nil {
			return state, failed
		}
		return state, &store.Error{Kind: store.NotPermitted, Text: text, Detail: ddl, Err: err}
	}
	return state, err
}

// remakeIndexes creates the lost indexes of decayctl's own tables again, if the role may.
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

// Check checks decayctl's own tables of a store that was opened read-only. If they are damaged, note says how, and only
// the methods that need these tables fail. Prepare does the same for a store that is written, and refuses such tables.
func (t *Table) Check(ctx context.Context) (note string, err error) {
	var broken *store.Error
	if _, err = t.ownTables(ctx); errors.As(err, &broken) && broken.Kind == store.Unusable {
		t.broken = err
		return broken.Text, nil
	}
	return "", err
}

// ownTables reads the state of decayctl's own tables. It fails if they are damaged.
func (t *Table) ownTables(ctx context.Context) (state store.OwnState, err error) {
	err = t.db.Snapshot(ctx, func(tx Tx) error { // another process may be creating the tables
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
	// Without this column the table of migrations is damaged: Check finds tables that it does not note.
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

// Diagnose reads the version of decayctl's own tables: 0 if there are none, -1 if the role may not read it. broken is true
// if they are damaged.
func (t *Table) Diagnose(ctx context.Context, tx Tx) (version int, broken bool, err error) {
	state, err := t.ownState(ctx, tx)
	return state.Version, state.Check(t.db.Table) != nil, err
}

// DDL is the statements that Prepare would run, or has run if the tables are up to date.
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

// upgrade is the statements that bring decayctl's own tables from a state to the newest version. An older decayctl that was
// killed early may have left a table of migrations with version 0 only.
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
