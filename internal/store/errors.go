package store

import (
	"errors"
	"strconv"
	"syscall"
)

// Kind is what an error of a store means to its caller.
type Kind int

const (
	// Unusable: missing, unreachable, of a kind not supported, not a Stigmem store, or too old.
	Unusable Kind = iota + 1
	// NotPermitted: the store or the role does not allow it.
	NotPermitted
	// Busy: another process held a lock for longer than the lock timeout.
	Busy
	// Contention: deadlock or serialization failure; the same work may succeed when repeated.
	Contention
	// Rejected: the database refuses a row for what it holds; smaller batches find which.
	Rejected
	// TooLong: what was to be read has more text than is held in memory, or its rows were given other numbers; it can be
	// read in the order of ids.
	TooLong
	// Disconnected: the connection was lost before anything was committed; it may come back.
	Disconnected
	// Irreversible: a trigger or rule changes what is written, so that an undo would not find it; nothing was.
	Irreversible
	// Uncertain: the connection was lost in a COMMIT, which may or may not have happened.
	Uncertain
)

// Error is a failure a store can name. Text is one line for the operator, saying what is wrong and
// what to do; it holds no password. Err is the driver's word on it, for errors.Is.
type Error struct {
	Kind   Kind
	Text   string
	Detail string // lines to hand to somebody else, such as statements for an administrator; mostly ""
	Err    error
}

func (e *Error) Error() string { return e.Text }

func (e *Error) Unwrap() error { return e.Err }

// TooManyFiles is what a store says when OutOfFiles tells it so.
const TooManyFiles = "too many open files; allow this process more of them (ulimit -n)"

// OutOfFiles tells whether an error is that the process, or the system, may open no more files or sockets.
func OutOfFiles(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

// ErrReadOnly is what a store opened for reading says to a write.
var ErrReadOnly = &Error{Kind: NotPermitted, Text: "the store was opened read-only"}

// ErrNoStoreRow is the row of decayctl_store that was removed since the store was looked at.
var ErrNoStoreRow = &Error{Kind: Unusable, Text: "decayctl's own table decayctl_store has lost its one row, under whose lock sweeps start; run the command again to see how to put it back"}

// UnknownFact is a fact id that no fact has.
type UnknownFact struct{ ID string }

func (e *UnknownFact) Error() string { return "no fact " + strconv.Quote(e.ID) + " in this store" }

// Is tells whether err is a store error of a kind.
func Is(err error, kind Kind) bool {
	var e *Error
	return errors.As(err, &e) && e.Kind == kind
}
