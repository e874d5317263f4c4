//go:build unix

package cli_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	notify "os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"decayctl/internal/fact"
	"decayctl/internal/store/storetest"
)

// TestSignals stops a real process in the long pause after its first batch. It must end with the
// code of the signal, report what is committed, and leave the rest to whoever resumes the job.
func TestSignals(t *testing.T) {
	t.Parallel()
	program, err := exec.LookPath("decayctl") // testscript.Main put it there
	if err != nil {
		t.Fatal(err)
	}
	// If nohup has started this process, it ignores SIGHUP, and so would those that it starts.
	notify.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	for _, b := range backends {
		for _, signal := range []struct {
			number syscall.Signal
			exit   int
			name   string
		}{{syscall.SIGINT, 130, "interrupted"}, {syscall.SIGTERM, 143, "terminated"}, {syscall.SIGHUP, 129, "hung up"}} {
			t.Run(b.name+" "+signal.name, func(t *testing.T) {
				t.Parallel()
				db, target, _ := b.fresh(t)
				var facts []fact.Candidate
				for i := range 20 {
					facts = append(facts, storetest.Fact(fmt.Sprintf("%02d", i)))
				}
				db.Insert(t, facts...)
				args := []string{"sweep", "--store", target, "--ttl", "1d", "-o", "json"}
				cmd := exec.Command(program, append(args, "--batch-size", "5", "--pace", "0.000001")...) //nolint:gosec // the test's own program
				cmd.Env, cmd.Dir = []string{}, t.TempDir()
				var stdout bytes.Buffer
				cmd.Stdout = &stdout
				stderr, err := cmd.StderrPipe()
				if err != nil {
					t.Fatal(err)
				}
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				lines := bufio.NewScanner(stderr)
				var said []string
				for lines.Scan() {
					said = append(said, lines.Text())
					if strings.Contains(lines.Text(), "msg=sweeping") {
						storetest.Await(func() bool { return len(db.Rows(t, "SELECT 1 FROM fact_validity_overrides")) >= 5 }) // the first batch
						if err := cmd.Process.Signal(signal.number); err != nil {
							t.Fatal(err)
						}
					}
				}
				_ = cmd.Wait()
				if code := cmd.ProcessState.ExitCode(); code != signal.exit {
					t.Errorf("exit code %d, want %d", code, signal.exit)
				}
				var report struct {
					JobID      string `json:"job_id"`
					Status     string
					Decayed    int
					Examined   int
					StopReason string `json:"stop_reason"`
				}
				if err := json.Unmarshal(stdout.Bytes(), &report); err != nil {
					t.Fatalf("%v in %s", err, stdout.Bytes())
				}
				if last := said[len(said)-1]; last != "decayctl: "+signal.name+"; 'decayctl jobs resume "+report.JobID[:8]+"' goes on" {
					t.Errorf("the last line is %q", last)
				}
				if report.Status != "paused" || report.StopReason != signal.name || report.Decayed != 5 || report.Examined != 5 {
					t.Errorf("the report says %+v", report)
				}
				if rows := db.Rows(t, "SELECT count(*) FROM fact_validity_overrides"); rows[0] != "5" {
					t.Errorf("%s overrides", rows[0])
				}
				next := decayctl(t, nil, "jobs", "resume", report.JobID[:8], "--store", target, "-o", "json")
				if next.exit != 0 || !strings.Contains(next.stdout, `"decayed": 20,`) || !strings.Contains(next.stdout, report.JobID) {
					t.Errorf("the job resumed: %+v", next)
				}
			})
		}
	}
}

// TestNohup: a signal that the process was started to ignore, as by nohup, does not stop a sweep.
func TestNohup(t *testing.T) {
	t.Parallel()
	d, target := filled(t, "sqlite", nil, 500)
	process := begin(t, "trap '' HUP INT;", sweepArgs(target, "--batch-size", "10", "--pace", "0.2")...)
	process.writes(d)
	for _, ignored := range []syscall.Signal{syscall.SIGHUP, syscall.SIGINT} {
		if err := process.Process.Signal(ignored); err != nil {
			t.Fatal(err)
		}
	}
	if exit, report, last := process.ends(t); exit != 0 || report.Status != "done" {
		t.Errorf("exit code %d, %s, %q", exit, report.Status, last)
	}
}

// TestSecondSignal: where a sweep cannot stop in good order, since another process keeps the store
// locked, the second signal ends it at once. The job goes on all the same.
func TestSecondSignal(t *testing.T) {
	t.Parallel()
	d, target := filled(t, "sqlite", nil, 2000)
	process := begin(t, "", sweepArgs(target, "--batch-size", "10", "--pace", "0.01")...)
	process.writes(d)
	unlock := locked(t, d)
	// Again and again: two at the same moment count as one. Not at once: a flood of signals overruns the handler of
	// Go's runtime, and one in twenty processes ended with a segmentation fault.
	next := time.NewTicker(10 * time.Millisecond)
	defer next.Stop()
	for first := syscall.SIGHUP; !process.over(); first = syscall.SIGTERM { // the second may be of another kind
		if err := process.Process.Signal(first); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Fatal(err)
		}
		<-next.C
	}
	_ = process.Wait()
	if status, ok := process.ProcessState.Sys().(syscall.WaitStatus); !ok || !status.Signaled() || status.Signal() != syscall.SIGTERM {
		t.Errorf("it ended with %s", process.ProcessState)
	}
	unlock()
	if done := decayctl(t, nil, "jobs", "resume", "--store", target, "--pace", "1", "-o", "json"); done.exit != 0 || !strings.Contains(done.stdout, `"status": "done"`) {
		t.Fatalf("%+v", done)
	}
	whole, wholeTarget := filled(t, "sqlite", nil, 2000)
	asUndisturbed(t, d, whole, wholeTarget)
}
