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

// lockRange is a range of bytes of a file that SQLite locks.
type lockRange struct{ start, length int64 }

var (
	// sharedLock is held on a database file while a process has it open in WAL mode.
	sharedLock = lockRange{0x40000000 + 2, 510}
	// indexLock is held on the WAL index (-shm) while a process uses that WAL.
	indexLock = lockRange{128, 1}
)

// useOfName reads the locks that SQLite holds in other processes. It does not see those of this process.
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
	case errors.Is(err, fs.ErrPermission): // SQLite will fail to open it too, and report that
		use.byThisName = true
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return use, err
	default:
		use.byThisName = onIndex != unlocked
	}
	if _, err := os.Lstat(path + "-wal"); err == nil && onFile == syscall.F_WRLCK {
		use.byThisName = true // a process with an exclusive lock has the WAL index in its memory
	}
	use.byOtherName = !use.byThisName
	return use, nil
}

const unlocked = syscall.F_UNLCK

// lockedBy is the kind of lock that another process holds on some bytes of a file.
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

// otherNames tells whether a file has several hard links, and whether it is a mount point.
func otherNames(path string) (links, mounted bool, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return false, false, err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	links = ok && stat.Nlink > 1
	mounts, err := os.ReadFile("/proc/self/mountinfo") // only Linux has it, and mounts of single files
	if err != nil && !store.OutOfFiles(err) {
		return links, false, nil // this system does not tell
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
