//go:build unix

package sqlite

import (
	"fmt"
	"os"
	"syscall"
)

// lockless is the file system of SQLite that takes no locks and makes no index of a log.
const lockless = "unix-none"

// maxPath is how long the path of a database may be with the names of the files beside it: SQLite's MAX_PATHNAME.
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

// mayMakeFilesOf tells whether files that this process makes can belong to the owner of another: SQLite gives
// them away when root runs it.
func mayMakeFilesOf(info os.FileInfo) bool {
	uid, _ := ownerIDs(info)
	return os.Geteuid() == uid || os.Geteuid() == 0
}

func sameOwner(a, b os.FileInfo) bool {
	aUID, aGID := ownerIDs(a)
	bUID, bGID := ownerIDs(b)
	return aUID == bUID && aGID == bGID && a.Mode() == b.Mode()
}

// giveTo tries; what became of it is looked at afterwards.
func giveTo(path string, like os.FileInfo) {
	uid, gid := ownerIDs(like)
	_ = os.Chown(path, uid, gid)
	_ = os.Chmod(path, like.Mode().Perm())
}

// opensAlike tells whether all who may open one file may open the other. Its group matters only if the group
// may do more than others may.
func opensAlike(a, b os.FileInfo) bool {
	aUID, aGID := ownerIDs(a)
	bUID, bGID := ownerIDs(b)
	mode := b.Mode().Perm()
	return aUID == bUID && a.Mode().Perm() == mode && (aGID == bGID || (mode>>3)&^mode&0o6 == 0)
}
