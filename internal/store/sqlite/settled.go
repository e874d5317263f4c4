package sqlite

import (
	"context"
	"io"
	"net/url"
	"os"
	"time"

	"decayctl/internal/store"
)

// fileState is what tells one state of a database file from another without a lock.
type fileState struct {
	info       os.FileInfo
	modified   time.Time
	header     [100]byte // has the change counter, which every commit outside WAL mode moves
	journalled bool      // a log or journal with content lies beside the file
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
	state := &fileState{info: info, modified: info.ModTime()}
	copy(state.header[:], header)
	for _, suffix := range []string{"-wal", "-journal"} {
		if side, err := os.Stat(path + suffix); err == nil && side.Size() > 0 {
			state.journalled = true
		}
	}
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
	return os.SameFile(f.info, later.info) && f.info.Size() == later.info.Size() &&
		f.modified.Equal(later.modified) && f.header == later.header && !later.journalled
}

// Settled checks that a file read as immutable really did not change: SQLite takes no lock then
// and would mix old pages with new ones. If it did change, the store is reopened with locks.
func (s *Store) Settled(ctx context.Context) (bool, error) {
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
	s.frozen = nil
	if err := s.checkName(ctx); err != nil { // who changed it may use another name
		return false, err
	}
	s.read, err = s.connect(url.Values{"mode": {"ro"}}, readers)
	return false, err
}

// readProblem explains why a file with a live log or journal could not be opened for reading, where the
// driver's own word would leave the operator guessing.
func (s *Store) readProblem(err error) error {
	if s.frozen != nil || !s.params.ReadOnly {
		return nil
	}
	return &store.Error{Kind: store.Unusable, Err: err,
		Text: "the store has a write-ahead log that cannot be opened, or a journal that cannot be rolled back, because its folder cannot be written; run decayctl as the node's user, or on a copy of the database with its -wal or -journal file in a folder of your own"}
}
