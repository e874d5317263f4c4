// Package pgtest gives tests and benchmarks a private PostgreSQL server, of the installed programs. A test process starts one
// server when it first needs it. The server ends with the process, even if the process is killed.
package pgtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"decayctl/internal/skiptest"
)

const (
	superuser = "postgres"
	password  = "pgtest"

	// patience is how long a server may take for a command, on a busy machine.
	patience = 90 * time.Second
)

// private is settings for a server that accepts connections of this machine only.
const private = `
listen_addresses = '127.0.0.1'
unix_socket_permissions = 0700
timezone = 'UTC'
`

// forgetful is settings for a test server: fast, not crash-safe, with replication.
const forgetful = `
max_connections = 100
fsync = off
full_page_writes = off
synchronous_commit = off
wal_level = replica
wal_keep_size = 256MB
max_wal_senders = 4
hot_standby = on
jit = off
autovacuum = off
`

// Cluster is the server of this test process.
type Cluster struct {
	Port   int    // TCP, on 127.0.0.1
	Folder string // holds the Unix socket
	server *process
	bin    string

	mu        sync.Mutex // held while a template is created
	templates map[DatabaseOptions]string
	names     atomic.Int64 // given so far
}

// shared is the cluster of this process, or the error that all tests get if it could not be started.
var shared = sync.OnceValues(func() (*Cluster, error) {
	return keep(Launch(forgetful))
})

// started are the clusters that end with the tests.
var started struct {
	sync.Mutex
	all []*Cluster
}

// keep notes a cluster that was launched for all tests.
func keep(c *Cluster, err error) (*Cluster, error) {
	if err == nil {
		started.Lock()
		defer started.Unlock()
		started.all = append(started.all, c)
	}
	return c, err
}

// M runs the tests of a package and then ends their shared clusters, with their goroutines.
type M struct{ *testing.M }

// Run runs the tests and returns the exit code.
func (m M) Run() int {
	code := m.M.Run()
	started.Lock()
	defer started.Unlock()
	for _, c := range started.all {
		if err := c.End(); err != nil {
			fmt.Fprintln(os.Stderr, "cannot end the PostgreSQL of the tests:", err)
			return max(code, 1)
		}
	}
	return code
}

// ErrMissing is the error if a program is not installed.
var ErrMissing = errors.New("not installed")

// Start returns the cluster of this test process, and starts it if necessary. It skips the test if PostgreSQL is not installed,
// and fails it if the server cannot be started.
func Start(t testing.TB) *Cluster {
	t.Helper()
	cluster, err := shared()
	refuse(t, err)
	return cluster
}

// Own starts a cluster for one test, which may stop and restart it while other tests run. settings are more lines of
// postgresql.conf.
func Own(t testing.TB, settings ...string) *Cluster {
	t.Helper()
	cluster, err := Launch(forgetful + strings.Join(settings, "\n") + "\n")
	refuse(t, err)
	t.Cleanup(func() {
		if err := cluster.End(); err != nil {
			t.Error(err)
		}
	})
	return cluster
}

// refuse ends a test that cannot have its server.
func refuse(t testing.TB, err error) {
	t.Helper()
	switch {
	case err == nil:
	case errors.Is(err, ErrMissing):
		skiptest.Skip(t, err)
	default:
		t.Fatal(err)
	}
}

// Launch starts a cluster for a program that is not a test. settings are lines of postgresql.conf. End ends it.
func Launch(settings string) (*Cluster, error) {
	bin, err := binaries()
	if err != nil {
		return nil, err
	}
	server, err := launch(clusterScript, bin)
	if err != nil {
		return nil, err
	}
	c := &Cluster{Folder: server.folder, server: server, bin: bin, templates: map[DatabaseOptions]string{}}
	if err := c.initialize(private + settings); err != nil {
		return nil, errors.Join(err, server.end())
	}
	return c, nil
}

// End stops the server at once and removes its folder.
func (c *Cluster) End() error { return c.server.end() }

// URL is the URL of a database over TCP, as superuser, with the password.
func (c *Cluster) URL(database string) string { return tcpURL(c.Port, superuser, password, database) }

func (c *Cluster) initialize(settings string) error {
	if err := c.server.put("password", password); err != nil {
		return err
	}
	locale := "C.UTF-8"
	if runtime.GOOS == "darwin" {
		locale = "C" // sorts UTF-8 in the same way
	}
	if err := c.server.tell("init", locale); err != nil {
		return err
	}
	conf, err := os.OpenFile(filepath.Join(c.Folder, "data", "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = conf.WriteString(settings)
	if err := errors.Join(err, conf.Close()); err != nil {
		return err
	}
	c.Port, err = startOnFreePort(c.server)
	return err
}

// startOnFreePort starts a server on a free port. If another process takes the port first, it tries another one.
func startOnFreePort(p *process) (port int, err error) {
	for range 3 {
		if port, err = freePort(); err != nil {
			return 0, err
		}
		if err = p.tell("start", fmt.Sprint(port)); err == nil {
			return port, nil
		}
	}
	return 0, err
}

func freePort() (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return listener.Addr().(*net.TCPAddr).Port, listener.Close()
}

// Log is the server's log from an offset on. The end is the offset of what comes next.
func (c *Cluster) Log(t testing.TB, from int64) (text string, end int64) {
	t.Helper()
	log, err := os.Open(filepath.Join(c.Folder, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	var b strings.Builder
	if _, err := log.Seek(from, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	n, err := io.Copy(&b, log)
	if err != nil {
		t.Fatal(err)
	}
	return b.String(), from + n
}

// LogEnd is the present length of the server's log.
func (c *Cluster) LogEnd(t testing.TB) int64 {
	t.Helper()
	log, err := os.Stat(filepath.Join(c.Folder, "log"))
	if err != nil {
		t.Fatal(err)
	}
	return log.Size()
}

// Mode is how a server is shut down.
type Mode string

// The modes.
const (
	Fast      Mode = "fast"      // rolls back, and writes a checkpoint
	Immediate Mode = "immediate" // as in a crash; the next start recovers
)

// Stop shuts the server down. A test that calls it on the shared cluster must not be parallel, and must call Restart.
func (c *Cluster) Stop(t testing.TB, mode Mode) {
	t.Helper()
	if err := c.server.tell("stop", string(mode)); err != nil {
		t.Fatal(err)
	}
}

// Restart starts a stopped server, on the same port.
func (c *Cluster) Restart(t testing.TB) {
	t.Helper()
	if err := c.server.tell("start", fmt.Sprint(c.Port)); err != nil {
		t.Fatal(err)
	}
}

// admin runs statements as superuser in a database.
func (c *Cluster) admin(ctx context.Context, database string, statements ...string) (err error) {
	conn, err := pgx.Connect(ctx, socketDSN(c.Folder, c.Port, superuser, database))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	for _, statement := range statements {
		if _, err := conn.Exec(ctx, statement, pgx.QueryExecModeSimpleProtocol); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

func socketDSN(folder string, port int, user, database string) string {
	return fmt.Sprintf("host=%s port=%d user=%s dbname=%s", folder, port, user, database)
}

func tcpURL(port int, user, password, database string) string {
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(user, password),
		Host: fmt.Sprintf("127.0.0.1:%d", port), Path: "/" + database, RawQuery: "sslmode=disable",
	}
	return u.String()
}

func quoted(name string) string { return pgx.Identifier{name}.Sanitize() }
