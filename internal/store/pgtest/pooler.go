package pgtest

import (
	"context"
	"fmt"
	"testing"
)

// Pooler is a PgBouncer in front of the cluster, in transaction pooling mode: what a session sets
// or prepares in one transaction is not there in the next.
type Pooler struct {
	Port int
}

// Bouncer starts a PgBouncer that ends with the test. It knows every role and database of the
// cluster. The test is skipped where PgBouncer is not installed.
func Bouncer(t testing.TB, c *Cluster) *Pooler {
	t.Helper()
	program, err := bouncer()
	refuse(t, err)
	server, err := launch(bouncerScript, program)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.end(); err != nil {
			t.Error(err)
		}
	})
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.put("pgbouncer.ini", c.bouncerConfig(server.folder, port)); err != nil {
		t.Fatal(err)
	}
	if err := server.put("users", fmt.Sprintf("%q %q\n", superuser, password)); err != nil {
		t.Fatal(err)
	}
	if err := server.tell("start", ""); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, err := connectWithin(ctx, tcpURL(port, superuser, password, superuser))
	if err != nil {
		t.Fatalf("connect through PgBouncer: %v; its log ends with:\n%s", err, server.lastLog())
	}
	_ = conn.Close(ctx)
	return &Pooler{Port: port}
}

// bouncerConfig lets PgBouncer look up passwords in the cluster, and reach it by the socket, where
// none is needed. Unknown startup parameters are refused, as they are by default.
func (c *Cluster) bouncerConfig(folder string, port int) string {
	return fmt.Sprintf(`[databases]
* = host=%s port=%d auth_user=%s
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir = %s
pool_mode = transaction
default_pool_size = 5
max_client_conn = 100
auth_type = scram-sha-256
auth_file = %s/users
`, c.Folder, c.Port, superuser, port, folder, folder)
}

// URL is a database of the cluster, through the pooler, as superuser.
func (p *Pooler) URL(d *Database) string { return tcpURL(p.Port, superuser, password, d.Name) }

// URLAs is the same as another user.
func (p *Pooler) URLAs(d *Database, user, password string) string {
	return tcpURL(p.Port, user, password, d.Name)
}
