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

// A node that cannot open the log or the journal beside its database cannot open the database either. So those
// files must have the owner and the mode of the database, also when decayctl is killed and leaves them behind.

// The names of the files that SQLite makes beside a database, behind that of the database.
const (
	logSuffix     = "-wal"
	indexSuffix   = "-shm"
	JournalSuffix = "-journal"
)

// sideFiles are the files beside a database that exist.
func sideFiles(path string) map[string]os.FileInfo {
	files := map[string]os.FileInfo{}
	for _, suffix := range []string{logSuffix, indexSuffix, JournalSuffix} {
		if info, err := os.Stat(path + suffix); err == nil {
			files[suffix] = info
		}
	}
	return files
}

// CheckLength refuses a database whose name leaves no room for the names of the files beside it.
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

// CheckOwner refuses to have SQLite make files beside the database that the owner of the database could not open.
func (f *File) CheckOwner(wal bool) error {
	f.beside = sideFiles(f.Path)
	if wal && f.beside[logSuffix] != nil && f.beside[indexSuffix] != nil { // the node is at work, and SQLite uses its files
		return nil
	}
	database, err := os.Stat(f.Path)
	if err != nil || mayMakeFilesOf(database) {
		return err
	}
	return f.notOwner("a log or journal that this process makes beside it", database)
}

// CheckMode refuses a database that this process or its owner may not write. SQLite makes a log all the same, with the
// mode of the database: with that left behind, the node could not write once the mode was right.
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
	return nil // of what else there is, such as a read-only file system, SQLite says what it is
}

func (f *File) notOwner(what string, database os.FileInfo) error {
	return &store.Error{Kind: store.NotPermitted, Text: fmt.Sprintf("%q belongs to %s, and %s would not: the node could not open its store; run decayctl as the owner of the file", f.Path, owner(database), what)}
}

// AdoptSideFiles gives the files that SQLite has made beside the database the owner and the mode of the database.
// A journal is made anew by every transaction, so that of this one only shows what the others will be like.
func (f *File) AdoptSideFiles() error {
	database, err := os.Stat(f.Path)
	if err != nil {
		return err
	}
	for suffix, info := range sideFiles(f.Path) {
		if before := f.beside[suffix]; before != nil && os.SameFile(before, info) || sameOwner(info, database) {
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
