// Package pgtest gives tests and benchmarks a private PostgreSQL, made from the binaries that are
// installed. A test process has one server, started when it is first asked for; it does not outlive
// the process, however that ends.
package pgtest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// noSkip names the environment variable under which a missing program fails tests instead of
// skipping them: where a run must not pass by testing nothing.
const noSkip = "STORETEST_NO_SKIP"

const (
	superuser = "postgres"
	password  = "pgtest"

	// patience is how long a server may take to do what it is told, on a busy machine.
	patience = 90 * time.Second
)

// private makes a server that only this machine and its owner reach.
const private = `
listen_addresses = '127.0.0.1'
unix_socket_permissions = 0700
timezone = 'UTC'
`

// forgetful makes a server for tests: one that is quick at the cost of safety, and replicates.
const forgetful = `
max_connections = 100
fsync = off
full_page_writes = off
synchronous_commit = off
wal_level = replica
wal_keep_size = 256MB
max_wal_senders = 4
hot_standby = on
`

// Cluster is the server of this test process.
type Cluster struct {
	Port   int    // TCP, on 127.0.0.1
	Folder string // holds the Unix socket
	server *process
	bin    string

	mu        sync.Mutex // one template at a time
	templates map[DatabaseOptions]string
	names     atomic.Int64 // given so far
}

// The cluster of this process. Where it could not be started, every test is told why.
var shared = sync.OnceValues(func() (*Cluster, error) {
	c, err := Launch(forgetful)
	started.Store(c)
	return c, err
})

var started atomic.Pointer[Cluster]

// M runs the tests of a package and then ends the cluster that they shared, so that no goroutine that serves it is left.
type M struct{ *testing.M }

// Run is the exit code of the tests.
func (m M) Run() int {
	code := m.M.Run()
	if c := started.Load(); c != nil {
		if err := c.End(); err != nil {
			fmt.Fprintln(os.Stderr, "cannot end the PostgreSQL of the tests:", err)
			return max(code, 1)
		}
	}
	return code
}

// ErrMissing says that a program is not installed; any other error is a failure.
var ErrMissing = errors.New("not installed")

// Start is the cluster of this test process. It skips the test where PostgreSQL is not installed,
// and fails it where the server cannot be started.
func Start(t testing.TB) *Cluster {
	t.Helper()
	cluster, err := shared()
	refuse(t, err)
	return cluster
}

// Own is a cluster of one test's own, which it may stop and restart while other tests run.
func Own(t testing.TB) *Cluster {
	t.Helper()
	cluster, err := Launch(forgetful)
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
	case errors.Is(err, ErrMissing) && os.Getenv(noSkip) == "":
		t.Skip(err)
	default:
		t.Fatal(err)
	}
}

// Launch starts a cluster for a program that is no test. Its settings are PostgreSQL's own, then those
// given, as they stand in postgresql.conf. End ends it.
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

// URL is a database of the cluster over TCP, as superuser, with the password.
func (c *Cluster) URL(database string) string { return tcpURL(c.Port, superuser, password, database) }

func (c *Cluster) initialize(settings string) error {
	if err := c.server.put("password", password); err != nil {
		return err
	}
	locale := "C.UTF-8"
	if runtime.GOOS == "darwin" {
		locale = "C" // orders UTF-8 in the same way
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

// startOnFreePort starts a server, again on another port where someone was quicker to take it.
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

// Log is what the server has written to its log so far.
func (c *Cluster) Log(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(c.Folder, "log"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Mode is how a server is shut down.
type Mode string

// The modes.
const (
	Fast      Mode = "fast"      // rolls back, and writes a checkpoint
	Immediate Mode = "immediate" // as in a crash; the next start recovers
)

// Stop shuts the server down. Tests that do so cannot run in parallel with others of the package,
// and must start it again.
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
