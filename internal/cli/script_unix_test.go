//go:build unix

package cli_test

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"
)

// cmdAsNobody is exits, but root runs the program as nobody: file permissions mean nothing to root.
func cmdAsNobody(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: asnobody CODE PROGRAM [ARG…]")
	}
	program, err := exec.LookPath(filepath.Join(binFolder(ts), args[1]))
	ts.Check(err)
	cmd := exec.Command(program, args[2:]...) //nolint:gosec // the test's own program
	var stdout, stderr bytes.Buffer
	cmd.Dir, cmd.Stdout, cmd.Stderr = ts.MkAbs("."), &stdout, &stderr
	cmd.Env = []string{"PATH=" + ts.Getenv("PATH")}
	if os.Geteuid() == 0 {
		const nobody = 65534
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		letThrough(ts, program)
		letThrough(ts, cmd.Dir)
	}
	err = cmd.Run()
	_, _ = io.Copy(ts.Stdout(), &stdout)
	_, _ = io.Copy(ts.Stderr(), &stderr)
	hold(ts, args[0], err)
}

// binFolder is where the tests' programs are.
func binFolder(ts *testscript.TestScript) string {
	first, _, _ := strings.Cut(ts.Getenv("PATH"), string(os.PathListSeparator))
	return first
}

// letThrough opens the temporary folders on a path to other users.
func letThrough(ts *testscript.TestScript, path string) {
	for ; path != os.TempDir() && path != "/"; path = filepath.Dir(path) {
		info, err := os.Stat(path)
		ts.Check(err)
		if info.Mode()&0o001 == 0 {
			ts.Check(os.Chmod(path, info.Mode()|0o001))
		}
	}
}
