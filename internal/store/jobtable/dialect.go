// Package jobtable stores jobs. decayctl's own tables have all that a sweep needs to be resumed and undone; the node's
// jobs table has what the node shows of a job. The code is the same for all databases; Dialect is what differs.
package jobtable

import (
	"context"
	"sync/atomic"
	"time"

	"decayctl/internal/store"
)

// Tx is a transaction. Its statements take placeholders $1, $2 and so on.
type Tx interface {
	// Exec runs a statement and returns the number of rows that it wrote.
	Exec(ctx context.Context, query string, args ...any) (rows int64, err error)

	// Query scans each row of a result into columns, which are pointers, and calls use after each row.
	Query(ctx context.Context, columns []any, use func() error, query string, args ...any) error
}

// Dialect is what a database brings to the job table. A fragment is a piece of SQL. Arguments that become part of a
// fragment are text of decayctl, never of a user.
type Dialect interface {
	// Read runs work in a transaction that only reads, Write in one that writes. Both may run work several times, each
	// time in a new transaction. So work must forget what an earlier run found.
	Read(ctx context.Context, work func(Tx) error) error
	Write(ctx context.Context, work func(Tx) error) error

	// Translate makes a *store.Error of a driver's error. doing is what failed, such as "start the job". nil stays nil.
	Translate(err error, doing string) error

	// Table is a table's name with its schema, quoted as SQL needs it.
	Table(name string) string
	// InSchema replaces {schema}, {clustered} and {bytes} in statements that make tables.
	InSchema(statements string) string
	// Bytes is a fragment: the column, compared byte by byte. NoIndex is one: the column, in a form that no index serves.
	Bytes(column string) string
	NoIndex(column string) string
	// In is a condition: the column is in the list of argument $n. Array makes that argument.
	In(column string, n int) string
	Array(texts []string) any
	// Among is a condition: the key columns are among the rows of a query. The database must run the query only once.
	Among(key, query string) string
	// BeforeImageKey is the columns by which the database finds rows of decayctl_before fastest.
	BeforeImageKey() string
	// NodeJobID is the id of the node's job n, comparable with decayctl_jobs.job_id.
	NodeJobID() string
	// Lock is the end of a query that locks the rows that it reads. of is more of the clause, as in "OF c SKIP LOCKED".
	// Lock is "" if a transaction that writes has locked the whole store.
	Lock(of string) string
	// Clock is a fragment: the time since 1970, in unitsPerSecond. All processes that use the store must read the same
	// clock.
	Clock(unitsPerSecond int64) string
	// Encode escapes JSON or rules so that the database's encoding can store them.
	Encode(text string) string

	// UseIndexes makes the rest of a transaction read by indexes only. Apart does so for work that only reads.
	UseIndexes(ctx context.Context, tx Tx) error
	Apart(ctx context.Context, tx Tx, work func(Tx) error) error
	// WaitAtMost sets how long the rest of a transaction waits for one lock.
	WaitAtMost(ctx context.Context, tx Tx, wait time.Duration) error

	// FollowClock corrects the end of this process's lease after the clock was stepped. LeaseWritten notes that the
	// transaction wrote the end of a lease.
	FollowClock(ctx context.Context, tx Tx, l store.Lease) error
	LeaseWritten(l store.Lease)

	// Exclusive tells whether a transaction that writes keeps all other writers of the store waiting.
	Exclusive() bool
	// Checkpoint checkpoints the WAL, if the database needs that. It is called after a transaction that wrote much.
	Checkpoint(ctx context.Context)

	// MayUndo and MayPrune fail with NotPermitted, and list the privileges that the role lacks.
	MayUndo(ctx context.Context, tx Tx) error
	MayPrune(ctx context.Context, tx Tx) error

	// NextRange is Facts.NextRange, within a transaction.
	NextRange(ctx context.Context, tx Tx, p store.RangeParams) (store.Range, error)
	// InOrder sorts ids of facts in the store's order, and leaves out ids after last.
	InOrder(ctx context.Context, tx Tx, ids []string, last store.Cursor) ([]string, error)

	Schema
}

var _ store.Jobs = (*Table)(nil)

// Table implements store.Jobs for an open store.
type Table struct {
	db                 Dialect
	params             store.OpenParams
	singleWorkerReason string      // see store.Tuning
	hasPlan            atomic.Bool // see planColumn
	broken             error       // why decayctl's own tables of a read-only store cannot be used; nil if they can
}

// New makes the job table of a store. singleWorkerReason is that of store.Tuning.
func New(d Dialect, p store.OpenParams, singleWorkerReason string) *Table {
	return &Table{db: d, params: p, singleWorkerReason: singleWorkerReason}
}

// first reads the first row of a result. found is false if there is none.
func first(ctx context.Context, tx Tx, columns []any, query string, args ...any) (found bool, err error) {
	err = tx.Query(ctx, columns, func() error { found = true; return nil }, query, args...)
	return found, err
}

// texts reads a result of one column.
func texts(ctx context.Context, tx Tx, query string, args ...any) (all []string, err error) {
	var value string
	err = tx.Query(ctx, []any{&value}, func() error { all = append(all, value); return nil }, query, args...)
	return all, err
}

// cursor is the cursor of a column: NULL is before the first fact.
func cursor(id *string) store.Cursor {
	if id == nil {
		return store.Cursor{}
	}
	return store.After(*id)
}

func nullableID(c store.Cursor) *string {
	if !c.Set {
		return nil
	}
	return &c.ID
}

func nullIfEmpty(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}
