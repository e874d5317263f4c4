package pgtest

import (
	"context"
	"fmt"
	"testing"
)

// Pooler is a PgBouncer in front of the cluster, in transaction mode: settings and prepared statements of a session are lost
// after each transaction.
type Pooler struct {
	Port int
}

// Bouncer starts a PgBouncer for all roles and databases of the cluster. It ends with the test. The test is skipped if
// PgBouncer is not installed.
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

// bouncerConfig makes PgBouncer look passwords up in the cluster, which it reaches by the socket without a password. Unknown
// startup parameters are refused, as by default.
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

// URL is the URL of a database of the cluster through the pooler, as superuser.
func (p *Pooler) URL(d *Database) string { return tcpURL(p.Port, superuser, password, d.Name) }

// URLAs is URL as another user.
func (p *Pooler) URLAs(d *Database, user, password string) string {
	return tcpURL(p.Port, user, password, d.Name)
}
