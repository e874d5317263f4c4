// Package jobtable keeps jobs: in tables of decayctl's own all that a sweep needs to be resumed and undone, in the
// node's jobs table what the node shows of it. It is written once for all databases; Dialect is what differs.
package jobtable

import (
	"context"
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

// Dialect is what a database brings to the job table. A fragment is a piece of SQL; its columns and queries are
// decayctl's own text, never a user's.
type Dialect interface {
	// Read runs work in a transaction that writes nothing, Write in one that writes. Both may run work several
	// times, each time in a new transaction, so work begins anew with all that it has found.
	Read(ctx context.Context, work func(Tx) error) error
	Write(ctx context.Context, work func(Tx) error) error

	// Translate makes a *store.Error of a driver's error. doing is the end of a sentence that begins with "cannot".
	Translate(err error, doing string) error

	// Table is a table's name with its schema, quoted if need be.
	Table(name string) string
	// InSchema replaces {schema}, {clustered} and {bytes} in statements that make tables.
	InSchema(statements string) string
	// Bytes is a fragment that compares a text column byte by byte, and NoIndex one that no index serves.
	Bytes(column string) string
	NoIndex(column string) string
	// In is a condition: the column is in the list that argument n is. Array makes that argument.
	In(column string, n int) string
	Array(texts []string) any
	// Among is a condition: the key columns are among the rows of a query. The query is run once.
	Among(key, query string) string
	// BeforeImageKey is the columns by which rows of decayctl_before are found quickest.
	BeforeImageKey() string
	// NodeJobID is the id of the node's job n, comparable with decayctl_jobs.job_id.
	NodeJobID() string
	// Lock ends a query that locks the rows that it reads: of says which, as in "OF c SKIP LOCKED". It is empty if
	// a transaction has locked everything from its start.
	Lock(of string) string
	// Clock is a fragment: the time now, as a number of units since 1970, so many of which make a second. All
	// processes that work on the store read the same clock.
	Clock(unitsPerSecond int64) string
	// Encode makes a text of JSON or rules storable in the database's encoding.
	Encode(text string) string

	// UseIndexes makes the rest of a transaction read by indexes. Apart does so for a part that only reads.
	UseIndexes(ctx context.Context, tx Tx) error
	Apart(ctx context.Context, tx Tx, work func(Tx) error) error
	// WaitAtMost sets for how long the rest of a transaction waits for one lock.
	WaitAtMost(ctx context.Context, tx Tx, wait time.Duration) error

	// FollowClock corrects the end of this process's lease after a step of the clock. LeaseWritten notes that the
	// transaction has written that end.
	FollowClock(ctx context.Context, tx Tx, l store.Lease) error
	LeaseWritten(l store.Lease)

	// Exclusive tells whether a transaction that writes keeps all other writers of the store waiting.
	Exclusive() bool
	// Checkpoint follows a transaction that has written much.
	Checkpoint(ctx context.Context)

	// MayUndo and MayPrune fail with a *store.Error that lists the privileges that the role lacks.
	MayUndo(ctx context.Context, tx Tx) error
	MayPrune(ctx context.Context, tx Tx) error

	// NextRange is store.Store's, within a transaction.
	NextRange(ctx context.Context, tx Tx, p store.RangeParams) (store.Range, error)
	// InOrder sorts ids of facts as the store does, and leaves out those behind last.
	InOrder(ctx context.Context, tx Tx, ids []string, last store.Cursor) ([]string, error)

	Schema
}

var _ store.Jobs = (*Table)(nil)

// Table is the job table of an open store.
type Table struct {
	db     Dialect
	params store.OpenParams
	alone  string // why only one worker at a time helps a job; "" if more do
	broken error  // what is wrong with decayctl's own tables, of a store opened read-only; nil is nothing
}

// New makes the job table of a store. singleWorkerReason is store.Tuning's.
func New(d Dialect, p store.OpenParams, singleWorkerReason string) *Table {
	return &Table{db: d, params: p, alone: singleWorkerReason}
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

// cursor is a place in the id order as a column holds it: NULL is before the first fact.
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
