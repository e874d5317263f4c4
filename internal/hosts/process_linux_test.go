// Package hosts_test has the tests with several hosts on one PostgreSQL job: real processes of decayctl and real servers, each
// in a network namespace of its own.
package hosts_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"decayctl/internal/cli"
	"decayctl/internal/store/pgtest"
)

// A process of decayctl is this test program, started with the variable asDecayctl. Its value is how far the host's clock is
// ahead.
const asDecayctl = "HOSTS_TEST_CLOCK"

func TestMain(m *testing.M) {
	if ahead, ok := os.LookupEnv(asDecayctl); ok {
		skew, err := time.ParseDuration(ahead)
		if err != nil {
			panic(err)
		}
		p := cli.ThisProcess()
		p.Now = func() time.Time { return time.Now().Add(skew) }
		os.Exit(cli.Main(p))
	}
	os.Exit(pgtest.M{M: m}.Run())
}

// process is decayctl on a host.
type process struct {
	*exec.Cmd
	host           *host
	stdout, stderr bytes.Buffer
	ended          chan struct{}
	begun          time.Time
}

// decayctl starts a command on a host whose clock is right.
func (h *host) decayctl(t *testing.T, args ...string) *process {
	t.Helper()
	return h.decayctlAhead(t, 0, args...)
}

// decayctlAhead starts a command on a host whose clock is ahead.
func (h *host) decayctlAhead(t *testing.T, ahead time.Duration, args ...string) *process {
	t.Helper()
	p := &process{Cmd: exec.CommandContext(t.Context(), "/proc/self/exe", args...), host: h, ended: make(chan struct{}), begun: time.Now()} //nolint:gosec // this program
	p.Env, p.Dir = []string{asDecayctl + "=" + ahead.String()}, t.TempDir()
	p.Stdout, p.Stderr = &p.stdout, &p.stderr
	h.run(t, func() {
		t.Helper()
		if err := p.Start(); err != nil {
			t.Fatal(err)
		}
	})
	go func() {
		defer close(p.ended)
		_ = p.Wait()
	}()
	t.Cleanup(func() { // before the folder is removed
		_ = p.Process.Kill()
		<-p.ended
	})
	return p
}

// report is what a command prints.
type report struct {
	JobID    string `json:"job_id"`
	Status   string
	Examined int64
	Decayed  int64
	Restored int64
}

// ends waits for the end of a process, which must come within some time.
func (p *process) ends(t *testing.T, within time.Duration) (exit int, r report) {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(within):
		t.Fatalf("%s: %q still runs after %s: %s", p.host.name, p.Args[1:], within, &p.stderr)
	}
	if p.stdout.Len() > 0 {
		if err := json.Unmarshal(p.stdout.Bytes(), &r); err != nil {
			t.Fatalf("%v in %s", err, &p.stdout)
		}
	}
	return p.ProcessState.ExitCode(), r
}

func (p *process) over() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

func (p *process) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := p.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// lastLine is the last line on stderr.
func (p *process) lastLine() string {
	lines := strings.Split(strings.TrimSpace(p.stderr.String()), "\n")
	return lines[len(lines)-1]
}
