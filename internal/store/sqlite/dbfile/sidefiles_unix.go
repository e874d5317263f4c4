//go:build unix

package dbfile

import (
	"fmt"
	"os"
	"syscall"
)

// Lockless is the VFS of SQLite that takes no locks and makes no WAL index. It is "" if there is none.
const Lockless = "unix-none"

// maxPath is SQLite's MAX_PATHNAME in bytes. The paths of side files must not be longer either.
const maxPath = 512

func ownerIDs(info os.FileInfo) (uid, gid int) {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(stat.Uid), int(stat.Gid)
	}
	return -1, -1
}

func owner(info os.FileInfo) string {
	uid, gid := ownerIDs(info)
	return fmt.Sprintf("user %d and group %d", uid, gid)
}

// mayMakeFilesOf tells whether side files that this process makes will belong to the owner of the database. If root runs
// it, SQLite changes their owner.
func mayMakeFilesOf(info os.FileInfo) bool {
	uid, _ := ownerIDs(info)
	return os.Geteuid() == uid || os.Geteuid() == 0
}

func sameOwner(a, b os.FileInfo) bool {
	aUID, aGID := ownerIDs(a)
	bUID, bGID := ownerIDs(b)
	return aUID == bUID && aGID == bGID && a.Mode() == b.Mode()
}

// giveTo tries to give a file the owner and the mode of another. The caller checks the result.
func giveTo(path string, like os.FileInfo) {
	uid, gid := ownerIDs(like)
	_ = os.Chown(path, uid, gid)
	_ = os.Chmod(path, like.Mode().Perm())
}

// opensAlike tells whether every user who may open a database may open its side file. The group matters only if it has more
// rights than other users have, and this process is not the owner.
func opensAlike(sideFile, database os.FileInfo) bool {
	uid, gid := ownerIDs(sideFile)
	ownerUID, ownerGID := ownerIDs(database)
	mode := database.Mode().Perm()
	return uid == ownerUID && sideFile.Mode().Perm() == mode && (gid == ownerGID || uid == os.Geteuid() || (mode>>3)&^mode&0o6 == 0)
}

// ownerMayWrite tells whether the mode of a file lets its owner write it. Root may always.
func ownerMayWrite(info os.FileInfo) bool {
	uid, _ := ownerIDs(info)
	return uid == 0 || info.Mode()&0o200 != 0
}
