//go:build unix

package wholefile_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"decayctl/internal/wholefile"
)

func TestAPipeStaysAPipe(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	reader, err := os.OpenFile(path, os.O_RDWR, 0) // also to write, so that neither end waits for the other
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = reader.Close() }()
	if err := wholefile.Write(path, 0o600, text("new")); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len("new"))
	if _, err := reader.Read(got); err != nil || string(got) != "new" {
		t.Errorf("the pipe gave %q, %v", got, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode()&fs.ModeNamedPipe == 0 {
		t.Errorf("the pipe is %v now, %v", info, err)
	}
}

// TestAFileThatExistsKeepsItsOwner: as root, which the tests run as, the owner too.
func TestAFileThatExistsKeepsItsOwner(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "report")
	if err := os.WriteFile(path, []byte("old"), 0o640); err != nil {
		t.Fatal(err)
	}
	uid, gid := os.Geteuid(), os.Getegid()
	if uid == 0 {
		uid, gid = 65534, 65533
		if err := os.Chown(path, uid, gid); err != nil {
			t.Fatal(err)
		}
	}
	if err := wholefile.Write(path, 0o600, text("new")); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if stat := info.Sys().(*syscall.Stat_t); int(stat.Uid) != uid || int(stat.Gid) != gid || info.Mode().Perm() != 0o640 {
		t.Errorf("the file is %d:%d %v, want %d:%d and mode 0640", stat.Uid, stat.Gid, info.Mode(), uid, gid)
	}
}

// TestAPipeThatNoProcessReadsIsAnError: to wait for a reader would keep a process that a signal is to end.
func TestAPipeThatNoProcessReadsIsAnError(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := wholefile.Write(path, 0o600, text("new")); !errors.Is(err, syscall.ENXIO) {
		t.Errorf("got %v, want that there is no reader", err)
	}
}
