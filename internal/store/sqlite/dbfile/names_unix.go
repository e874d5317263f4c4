//go:build unix

package dbfile

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"decayctl/internal/store"
)

// lockRange are bytes of a file that SQLite locks.
type lockRange struct{ start, length int64 }

var (
	// sharedLock is held on a database file for as long as a process has it open in WAL mode.
	sharedLock = lockRange{0x40000000 + 2, 510}
	// indexLock is held on the index of the log (-shm) for as long as a process uses that log.
	indexLock = lockRange{128, 1}
)

// useOfName asks the system for the locks that SQLite holds in other processes. In this process there must be none.
func useOfName(path string) (use nameUse, err error) {
	if use.links, use.mounted, err = otherNames(path); err != nil {
		return use, err
	}
	header, err := ReadHeader(path)
	if err != nil || !InWALMode(header) { // outside WAL mode no lock lasts longer than a transaction
		return use, err
	}
	onFile, err := lockedBy(path, sharedLock)
	if err != nil || onFile == unlocked {
		return use, err
	}
	onIndex, err := lockedBy(path+"-shm", indexLock)
	switch {
	case errors.Is(err, fs.ErrPermission): // then SQLite cannot open it either, and says so
		use.here = true
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return use, err
	default:
		use.here = onIndex != unlocked
	}
	if _, err := os.Lstat(path + "-wal"); err == nil && onFile == syscall.F_WRLCK {
		use.here = true // a process that keeps all others out has the index in its memory
	}
	use.elsewhere = !use.here
	return use, nil
}

const unlocked = syscall.F_UNLCK

// lockedBy is the kind of the lock that another process holds on some bytes of a file.
func lockedBy(path string, bytes lockRange) (kind int16, err error) {
	file, err := os.Open(path)
	if err != nil {
		return unlocked, err
	}
	defer func() { _ = file.Close() }()
	lock := syscall.Flock_t{Type: syscall.F_WRLCK, Start: bytes.start, Len: bytes.length}
	if err := syscall.FcntlFlock(file.Fd(), syscall.F_GETLK, &lock); err != nil {
		return unlocked, err
	}
	return lock.Type, nil
}

// otherNames tells whether a file has hard links, and whether it is mounted by itself.
func otherNames(path string) (links, mounted bool, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return false, false, err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	links = ok && stat.Nlink > 1
	mounts, err := os.ReadFile("/proc/self/mountinfo") // only Linux has it, and mounts of single files
	if err != nil && !store.OutOfFiles(err) {
		return links, false, nil // a system that does not tell
	} else if err != nil {
		return links, false, err
	}
	escaped := strings.NewReplacer(" ", `\040`, "\t", `\011`, "\n", `\012`, `\`, `\134`).Replace(path)
	for line := range strings.Lines(string(mounts)) {
		if fields := strings.Fields(line); len(fields) > 4 && fields[4] == escaped {
			return links, true, nil
		}
	}
	return links, false, nil
}
