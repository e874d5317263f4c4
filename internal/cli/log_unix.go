//go:build unix

package cli

import (
	"fmt"
	"syscall"
)

// streamID is the device and the inode of a stream, in the format of JOURNAL_STREAM; "" if it is not a file.
func streamID(stream any) string {
	file := fileOf(stream)
	if file == nil {
		return ""
	}
	info, err := file.Stat()
	if err != nil {
		return ""
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	return fmt.Sprintf("%d:%d", stat.Dev, stat.Ino)
}
