//go:build unix

package wholefile

import (
	"io/fs"
	"os"
	"syscall"
)

const nonblocking = syscall.O_NONBLOCK

// keepOwner gives a file the owner and the group of another one, or the group alone. If neither is allowed, the file stays
// this process's: its content matters more.
func keepOwner(file *os.File, old fs.FileInfo) {
	stat, ok := old.Sys().(*syscall.Stat_t)
	if !ok {
		return
	}
	if file.Chown(int(stat.Uid), int(stat.Gid)) != nil {
		_ = file.Chown(-1, int(stat.Gid))
	}
}
