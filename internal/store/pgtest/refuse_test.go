package pgtest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"decayctl/internal/skiptest"
)

// ending records how a test was ended.
type ending struct {
	testing.TB
	how string
}

func (*ending) Helper()             {}
func (e *ending) Skip(args ...any)  { e.how = "skipped: " + fmt.Sprint(args...) }
func (e *ending) Fatal(args ...any) { e.how = "failed: " + fmt.Sprint(args...) }

func TestRefuse(t *testing.T) {
	missing := fmt.Errorf("a program: %w", ErrMissing)
	for _, c := range []struct {
		name   string
		noSkip string
		err    error
		want   string
	}{
		{"there", "", nil, ""},
		{"missing", "", missing, "skipped: a program: not installed"},
		{"missing, but required", "1", missing, "failed: a program: not installed"},
		{"broken", "", errors.New("broken"), "failed: broken"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv(skiptest.Variable, c.noSkip)
			e := &ending{TB: t}
			refuse(e, c.err)
			if e.how != c.want {
				t.Errorf("%q, want %q", e.how, c.want)
			}
		})
	}
}

func TestVersion(t *testing.T) {
	for folder, want := range map[string]int{
		"/usr/lib/postgresql/15/bin":            15,
		"/opt/homebrew/opt/postgresql@17/bin":   17,
		"/usr/pgsql-16/bin":                     16,
		"/opt/homebrew/opt/postgresql/bin":      0,
		"/Applications/Postgres.app/latest/bin": 0,
	} {
		if got := version(folder); got != want {
			t.Errorf("version of %s is %d, want %d", folder, got, want)
		}
	}
}

// A run on one version must not fall back to another one without a word.
func TestChosenServer(t *testing.T) {
	t.Setenv(binFolder, "")
	Start(t) // skips if there is no server
	installed, err := binaries()
	if err != nil {
		t.Fatal(err)
	}
	chosen := t.TempDir()
	t.Setenv(binFolder, chosen)
	if found, err := binaries(); err == nil || errors.Is(err, ErrMissing) || !strings.Contains(err.Error(), chosen) {
		t.Errorf("an empty folder: %q, %v", found, err)
	}
	for _, program := range []string{"initdb", "postgres", "pg_ctl"} {
		if err := os.Symlink(filepath.Join(installed, program), filepath.Join(chosen, program)); err != nil {
			t.Fatal(err)
		}
	}
	if found, err := binaries(); err != nil || found != chosen {
		t.Errorf("%q, %v; want %s", found, err, chosen)
	}
}

// What a server refuses to do is told with the reason it logged, and leaves nothing behind.
func TestTellFails(t *testing.T) {
	cluster := Start(t)
	server, err := launch(clusterScript, cluster.bin)
	if err != nil {
		t.Fatal(err)
	}
	if err := server.tell("start", "1"); err == nil || !strings.Contains(err.Error(), "data") {
		t.Errorf("starting without data: %v", err)
	}
	if err := server.tell("stop", "fast"); err == nil {
		t.Error("stopping what does not run is no error")
	}
	if err := server.end(); err != nil {
		t.Error(err)
	}
	if err := server.tell("start", "1"); err == nil {
		t.Error("an ended process does as it is told")
	}
}
