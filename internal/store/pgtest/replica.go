package pgtest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Standby is a hot standby of the cluster, which replicates it and is read-only.
type Standby struct {
	Port   int
	Folder string // holds the Unix socket

	cluster *Cluster
}

// Standby starts a hot standby that ends with the test. It accepts connections and has all that the cluster held when Standby
// was called.
func (c *Cluster) Standby(t testing.TB) *Standby {
	t.Helper()
	if !has(c.bin, baseBackup) {
		refuse(t, fmt.Errorf("%s in %s: %w", baseBackup, c.bin, ErrMissing))
	}
	server, err := launch(clusterScript, c.bin)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.end(); err != nil {
			t.Error(err)
		}
	})
	if err := server.tell("copy", fmt.Sprintf("host=%s port=%d user=%s", c.Folder, c.Port, superuser)); err != nil {
		t.Fatal(err)
	}
	port, err := startOnFreePort(server)
	if err != nil {
		t.Fatal(err)
	}
	s := &Standby{Port: port, Folder: server.folder, cluster: c}
	s.WaitReplay(t)
	return s
}

// URL is the URL of a database of the cluster on the standby, as superuser.
func (s *Standby) URL(d *Database) string { return tcpURL(s.Port, superuser, password, d.Name) }

// URLAs is URL as another user.
func (s *Standby) URLAs(d *Database, user, password string) string {
	return tcpURL(s.Port, user, password, d.Name)
}

// WaitReplay waits until the standby has applied all that is committed on the cluster now.
func (s *Standby) WaitReplay(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	position, err := s.mark(ctx)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := connectWithin(ctx, socketDSN(s.Folder, s.Port, superuser, superuser))
	if err != nil {
		t.Fatalf("connect to the standby: %v", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	for {
		var replayed bool
		err := conn.QueryRow(ctx, "SELECT coalesce(pg_last_wal_replay_lsn() >= $1::pg_lsn, false)", position).Scan(&replayed)
		if err != nil {
			t.Fatalf("wait for the standby: %v", err)
		}
		if replayed {
			return
		}
		pause(ctx)
	}
}

// mark writes a record to the cluster's WAL, flushes it, and returns its LSN. The LSN of the next record would be easier to
// read, but may be after a page header, where no record ends.
func (s *Standby) mark(ctx context.Context) (position string, err error) {
	conn, err := pgx.Connect(ctx, socketDSN(s.cluster.Folder, s.cluster.Port, superuser, superuser))
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if _, err := conn.Exec(ctx, "SET synchronous_commit = on"); err != nil {
		return "", err
	}
	err = conn.QueryRow(ctx, "SELECT pg_logical_emit_message(true, 'pgtest', 'mark')::text").Scan(&position)
	return position, err
}

// connectWithin tries to connect until the server accepts or ctx ends.
func connectWithin(ctx context.Context, dsn string) (*pgx.Conn, error) {
	for {
		conn, err := pgx.Connect(ctx, dsn)
		if err == nil || ctx.Err() != nil {
			return conn, err
		}
		pause(ctx)
	}
}

// pause slows a polling loop down.
func pause(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(10 * time.Millisecond):
	}
}
