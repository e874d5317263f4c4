//go:build unix

package cli_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"decayctl/internal/job"
	"decayctl/internal/store/pgtest"
	"decayctl/internal/store/sample"
	"decayctl/internal/store/sample/samplepg"
	"decayctl/internal/store/storetest"
)

// running is a real process of the program.
type running struct {
	*exec.Cmd
	stdout bytes.Buffer
	lines  chan string // of stderr
	stderr []string    // all of them, once it has ended
	closed chan struct{}
}

// begin starts the program in a shell, after some words for the shell.
func begin(t *testing.T, shell string, args ...string) *running {
	t.Helper()
	program, err := exec.LookPath("decayctl") // testscript.Main put it there
	if err != nil {
		t.Fatal(err)
	}
	r := &running{lines: make(chan string, 10_000), closed: make(chan struct{})}
	r.Cmd = exec.CommandContext(t.Context(), "sh", append([]string{"-c", shell + ` exec "$0" "$@"`, program}, args...)...) //nolint:gosec // the test's own
	r.Env, r.Dir, r.Stdout = []string{}, t.TempDir(), &r.stdout
	stderr, err := r.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(r.closed)
		defer close(r.lines)
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			r.lines <- lines.Text()
		}
	}()
	return r
}

// says waits until the program has said something.
func (r *running) says(t *testing.T, what string) {
	t.Helper()
	for line := range r.lines {
		r.stderr = append(r.stderr, line)
		if strings.Contains(line, what) {
			return
		}
	}
	t.Fatalf("it never said %q, but %q", what, r.stderr)
}

// writes waits until the program's sweep has written its first batch, or has ended.
func (r *running) writes(d storetest.Database) {
	storetest.Await(func() bool {
		rows, _ := d.Query("SELECT 1 FROM decayctl_jobs WHERE counts <> '{}'") // which fails before there is a table
		return len(rows) > 0 || r.over()
	})
}

// locked keeps the write lock of a SQLite store, until the function it gives is called.
func locked(t *testing.T, d storetest.Database) (unlock func()) {
	t.Helper()
	lock, err := d.SQL.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = lock.Close() })
	exec := func(statement string) {
		t.Helper()
		if _, err := lock.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	exec("BEGIN IMMEDIATE")
	return func() { t.Helper(); exec("ROLLBACK") }
}

// over tells whether the program has ended.
func (r *running) over() bool {
	select {
	case <-r.closed:
		return true
	default:
		return false
	}
}

// ends waits for the program's end and gives its exit code, its report and its last line.
func (r *running) ends(t *testing.T) (exit int, report jobReport, last string) {
	t.Helper()
	for line := range r.lines {
		r.stderr = append(r.stderr, line)
		last = line
	}
	_ = r.Wait()
	if r.stdout.Len() > 0 {
		if err := json.Unmarshal(r.stdout.Bytes(), &report); err != nil {
			t.Fatalf("%v in %s", err, r.stdout.Bytes())
		}
	}
	return r.ProcessState.ExitCode(), report, last
}

type jobReport struct {
	JobID    string `json:"job_id"`
	Status   string
	Examined int64
	Decayed  int64
	Selected int64 `json:"scanned"`
	Restored int64
	Error    struct{ Message string }
}

// countsOf reads what the newest job counted, but for what depends on how it went.
func countsOf(t *testing.T, d storetest.Database) job.Counts {
	t.Helper()
	counts, err := job.ParseCounts(d.Rows(t, "SELECT counts FROM decayctl_jobs ORDER BY stamp DESC LIMIT 1")[0])
	if err != nil {
		t.Fatal(err)
	}
	counts.Batches, counts.LongestLock, counts.Retries = 0, 0, 0
	return counts
}

var faultRules = []string{"--ttl", "90d", "--min-confidence", "0.4", "--as-of", now.Add(-time.Hour).Format(time.RFC3339), "-o", "json"}

func sweepArgs(target string, more ...string) []string {
	return slices.Concat([]string{"sweep", "--store", target}, faultRules, more)
}

// filled makes a store with sample facts.
func filled(t *testing.T, kind string, cluster *pgtest.Cluster, facts int) (storetest.Database, string) {
	t.Helper()
	options := sample.Options{Facts: facts, AsOf: now, Seed: 11}
	if kind == "sqlite" {
		return storetest.NewSQLite(t, func(path string) error { return sample.FillSQLite(context.Background(), path, options) })
	}
	db := cluster.NewDatabase(t, pgtest.DatabaseOptions{})
	if err := samplepg.Fill(context.Background(), db.Conn(t), options); err != nil {
		t.Fatal(err)
	}
	return storetest.Database{SQL: storetest.OpenPostgres(t, db.URL, db.Schema)}, db.URL
}

// asUndisturbed holds a store to what a sweep that nothing happened to makes of the same facts.
func asUndisturbed(t *testing.T, d, whole storetest.Database, wholeTarget string) {
	t.Helper()
	if exit, _, last := begin(t, "", sweepArgs(wholeTarget, "--pace", "1")...).ends(t); exit != 0 {
		t.Fatal(last)
	}
	if diff := cmp.Diff(whole.Touched(t), d.Touched(t)); diff != "" {
		t.Errorf("(-undisturbed +disturbed):\n%s", diff)
	}
	if diff := cmp.Diff(countsOf(t, whole), countsOf(t, d)); diff != "" {
		t.Errorf("the counts (-undisturbed +disturbed):\n%s", diff)
	}
}

// TestDiskFull: the file system takes no more in the middle of a sweep. It says so, nothing is
// half-written, and once there is room the job goes on.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	d, target := filled(t, "sqlite", nil, 20_000)
	full := begin(t, "ulimit -f 9000;", sweepArgs(target, "--pace", "1", "--batch-size", "500")...)
	exit, report, last := full.ends(t)
	if exit != 1 || !strings.Contains(last, "the disk is full") || !strings.Contains(last, "decayctl jobs resume") || strings.Contains(last, "goroutine") {
		t.Fatalf("exit code %d, %+v, %q", exit, report, full.stderr)
	}
	if state := d.Rows(t, "SELECT state FROM decayctl_jobs"); state[0] != "failed" || report.Status != "failed" || countsOf(t, d).Decayed == 0 {
		t.Errorf("the job is %s, with %+v", state, countsOf(t, d))
	}
	resumed := begin(t, "", "jobs", "resume", "--store", target, "--pace", "1", "-o", "json")
	if exit, report, last := resumed.ends(t); exit != 0 || report.Status != "done" {
		t.Fatalf("resumed: exit code %d, %+v, %s", exit, report, last)
	}
	whole, wholeTarget := filled(t, "sqlite", nil, 20_000)
	asUndisturbed(t, d, whole, wholeTarget)
}

// TestTooManyFiles: the process may open few files, more with every run, until it may open enough. It says so each
// time, on each database, whatever it was about to open.
func TestTooManyFiles(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"sqlite", "postgres"} {
		for _, command := range []string{"dry-run", "sweep"} {
			t.Run(kind+" "+command, func(t *testing.T) {
				t.Parallel()
				var cluster *pgtest.Cluster
				if kind == "postgres" {
					cluster = pgtest.Start(t)
				}
				_, target := filled(t, kind, cluster, 50)
				said := 0
				for files := 4; files < 40; files++ {
					process := begin(t, fmt.Sprintf("ulimit -n %d;", files), slices.Concat([]string{command, "--store", target}, faultRules)...)
					exit, _, last := process.ends(t)
					switch {
					case exit == 0:
						// One connection needs no more files than Go needs to begin, if the process inherits some.
						if said == 0 && kind == "sqlite" {
							t.Error("it never had too few files")
						}
						return
					case strings.HasPrefix(strings.Join(process.stderr, "\n"), "runtime: "): // Go itself could not begin
					case exit == 127 && strings.Contains(last, "error while loading shared libraries"): // nor could its C library, which the race detector needs
					case exit == 1 && strings.Contains(last, "too many open files") && len(process.stderr) == 1:
						said++
					default:
						t.Errorf("%d files: exit code %d, %q", files, exit, process.stderr)
					}
				}
				t.Error("40 files were not enough")
			})
		}
	}
}

// TestLockedForLong: another process keeps the write lock for as long as it takes a sweep to say in its
// log that it waits for it, which is ten seconds. The sweep goes on then.
func TestLockedForLong(t *testing.T) {
	t.Parallel()
	d, target := filled(t, "sqlite", nil, 2000)
	process := begin(t, "", sweepArgs(target, "--batch-size", "10", "--pace", "0.01")...)
	process.writes(d)
	unlock := locked(t, d)
	process.says(t, `msg="waiting for a lock"`)
	unlock()
	// It goes on; the pace is too slow to wait for the end.
	before := d.Rows(t, "SELECT counts FROM decayctl_jobs")
	storetest.Await(func() bool {
		return !slices.Equal(before, d.Rows(t, "SELECT counts FROM decayctl_jobs")) || process.over()
	})
	if pause := decayctl(t, nil, "jobs", "pause", "--store", target, d.Rows(t, "SELECT job_id FROM decayctl_jobs")[0]); pause.exit != 0 {
		t.Fatalf("%+v", pause)
	}
	if exit, _, last := process.ends(t); exit != 3 {
		t.Errorf("exit code %d, %s", exit, last)
	}
	if resumed := decayctl(t, nil, "jobs", "resume", "--store", target, "--pace", "1"); resumed.exit != 0 {
		t.Fatalf("%+v", resumed)
	}
	whole, wholeTarget := filled(t, "sqlite", nil, 2000)
	asUndisturbed(t, d, whole, wholeTarget)
}

// TestFileReplaced: the file is moved away in the middle of a sweep, and another put in its place. What
// would be written now would be lost, so the sweep ends, and leaves the other file alone.
func TestFileReplaced(t *testing.T) {
	t.Parallel()
	d, target := filled(t, "sqlite", nil, 2000)
	process := begin(t, "", sweepArgs(target, "--batch-size", "10", "--pace", "0.01")...)
	process.writes(d)
	_, other := filled(t, "sqlite", nil, 10)
	if err := os.Rename(target, target+".moved"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(other, target); err != nil {
		t.Fatal(err)
	}
	if exit, report, last := process.ends(t); exit != 8 || !strings.Contains(last, "was removed or replaced") {
		t.Errorf("exit code %d, %+v, %q", exit, report, last)
	}
}

// TestConnectionLost: the server restarts as after a crash, backends are terminated, connections are
// cut, again and again in the middle of a sweep. It finds its way back each time, or it can be resumed.
func TestConnectionLost(t *testing.T) {
	t.Parallel()
	const facts, times = 2400, 3
	for _, name := range []string{"restart", "terminate", "cut"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := pgtest.Start(t)
			if name == "restart" {
				cluster = pgtest.Own(t)
			}
			d, target := filled(t, "postgres", cluster, facts)
			// The tests' servers do not wait for the log to be written, and lose commits in a crash.
			d.Exec(t, fmt.Sprintf("ALTER DATABASE %q SET synchronous_commit = on", d.Rows(t, "SELECT current_database()")[0]))
			disturb := map[string]func(){
				"restart": func() { cluster.Stop(t, pgtest.Immediate); cluster.Restart(t) },
				"terminate": func() {
					d.Exec(t, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'decayctl' AND datname = current_database()")
				},
			}[name]
			if name == "cut" {
				target, disturb = proxied(t, target)
			}
			process := begin(t, "", sweepArgs(target, "--pace", "1", "--batch-size", "20")...)
			progress := func() []string { // fails while there is no table, or no server
				rows, _ := d.Query("SELECT counts FROM decayctl_jobs WHERE counts LIKE '%batches%'")
				return rows
			}
			for range times {
				before := progress()
				storetest.Await(func() bool {
					now := progress()
					return len(now) > 0 && !slices.Equal(before, now) || process.over()
				})
				disturb()
			}
			exit, report, last := process.ends(t)
			if exit == 1 && strings.Contains(last, "goes on") { // say, a COMMIT with an unknown outcome
				t.Log(last)
				exit, report, last = begin(t, "", "jobs", "resume", "--store", target, "--pace", "1", "-o", "json").ends(t)
			}
			if exit != 0 || report.Status != "done" {
				t.Fatalf("exit code %d, %+v, %s", exit, report, last)
			}
			whole, wholeTarget := filled(t, "postgres", cluster, facts)
			asUndisturbed(t, d, whole, wholeTarget)
		})
	}
}

// proxied puts a proxy before a server, and gives what cuts all connections through it.
func proxied(t *testing.T, target string) (through string, cut func()) {
	t.Helper()
	address, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	server := address.Host
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	var mu sync.Mutex
	var open []net.Conn
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			upstream, err := net.Dial("tcp", server)
			if err != nil {
				_ = client.Close()
				continue
			}
			mu.Lock()
			open = append(open, client, upstream)
			mu.Unlock()
			go func() { _, _ = io.Copy(upstream, client); _ = upstream.Close() }()
			go func() { _, _ = io.Copy(client, upstream); _ = client.Close() }()
		}
	}()
	address.Host = listener.Addr().String()
	return address.String(), func() {
		mu.Lock()
		defer mu.Unlock()
		for _, conn := range open {
			_ = conn.Close()
		}
		open = nil
	}
}
