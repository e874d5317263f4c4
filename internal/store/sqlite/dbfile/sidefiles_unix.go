//go:build unix

package dbfile

import (
	"fmt"
	"os"
	"syscall"
)

// Lockless is the file system of SQLite that takes no locks and makes no index of a log.
const Lockless = "unix-none"

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

// opensAlike tells whether all who may open a database may open a file beside it. The group matters only if the group
// may do more than others may, and this process is not the owner: the files of the owner's node have the same group.
func opensAlike(beside, database os.FileInfo) bool {
	uid, gid := ownerIDs(beside)
	ownerUID, ownerGID := ownerIDs(database)
	mode := database.Mode().Perm()
	return uid == ownerUID && beside.Mode().Perm() == mode && (gid == ownerGID || uid == os.Geteuid() || (mode>>3)&^mode&0o6 == 0)
}

// ownerMayWrite tells whether the mode of a file lets its owner write it. To root a mode is nothing.
func ownerMayWrite(info os.FileInfo) bool {
	uid, _ := ownerIDs(info)
	return uid == 0 || info.Mode()&0o200 != 0
}
