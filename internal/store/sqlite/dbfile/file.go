// Package dbfile checks the file of a SQLite database, the files that SQLite makes next to it, their owners, and which
// processes use them. It does not use SQLite.
package dbfile

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"decayctl/internal/store"
)

// File is a database file.
type File struct {
	Path      string                 // absolute, with links resolved: SQLite makes its side files next to the real file
	sideFiles map[string]os.FileInfo // by suffix, as they were before SQLite opened the file
}

// Inspect fails with an *store.Error if path is not a plain SQLite file. SQLite itself would create a missing file, and
// call an encrypted one corrupt.
func Inspect(path string) (*File, error) {
	unusable := func(format string, args ...any) (*File, error) {
		return nil, &store.Error{Kind: store.Unusable, Text: fmt.Sprintf(format, args...)}
	}
	real, err := filepath.EvalSymlinks(path)
	if err == nil {
		real, err = filepath.Abs(real)
	}
	switch {
	case os.IsNotExist(err):
		return unusable("no such file %q; name the node's database with --store", path)
	case err != nil:
		return unusable("cannot open %q: %v", path, Cause(err))
	}
	info, err := os.Stat(real)
	switch {
	case err != nil:
		return unusable("cannot open %q: %v", path, Cause(err))
	case info.IsDir():
		return unusable("%q is a directory; name the database file in it", path)
	case !info.Mode().IsRegular():
		return unusable("%q is not a regular file", path)
	}
	for _, suffix := range []string{"-client_wal_index", "-info"} {
		if _, err := os.Stat(real + suffix); err == nil {
			return unusable("%q is the local replica of a libSQL database (there is a %q beside it); its writes belong to the primary, and decayctl does not support libSQL yet", path, filepath.Base(real)+suffix)
		}
	}
	if len(real)+len(JournalSuffix) > maxPath {
		return unusable("the path of %q is too long for SQLite, which takes %d bytes; move the store, or mount its folder at a shorter path", path, maxPath-len(JournalSuffix))
	}
	header, err := ReadHeader(real)
	switch {
	case os.IsPermission(err):
		return nil, &store.Error{Kind: store.NotPermitted, Text: fmt.Sprintf("no permission to read %q; run decayctl as the node's user", path), Err: err}
	case store.OutOfFiles(err):
		return nil, &store.Error{Text: fmt.Sprintf("cannot open %q: %s", path, store.TooManyFiles), Err: err}
	case err != nil || !strings.HasPrefix(string(header), "SQLite format 3\x00"):
		return unusable("%q is not a SQLite database; a store encrypted at rest looks like this too, and is not supported yet", path)
	}
	return &File{Path: real}, nil
}

// Cause is the reason of an error of the os package, without the path.
func Cause(err error) error {
	if pathError, ok := err.(*os.PathError); ok { //nolint:errorlint // only the outermost one repeats the path
		return pathError.Err
	}
	return err
}

const headerSize = 100 // bytes of the first page

// State tells, without a lock, whether a database file has changed.
type State struct {
	info    os.FileInfo
	header  [headerSize]byte // has the change counter, which every commit outside WAL mode increases
	log     os.FileInfo      // of the WAL, if there is one with content
	journal bool             // there is a journal with content
	index   bool             // there is a WAL index, which the first process that opens the file makes
}

// StateOf reads the state of a file. Errors are those of the os package.
func StateOf(path string) (*State, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	header, err := ReadHeader(path)
	if err != nil {
		return nil, err
	}
	state := &State{info: info}
	copy(state.header[:], header)
	files := sideFiles(path)
	if log := files[logSuffix]; log != nil && log.Size() > 0 {
		state.log = log
	}
	state.journal = files[JournalSuffix] != nil && files[JournalSuffix].Size() > 0
	state.index = files[indexSuffix] != nil
	return state, nil
}

// InWALMode tells whether a header belongs to a database in WAL mode: its read version is 2.
func InWALMode(header []byte) bool { return len(header) > 19 && header[19] == 2 }

// ReadHeader reads the 100 bytes of the database header, or fewer if the file is shorter.
func ReadHeader(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	header := make([]byte, headerSize)
	n, err := io.ReadFull(file, header)
	if err == io.ErrUnexpectedEOF || err == io.EOF { //nolint:errorlint // ReadFull returns these unwrapped
		err = nil
	}
	return header[:n], err
}

// Same tells whether no process wrote the database between two states.
func (f *State) Same(later *State) bool {
	if (f.log == nil) != (later.log == nil) || f.log != nil && (later.index || !sameFile(f.log, later.log)) {
		return false
	}
	return sameFile(f.info, later.info) && f.header == later.header && !later.journal
}

func sameFile(a, b os.FileInfo) bool {
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// WAL tells whether the database is in WAL mode.
func (s *State) WAL() bool { return InWALMode(s.header[:]) }

// Journal tells whether there is a rollback journal with content.
func (s *State) Journal() bool { return s.journal }

// Log tells whether there is a WAL with content, and whether there is a WAL index.
func (s *State) Log() (log, index bool) { return s.log != nil, s.index }
