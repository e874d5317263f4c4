package store

import (
	"errors"
	"strconv"
	"syscall"
)

// Kind is what an error of a store means to its caller.
type Kind int

const (
	// Unusable: the store is missing, unreachable, of an unsupported kind, not a Stigmem store, or too old.
	Unusable Kind = iota + 1
	// NotPermitted: the store or the role does not allow it.
	NotPermitted
	// Busy: another process held a lock for longer than the lock timeout.
	Busy
	// Contention: a deadlock or a serialization failure. The same work may succeed if it is repeated.
	Contention
	// Rejected: the database refuses the content of a row. Smaller batches find the row.
	Rejected
	// TooLong: the text to read is longer than decayctl keeps in memory, or rows got other rowids during a scan. The
	// facts can be read with CandidatesParams.InOrder.
	TooLong
	// Disconnected: the connection was lost, and nothing was committed. The server may come back.
	Disconnected
	// Irreversible: a trigger or rule changes what was written, and an undo would not find it. Nothing was committed.
	Irreversible
	// Refused: a guard of decayctl's keeps it from doing what was asked for. Nothing was written.
	Refused
	// Uncertain: the connection was lost during a COMMIT, which may or may not have succeeded.
	Uncertain
)

// Error is a failure that a store can name.
type Error struct {
	Kind   Kind
	Text   string // one line for the operator: what is wrong, and what to do; it never holds a password
	Detail string // lines to pass on, such as statements for an administrator; mostly ""
	Err    error  // of the driver, for errors.Is; may be nil
}

func (e *Error) Error() string { return e.Text }

func (e *Error) Unwrap() error { return e.Err }

// TooManyFiles is the text of an error for which OutOfFiles is true.
const TooManyFiles = "too many open files; allow this process more of them (ulimit -n)"

// OutOfFiles tells whether the process, or the system, could open no more files or sockets.
func OutOfFiles(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

// ErrReadOnly is the error of every write to a store that was opened read-only.
var ErrReadOnly = &Error{Kind: NotPermitted, Text: "the store was opened read-only"}

// ErrNoStoreRow is the error if the one row of decayctl_store was deleted after the store was opened.
var ErrNoStoreRow = &Error{Kind: Unusable, Text: "decayctl's own table decayctl_store has lost its one row, under whose lock sweeps start; run the command again to see how to put it back"}

// UnknownFact is the error for an id that no fact has.
type UnknownFact struct{ ID string }

func (e *UnknownFact) Error() string { return "no fact " + strconv.Quote(e.ID) + " in this store" }

// Is tells whether err is, or wraps, an *Error of a kind.
func Is(err error, kind Kind) bool {
	var e *Error
	return errors.As(err, &e) && e.Kind == kind
}
