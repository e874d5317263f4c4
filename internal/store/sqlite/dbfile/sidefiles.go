package dbfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"decayctl/internal/store"
)

// A node that cannot open the WAL or the journal of its database cannot open the database either. So these files must have
// the owner and the mode of the database, even if decayctl is killed and leaves them behind.

// The suffixes of the files that SQLite makes next to a database.
const (
	logSuffix     = "-wal"
	indexSuffix   = "-shm"
	JournalSuffix = "-journal"
)

// sideFiles are the existing side files of a database, by suffix.
func sideFiles(path string) map[string]os.FileInfo {
	files := map[string]os.FileInfo{}
	for _, suffix := range []string{logSuffix, indexSuffix, JournalSuffix} {
		if info, err := os.Stat(path + suffix); err == nil {
			files[suffix] = info
		}
	}
	return files
}

// CheckLength fails with Unusable if the file system does not allow the names of the side files, for their length.
func (f *File) CheckLength(wal bool) error {
	suffixes := []string{JournalSuffix}
	if wal {
		suffixes = []string{logSuffix, indexSuffix}
	}
	for _, suffix := range suffixes {
		if _, err := os.Lstat(f.Path + suffix); errors.Is(err, syscall.ENAMETOOLONG) {
			return &store.Error{Kind: store.Unusable, Text: fmt.Sprintf("the name of %q is too long: SQLite makes a file beside it whose name ends with %s; rename the store", f.Path, suffix), Err: err}
		}
	}
	return nil
}

// CheckOwner fails with NotPermitted if SQLite would make side files that the owner of the database could not open.
func (f *File) CheckOwner(wal bool) error {
	f.sideFiles = sideFiles(f.Path)
	if wal && f.sideFiles[logSuffix] != nil && f.sideFiles[indexSuffix] != nil { // the node is running, and SQLite uses its files
		return nil
	}
	database, err := os.Stat(f.Path)
	if err != nil || mayMakeFilesOf(database) {
		return err
	}
	return f.notOwner("a log or journal that this process makes beside it", database)
}

// CheckMode fails with NotPermitted if this process, or the owner, may not write the database. SQLite would make a WAL with
// the mode of the database all the same. If that WAL were left behind, the node could not write even with a mended mode.
func (f *File) CheckMode() error {
	database, err := os.Stat(f.Path)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(f.Path, os.O_RDWR, 0)
	if err == nil {
		err = file.Close()
	}
	if errors.Is(err, fs.ErrPermission) || !ownerMayWrite(database) {
		return &store.Error{Kind: store.NotPermitted, Text: fmt.Sprintf("no permission to write %q, whose mode is %s; let its owner write it, and run decayctl as the owner", f.Path, database.Mode()), Err: err}
	}
	return nil // other errors, such as a read-only file system, are reported by SQLite
}

func (f *File) notOwner(what string, database os.FileInfo) error {
	return &store.Error{Kind: store.NotPermitted, Text: fmt.Sprintf("%q belongs to %s, and %s would not: the node could not open its store; run decayctl as the owner of the file", f.Path, owner(database), what)}
}

// AdoptSideFiles gives the side files that SQLite has made the owner and the mode of the database. It fails with
// NotPermitted if it cannot. A journal is only checked, since each transaction makes a new one.
func (f *File) AdoptSideFiles() error {
	database, err := os.Stat(f.Path)
	if err != nil {
		return err
	}
	for suffix, info := range sideFiles(f.Path) {
		if before := f.sideFiles[suffix]; before != nil && os.SameFile(before, info) || sameOwner(info, database) {
			continue
		}
		path := f.Path + suffix
		if suffix != JournalSuffix {
			giveTo(path, database)
			if info, err = os.Stat(path); err != nil {
				return err
			}
		}
		if !opensAlike(info, database) {
			return f.notOwner(filepath.Base(path), database)
		}
	}
	return nil
}
