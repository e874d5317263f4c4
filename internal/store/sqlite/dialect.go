package sqlite

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"decayctl/internal/store"
	"decayctl/internal/store/jobtable"
)

// dialect implements jobtable.Dialect for SQLite. A transaction that writes begins with the write lock of the whole file,
// so it locks no rows.
type dialect struct{ *Store }

var _ jobtable.Dialect = dialect{}

// jobTx implements jobtable.Tx.
type jobTx struct{ querier }

func (t jobTx) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	result, err := t.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

func (t jobTx) Query(ctx context.Context, columns []any, use func() error, query string, args ...any) error {
	return onRows(ctx, t.querier)(query, args, columns, use)
}

func (d dialect) Read(ctx context.Context, work func(jobtable.Tx) error) error {
	return d.reading(ctx, func(q querier) error { return work(jobTx{q}) })
}

func (d dialect) Snapshot(ctx context.Context, work func(jobtable.Tx) error) error {
	return d.Read(ctx, work)
}

func (d dialect) Write(ctx context.Context, work func(jobtable.Tx) error) error {
	return d.within(ctx, func(q querier) error { return work(jobTx{q}) })
}

func (d dialect) Translate(err error, doing string) error { return d.translate(err, doing) }

func (dialect) Table(name string) string { return name }

func (dialect) InSchema(statements string) string {
	return strings.NewReplacer("{schema}.", "", "{clustered}", " WITHOUT ROWID", "{bytes}", "").Replace(statements)
}

func (dialect) Bytes(column string) string { return column }

func (dialect) NoIndex(column string) string { return "+" + column }

func (dialect) In(column string, n int) string {
	return column + " IN (SELECT value FROM json_each($" + strconv.Itoa(n) + "))"
}

func (dialect) Array(texts []string) any {
	list, _ := json.Marshal(texts) // cannot fail for strings
	return string(list)
}

func (dialect) Among(key, query string) string { return "(" + key + ") IN (" + query + ")" }

func (dialect) BeforeImageKey() string { return "job_id, fact_id" }

func (dialect) NodeJobID() string { return "n.id" }

func (dialect) Lock(string) string { return "" }

// Clock is this host's clock: all processes that can open the file run on this host.
func (d dialect) Clock(unitsPerSecond int64) string {
	now := d.params.Now()
	return strconv.FormatInt(now.Unix()*unitsPerSecond+int64(now.Nanosecond())*unitsPerSecond/int64(time.Second), 10)
}

func (dialect) Encode(text string) string { return text }

func (dialect) UseIndexes(context.Context, jobtable.Tx) error { return nil }

func (dialect) Apart(_ context.Context, tx jobtable.Tx, work func(jobtable.Tx) error) error {
	return work(tx)
}

func (dialect) WaitAtMost(context.Context, jobtable.Tx, time.Duration) error { return nil }

func (d dialect) FollowClock(ctx context.Context, tx jobtable.Tx, l store.Lease) error {
	return d.followClock(ctx, tx, l)
}

func (d dialect) LeaseWritten(l store.Lease) { d.noteLease(l, d.readClocks()) }

func (dialect) Exclusive() bool { return true }

func (d dialect) Checkpoint(ctx context.Context) { d.checkpoint(ctx) }

func (dialect) MayUndo(context.Context, jobtable.Tx) error { return nil }

func (dialect) MayPrune(context.Context, jobtable.Tx) error { return nil }

func (d dialect) NextRange(ctx context.Context, t jobtable.Tx, p store.RangeParams) (store.Range, error) {
	return d.nextRange(ctx, t.(jobTx).querier, p)
}

// InOrder does not look the facts up, which would take too long under the write lock. A reader of the claim finds out
// which facts exist.
func (d dialect) InOrder(ctx context.Context, tx jobtable.Tx, ids []string, last store.Cursor) (sorted []string, err error) {
	list := packIDs(ids)
	var id string
	err = tx.Query(ctx, []any{&id}, func() error { sorted = append(sorted, id); return nil },
		"SELECT id FROM ("+list.sql+") WHERE id <= $2 ORDER BY id", list.json, last.ID)
	return sorted, err
}

func (dialect) HasTable(ctx context.Context, tx jobtable.Tx, table string) (there bool, err error) {
	err = tx.Query(ctx, []any{&there}, func() error { return nil },
		"SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND lower(name) = $1)", table)
	return there, err
}

func (dialect) HasColumn(ctx context.Context, tx jobtable.Tx, table, column string) (there bool, err error) {
	err = tx.Query(ctx, []any{&there}, func() error { return nil },
		"SELECT EXISTS (SELECT 1 FROM pragma_table_info($1) WHERE lower(name) = $2)", table, column)
	return there, err
}

// OwnShape converts names to lower case: SQLite ignores the case of names.
func (d dialect) OwnShape(ctx context.Context, tx jobtable.Tx) (store.OwnState, error) {
	state := store.OwnState{Columns: map[string][]string{}, Keys: map[string][]store.Index{}}
	var table, name string
	var key bool
	err := tx.Query(ctx, []any{&table, &name, &key}, func() error {
		state.Columns[table] = append(state.Columns[table], name)
		if !key {
			return nil
		}
		if state.Keys[table] == nil {
			state.Keys[table] = []store.Index{{Unique: true}}
		}
		state.Keys[table][0].Columns = append(state.Keys[table][0].Columns, name)
		return nil
	}, `
		SELECT lower(t.name), lower(c.name), c.pk > 0 FROM sqlite_schema t JOIN pragma_table_info(t.name) c
		WHERE t.type IN ('table', 'view') AND `+d.In("lower(t.name)", 1), d.Array(store.OwnTables()))
	if err != nil {
		return state, err
	}
	err = tx.Query(ctx, []any{&name}, func() error { state.Indexes = append(state.Indexes, name); return nil },
		"SELECT lower(name) FROM sqlite_schema WHERE type = 'index' AND lower(tbl_name) = 'decayctl_jobs'")
	return state, err
}

func (dialect) MayRead(context.Context, jobtable.Tx, string) (bool, error) { return true, nil }

func (dialect) MayUseOwn(context.Context, jobtable.Tx) error { return nil }

func (dialect) MayCreate(context.Context, jobtable.Tx) error { return nil }

func (dialect) NotPermitted(bool) string { return "" }

func (dialect) Grants(context.Context, jobtable.Tx) (string, error) { return "", nil }

func (dialect) LockSchema(context.Context, jobtable.Tx) error { return nil }

func (dialect) Versions() string {
	return `CREATE TABLE ` + store.OwnVersions + ` (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    version_id INTEGER NOT NULL,
    is_applied INTEGER NOT NULL,
    tstamp     TIMESTAMP DEFAULT (datetime('now'))
);
`
}
