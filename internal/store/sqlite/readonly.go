package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"decayctl/internal/store"
	"decayctl/internal/store/sqlite/dbfile"
)

// openReadOnly opens the file so that nothing is written, not even a file next to it. In WAL mode, SQLite creates missing
// WAL files even with mode=ro, unless another process has the WAL open. So the file is read without locks, together with a
// WAL that was left behind, and Unchanged checks afterwards whether it changed. It is read with locks if another process
// has the WAL open, if there is a journal, or if the file keeps changing.
func (s *Store) openReadOnly() error {
	state, err := dbfile.StateOf(s.path)
	if store.OutOfFiles(err) {
		return s.translate(err, "read the store")
	} else if err != nil {
		return &store.Error{Kind: store.Unusable, Text: "cannot read the store: " + dbfile.Cause(err).Error(), Err: err}
	}
	wal := state.WAL()
	log, index := state.Log()
	s.lockFree = state
	switch {
	case state.Journal(), s.lockFreeChanges > 0 && !wal, s.lockFreeChanges >= maxLockFreeChanges:
		s.lockFree = nil
	case !log:
		return s.connectReadOnly(url.Values{"mode": {"ro"}, "immutable": {"1"}})
	case !index && dbfile.Lockless != "":
		return s.connectReadOnly(url.Values{"mode": {"ro"}, "vfs": {dbfile.Lockless}, "_pragma": {"locking_mode=EXCLUSIVE"}})
	}
	s.lockFree = nil
	if wal {
		if err := s.file.CheckOwner(wal); err != nil {
			return err
		}
	}
	return s.connectReadOnly(url.Values{"mode": {"ro"}})
}

func (s *Store) connectReadOnly(options url.Values) (err error) {
	s.read, err = s.connect(options, readers)
	return err
}

// keepsLog makes connections that do not delete the WAL when they are closed. Without locks, each connection assumes to be
// the last one, and would delete an empty WAL.
type keepsLog struct{ driver.Connector }

func (k keepsLog) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := k.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := conn.(sqlite.FileControl).FileControlPersistWAL("main", 1); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// maxLockFreeChanges is how often a file may change before it is read with locks.
const maxLockFreeChanges = 3

// Unchanged checks whether a file that is read without locks has changed. If so, pages of different states may have been
// read, and the store is reopened.
func (s *Store) Unchanged(ctx context.Context) (bool, error) {
	if s.lockFree == nil {
		return true, nil
	}
	now, err := dbfile.StateOf(s.path)
	if err == nil && s.lockFree.Same(now) {
		return true, nil
	}
	if err := s.read.Close(); err != nil {
		return false, s.translate(err, "reopen the store")
	}
	s.lockFreeChanges++
	if err := s.checkName(ctx); err != nil { // the process that changed the file may have opened it by another name
		return false, err
	}
	return false, s.openReadOnly()
}

// readProblem explains why a file with a WAL or journal could not be read. The driver's message does not say what to do.
func (s *Store) readProblem(err *sqlite.Error) error {
	if !s.params.ReadOnly {
		return nil
	}
	text := "the store has a write-ahead log that cannot be opened; run decayctl as the node's user, or on a copy of the database with its -wal file in a folder of your own"
	if err.Code() == sqlite3.SQLITE_READONLY_ROLLBACK {
		text = fmt.Sprintf("a write to the store was interrupted, and its journal %q was not rolled back yet; the node does that when it opens the store, and 'decayctl sweep' does", s.path+dbfile.JournalSuffix)
	}
	return &store.Error{Kind: store.Unusable, Text: text, Err: err}
}
