// Package wholefile writes files whole or not at all.
package wholefile

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Write has a file written next to its place and then renamed to it. A reader sees the old content or all of the new one,
// and a failure leaves what was there. A file that exists keeps its mode (permission bits), and its owner and group as far as
// this process may give files away; a new one gets mode. If path is a
// symbolic link, the file that it points to is replaced. A device or a pipe is written to as it is, because a rename
// would put a file in its place. Errors are those of write and of the file system.
func Write(path string, mode fs.FileMode, write func(io.Writer) error) error {
	path = Target(path)
	there, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	case there.IsDir():
		return &fs.PathError{Op: "write", Path: path, Err: errors.New("it is a folder")}
	case !there.Mode().IsRegular():
		return through(path, write)
	default:
		mode = there.Mode().Perm()
	}
	return replace(path, mode, there, write)
}

const mostLinks = 40 // in a row, as the kernel allows

// Target is the file that Write writes for a path: the one that a symbolic link leads to, also if it is not there yet.
func Target(path string) string {
	for range mostLinks {
		link, err := os.Readlink(path)
		if err != nil {
			break
		}
		if !filepath.IsAbs(link) {
			link = filepath.Join(filepath.Dir(path), link)
		}
		path = link
	}
	return path
}

// replace makes the file anew. old is the file that is there; nil if there is none.
func replace(path string, mode fs.FileMode, old fs.FileInfo, write func(io.Writer) error) (err error) {
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = file.Close() // closed already, if the rename failed
			_ = os.Remove(file.Name())
		}
	}()
	if err = write(file); err != nil {
		return err
	}
	if old != nil {
		keepOwner(file, old) // before the mode: a change of the owner clears bits of it
	}
	if err = file.Chmod(mode); err != nil {
		return err
	}
	// After a crash of the machine the new name must not stand for an empty file.
	if err = file.Sync(); err != nil {
		return err
	}
	if err = file.Close(); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}

// Open opens a file that is there. It does not wait for the other end of a named pipe, which no signal would end: to write to
// a pipe that no process reads is an error, and to read one that no process writes gives nothing.
func Open(path string, flag int) (*os.File, error) { return os.OpenFile(path, flag|nonblocking, 0) }

// through writes to what is no regular file.
func through(path string, write func(io.Writer) error) error {
	file, err := Open(path, os.O_WRONLY)
	if err != nil {
		return err
	}
	return errors.Join(write(file), file.Close())
}
