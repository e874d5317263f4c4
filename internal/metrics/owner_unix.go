//go:build unix

package metrics

import (
	"io/fs"
	"os"
	"syscall"
)

// ownedByMe tells whether a file belongs to the user of this process. A rename would take it from another user.
func ownedByMe(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return !ok || int(stat.Uid) == os.Geteuid()
}
