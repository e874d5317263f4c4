package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"decayctl/internal/job"
	"decayctl/internal/store"
)

// translate makes a *store.Error of a driver's error. doing is what failed, such as "read the facts". nil, the end of a
// context, a *store.Error and an error of package job stay as they are.
func (s *Store) translate(err error, doing string) error {
	var driverError *sqlite.Error
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || ours(err):
		return err
	case store.OutOfFiles(err), errors.As(err, &driverError) && driverError.Code()&0xff == sqlite3.SQLITE_CANTOPEN && noMoreFiles():
		return &store.Error{Text: "cannot " + doing + ": " + store.TooManyFiles, Err: err}
	case !errors.As(err, &driverError):
		return fmt.Errorf("cannot %s: %w", doing, err)
	}
	fail := func(kind store.Kind, text string) error {
		return &store.Error{Kind: kind, Text: "cannot " + doing + ": " + text, Err: err}
	}
	switch code := driverError.Code(); code & 0xff {
	case sqlite3.SQLITE_INTERRUPT:
		return context.Canceled
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		// A snapshot that is too old does not recur when the work is repeated. A lock may still be held.
		if code == sqlite3.SQLITE_BUSY_SNAPSHOT {
			return fail(store.Contention, "the store changed meanwhile")
		}
		return fail(store.Busy, fmt.Sprintf("another process has kept the store locked for %s; try again later, or wait longer with --lock-timeout", s.params.LockTimeout))
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM:
		if problem := s.readProblem(driverError); problem != nil {
			return problem
		}
		return fail(store.NotPermitted, "the file, its folder or its file system is read-only; run decayctl as the node's user")
	case sqlite3.SQLITE_CANTOPEN:
		if problem := s.readProblem(driverError); problem != nil {
			return problem
		}
		return fail(store.NotPermitted, "its journal or log cannot be opened; both, and the folder of the store, must be writable for a sweep")
	case sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT:
		return fail(store.Unusable, "the file is damaged, or no SQLite database ("+driverError.Error()+")")
	case sqlite3.SQLITE_FULL:
		return fmt.Errorf("cannot %s: the disk is full; nothing of this batch was written: %w", doing, err)
	case sqlite3.SQLITE_IOERR:
		return fmt.Errorf("cannot %s: the disk is full or failing, or a file would be larger than allowed; nothing of this batch was written: %w", doing, err)
	case sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_TOOBIG:
		return fail(store.Rejected, driverError.Error())
	case sqlite3.SQLITE_ERROR, sqlite3.SQLITE_SCHEMA:
		if unfit.MatchString(driverError.Error()) {
			return fail(store.Unusable, store.UnfitText("SQLite's error "+strconv.Itoa(code)))
		}
	}
	return fmt.Errorf("cannot %s: %w", doing, err)
}

// unfit matches the messages of SQLite for a statement that does not fit a table. There is no error code for that.
var unfit = regexp.MustCompile("no such (table|column)|has no column|ON CONFLICT clause does not match|cannot (modify|INSERT|UPDATE)|may not be modified")

// noMoreFiles tells whether this process cannot open as many files as SQLite needs for a database. SQLite does not report
// the cause.
func noMoreFiles() bool {
	for range 5 { // the database, its log, the index of the log, the folder, and a device for random bytes
		file, err := os.Open(os.DevNull)
		if store.OutOfFiles(err) {
			return true
		}
		defer func() { _ = file.Close() }()
	}
	return false
}

// ours tells whether an error is a *store.Error or of package job, and needs no translation.
func ours(err error) bool {
	switch err.(type) { //nolint:errorlint // they are returned as they are made
	case *store.Error, *job.Ambiguous, *job.Busy, *job.Foreign, *job.Illegal, *job.Lost, *job.Superseded, *job.Unknown:
		return true
	}
	return false
}

// tooLong tells whether a value is longer than the limit of the connection: 10^9 bytes, or maxValue.
func tooLong(err error) bool {
	var driverError *sqlite.Error
	return errors.Is(err, errTooLong) || errors.As(err, &driverError) && driverError.Code() == sqlite3.SQLITE_TOOBIG
}
