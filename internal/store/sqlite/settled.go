package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"decayctl/internal/store"
)

// fileState is what tells one state of a database file from another without a lock.
type fileState struct {
	info    os.FileInfo
	header  [100]byte   // has the change counter, which every commit outside WAL mode moves
	log     os.FileInfo // a log with content lies beside the file
	journal bool        // a journal with content does
	index   bool        // the index of a log does: it is made by the first process that opens the file
}

func stateOf(path string) (*fileState, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	header, err := readHeader(path)
	if err != nil {
		return nil, err
	}
	state := &fileState{info: info}
	copy(state.header[:], header)
	files := sideFiles(path)
	if log := files[logSuffix]; log != nil && log.Size() > 0 {
		state.log = log
	}
	state.journal = files[journalSuffix] != nil && files[journalSuffix].Size() > 0
	state.index = files[indexSuffix] != nil
	return state, nil
}

// inWALMode tells whether a header is that of a database in WAL mode: its read version is 2.
func inWALMode(header []byte) bool { return len(header) > 19 && header[19] == 2 }

// readHeader reads the first page's header, or as much of it as there is.
func readHeader(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	header := make([]byte, len(fileState{}.header))
	n, err := io.ReadFull(file, header)
	if err == io.ErrUnexpectedEOF || err == io.EOF { //nolint:errorlint // ReadFull returns these unwrapped
		err = nil
	}
	return header[:n], err
}

// same tells whether nothing was written in between.
func (f *fileState) same(later *fileState) bool {
	if (f.log == nil) != (later.log == nil) || f.log != nil && (later.index || !sameFile(f.log, later.log)) {
		return false
	}
	return sameFile(f.info, later.info) && f.header == later.header && !later.journal
}

func sameFile(a, b os.FileInfo) bool {
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// openReadOnly opens the file so that nothing is written, not even beside it. With SQLite's locks (mode=ro) that
// is so only beside a rollback journal, or while another process has the log open: else SQLite makes the files of
// a log where they are missing, and leaves them. So a file that no process has open is read without locks, as it
// is or with the log that was left beside it, and checked afterwards (Unchanged).
func (s *Store) openReadOnly() error {
	state, err := stateOf(s.path)
	if store.OutOfFiles(err) {
		return s.translate(err, "read the store")
	} else if err != nil {
		return &store.Error{Kind: store.Unusable, Text: "cannot read the store: " + cause(err).Error(), Err: err}
	}
	wal := inWALMode(state.header[:])
	s.frozen = state
	switch {
	case state.journal, s.unsettled > 0 && !wal, s.unsettled >= mostUnsettled:
		s.frozen = nil
	case state.log == nil:
		return s.connectReadOnly(url.Values{"mode": {"ro"}, "immutable": {"1"}})
	case !state.index && lockless != "":
		return s.connectReadOnly(url.Values{"mode": {"ro"}, "vfs": {lockless}, "_pragma": {"locking_mode=EXCLUSIVE"}})
	}
	s.frozen = nil
	if wal {
		if err := s.checkOwner(wal); err != nil {
			return err
		}
	}
	return s.connectReadOnly(url.Values{"mode": {"ro"}})
}

func (s *Store) connectReadOnly(options url.Values) (err error) {
	s.read, err = s.connect(options, readers)
	return err
}

// keepsLog makes connections that leave the log where it is when they are closed. Without locks each takes itself
// for the last one, and would remove a log with nothing in it.
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

// mostUnsettled is how often a store is read without locks that other processes open, change and close meanwhile.
const mostUnsettled = 3

// Unchanged checks that a file read without locks really did not change: SQLite would mix old pages with new ones.
// If it did change, the store is opened again.
func (s *Store) Unchanged(ctx context.Context) (bool, error) {
	if s.frozen == nil {
		return true, nil
	}
	now, err := stateOf(s.path)
	if err == nil && s.frozen.same(now) {
		return true, nil
	}
	if err := s.read.Close(); err != nil {
		return false, s.translate(err, "reopen the store")
	}
	s.unsettled++
	if err := s.checkName(ctx); err != nil { // the process that changed it may use another name
		return false, err
	}
	return false, s.openReadOnly()
}

// readProblem explains why a file with a log or journal could not be read, where the driver's own words would
// leave the operator guessing.
func (s *Store) readProblem(err *sqlite.Error) error {
	if !s.params.ReadOnly {
		return nil
	}
	text := "the store has a write-ahead log that cannot be opened; run decayctl as the node's user, or on a copy of the database with its -wal file in a folder of your own"
	if err.Code() == sqlite3.SQLITE_READONLY_ROLLBACK {
		text = fmt.Sprintf("a write to the store was interrupted, and its journal %q was not rolled back yet; the node does that when it opens the store, and 'decayctl sweep' does", s.path+journalSuffix)
	}
	return &store.Error{Kind: store.Unusable, Text: text, Err: err}
}
