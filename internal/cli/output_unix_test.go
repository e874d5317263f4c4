//go:build unix

package cli_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"decayctl/internal/cli"
)

// fullDisk is a standard output that takes a number of bytes and no more.
type fullDisk struct{ room int }

func (d *fullDisk) Write(p []byte) (int, error) {
	if len(p) > d.room {
		return 0, fmt.Errorf("write /dev/stdout: %w", syscall.ENOSPC)
	}
	d.room -= len(p)
	return len(p), nil
}

// TestFullOutput: a report that cannot be written is an error that is said once, and work that is done is said
// to be done.
func TestFullOutput(t *testing.T) {
	t.Parallel()
	d, target, _ := backends[0].fresh(t)
	d.Insert(t, standard()...)
	if swept := decayctl(t, nil, "sweep", "--store", target, "--ttl", "90d", "--scope", "team"); swept.exit != 0 {
		t.Fatalf("%+v", swept)
	}
	first := d.Rows(t, "SELECT substr(job_id, 1, 8) FROM decayctl_jobs")[0]
	const lost = ", but the report could not be written: write /dev/stdout: no space left on device$"
	for _, test := range []struct {
		args string
		want string // on stderr
	}{
		{"--help", "^decayctl: write /dev/stdout: no space left on device$"},
		{"help sweep", "^decayctl: write /dev/stdout: no space left on device$"},
		{"completion bash", "^decayctl: write /dev/stdout: no space left on device$"},
		{"version", "^decayctl: write /dev/stdout: no space left on device$"},
		{"version -o json", "^decayctl: write /dev/stdout: no space left on device$"},
		{"dry-run --ttl 90d", "^decayctl: the dry run is done" + lost},
		{"dry-run --ttl 90d -o json", "^decayctl: the dry run is done" + lost},
		{"jobs facts " + first, "^decayctl: write /dev/stdout: no space left on device$"},
		{"jobs facts --format csv " + first, "^decayctl: write /dev/stdout: no space left on device$"},
		{"jobs list", "^decayctl: write /dev/stdout: no space left on device$"},
		{"doctor", "^decayctl: write /dev/stdout: no space left on device$"},
		{"sweep --ttl 90d -q", "^time=[^\n]* msg=ended [^\n]*\ndecayctl: job [0-9a-f]{8} is done" + lost},
		{"sweep --ttl 90d -q -o json", "^time=[^\n]* msg=ended [^\n]*\ndecayctl: job [0-9a-f]{8} is done" + lost},
		{"sweep --ttl 90d -q --detach --threshold 0", "^decayctl: job [0-9a-f]{8} is pending" + lost},
		{"jobs undo --yes -q " + first, "(^|\n)decayctl: job " + first + " is undone" + lost},
		{"jobs prune --older-than 1s", "^decayctl: [0-9]+ jobs were removed" + lost},
	} {
		var stderr bytes.Buffer
		args := strings.Fields(test.args)
		if args[0] != "--help" && args[0] != "help" && args[0] != "completion" {
			args = append(args, "--store", target)
		}
		exit := cli.Main(cli.Process{
			Args: args, Dir: t.TempDir(), Stdin: &bytes.Buffer{}, Stdout: &fullDisk{room: 10}, Stderr: &stderr,
			Now: func() time.Time { return now },
		})
		said := strings.TrimSpace(stderr.String())
		if exit != 1 || !regexp.MustCompile(test.want).MatchString(said) {
			t.Errorf("%s: exit code %d, %q; want 1 and %s", test.args, exit, said, test.want)
		}
	}
}

// TestClosedPipe: if the reader of a pipe has gone, as with "| head", the command ends without a word, by the
// code that a shell gives to a program that SIGPIPE ended. What a command did before stays done.
func TestClosedPipe(t *testing.T) {
	t.Parallel()
	program, err := exec.LookPath("decayctl") // testscript.Main put it there
	if err != nil {
		t.Fatal(err)
	}
	d, target, _ := backends[0].fresh(t)
	d.Insert(t, standard()...)
	closed := func(want int, said string, args ...string) {
		t.Helper()
		reader, writer, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		_ = reader.Close()
		defer func() { _ = writer.Close() }()
		cmd := exec.CommandContext(t.Context(), program, args...) //nolint:gosec // the test's own
		var stderr bytes.Buffer
		cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = []string{}, t.TempDir(), writer, &stderr
		_ = cmd.Run()
		if exit := cmd.ProcessState.ExitCode(); exit != want || !strings.Contains(stderr.String(), said) || said == "" && stderr.Len() > 0 {
			t.Errorf("%v: exit code %d, %q", args, exit, stderr.String())
		}
	}
	closed(141, "", "--help")
	closed(141, "", "demo")
	closed(141, "", "dry-run", "-q", "--ttl", "90d", "--store", target)
	closed(141, "", "sweep", "-q", "--ttl", "90d", "--store", target)
	id := d.Rows(t, "SELECT job_id FROM decayctl_jobs WHERE state = 'done'")[0]
	for _, form := range []string{"text", "csv", "ndjson"} {
		closed(141, "", "jobs", "facts", id, "--format", form, "--store", target)
	}
	// An error that has another cause is said, and keeps its code.
	closed(6, "decayctl: no job", "jobs", "show", "ffff", "--store", target)
	closed(6, "decayctl: no job", "jobs", "show", "ffff", "--store", target, "-o", "json")
}
