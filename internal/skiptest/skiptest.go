// Package skiptest skips a test that misses a program or a right on this machine. It exists for tests.
package skiptest

import (
	"os"
	"os/exec"
	"testing"
)

// Variable is the environment variable that makes such a test fail, as in CI: there a skipped test would look like a passed one.
const Variable = "STORETEST_NO_SKIP"

// Skip skips the test for a reason, or fails it if Variable is set.
func Skip(t testing.TB, reason ...any) {
	t.Helper()
	if os.Getenv(Variable) != "" {
		t.Fatal(reason...)
	} else {
		t.Skip(reason...)
	}
}

// Programs finds programs on PATH. If one is not installed, Skip ends the test.
func Programs(t testing.TB, names ...string) (paths []string) {
	t.Helper()
	for _, name := range names {
		path, err := exec.LookPath(name)
		if err != nil {
			Skip(t, err)
		}
		paths = append(paths, path)
	}
	return paths
}
