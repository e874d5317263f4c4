package pgtest

import (
	"errors"
	"fmt"
	"strings"
	"testing"
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
			t.Setenv(noSkip, c.noSkip)
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
