package pgtest

import (
	"context"
	_ "embed" // for likecitus.sql
	"errors"
	"fmt"
	"strings"
	"testing"

	"decayctl/internal/store/sample"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// DatabaseOptions describe a database.
type DatabaseOptions struct {
	ICULocale string // "" is the C locale
	Encoding  string // "" is UTF8
	Schema    string // of the fact store's tables; "" is public
	Older     bool   // the schema is that of stigmem-node 0.9.0a2 to 0.9.0a10
	Empty     bool   // the schema has no tables
	LikeCitus bool   // the catalogue is as on the coordinator of a Citus cluster, on which the tables are distributed
}

//go:embed likecitus.sql
var likeCitus string

// inUse is the SQLSTATE for a database that has other sessions.
const inUse = "55006"

// Database is a database of one test.
type Database struct {
	URL    string // over TCP, as superuser, with the password
	Socket string // over the Unix socket, as superuser; a key=value string
	Name   string
	Schema string

	cluster *Cluster
	roles   []string
}

// NewDatabase creates a database with the fact store's schema and no facts. When the test ends, the database and its roles are
// dropped, even if there are sessions.
func (c *Cluster) NewDatabase(t testing.TB, o DatabaseOptions) *Database {
	t.Helper()
	if o.Schema == "" {
		o.Schema = "public"
	}
	template, err := c.template(t.Context(), o)
	if err != nil {
		t.Fatalf("make a template database: %v", err)
	}
	return c.copyOf(t, template, o.Schema)
}

// Copy creates a copy of the database. It waits until the database has no sessions, since PostgreSQL copies no other.
func (d *Database) Copy(t testing.TB) *Database {
	t.Helper()
	return d.cluster.copyOf(t, d.Name, d.Schema)
}

func (c *Cluster) copyOf(t testing.TB, template, schema string) *Database {
	t.Helper()
	name := c.newName("test")
	d := &Database{
		URL:    c.URL(name),
		Socket: socketDSN(c.Folder, c.Port, superuser, name),
		Name:   name, Schema: schema, cluster: c,
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		err := c.admin(ctx, superuser, "CREATE DATABASE "+name+" TEMPLATE "+template)
		if err == nil {
			break
		}
		if refused := (*pgconn.PgError)(nil); !errors.As(err, &refused) || refused.Code != inUse {
			t.Fatal(err)
		}
		pause(ctx)
	}
	t.Cleanup(func() {
		statements := []string{"DROP DATABASE " + name + " WITH (FORCE)"}
		for _, role := range d.roles {
			statements = append(statements, "DROP ROLE "+role)
		}
		if err := c.admin(context.Background(), superuser, statements...); err != nil {
			t.Error(err)
		}
	})
	return d
}

func (c *Cluster) newName(prefix string) string {
	return fmt.Sprintf("%s_%d", prefix, c.names.Add(1))
}

// template is the database of which all databases with the same options are copies.
func (c *Cluster) template(ctx context.Context, o DatabaseOptions) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if name := c.templates[o]; name != "" {
		return name, nil
	}
	name := c.newName("shape")
	create := "CREATE DATABASE " + name + " TEMPLATE template0"
	if o.ICULocale != "" {
		create += fmt.Sprintf(" LOCALE_PROVIDER icu ICU_LOCALE '%s'", o.ICULocale)
	}
	if o.Encoding != "" {
		create += fmt.Sprintf(" ENCODING '%s' LOCALE 'C'", o.Encoding)
	}
	if err := c.admin(ctx, superuser, create); err != nil {
		return "", err
	}
	schema := quoted(o.Schema)
	statements := []string{"CREATE SCHEMA IF NOT EXISTS " + schema, "SET search_path = " + schema}
	switch {
	case o.Older:
		statements = append(statements, sample.OlderPostgresDDL())
	case !o.Empty:
		statements = append(statements, sample.PostgresDDL())
	}
	if o.LikeCitus {
		statements = append(statements, strings.ReplaceAll(likeCitus, "{schema}", o.Schema))
	}
	if err := c.admin(ctx, name, statements...); err != nil {
		return "", err
	}
	c.templates[o] = name
	return name, nil
}

// URLAs is the URL of the database over TCP as another user.
func (d *Database) URLAs(user, password string) string {
	return tcpURL(d.cluster.Port, user, password, d.Name)
}

// SocketAs is the connection string of the database over the Unix socket as another user, without a password.
func (d *Database) SocketAs(user string) string {
	return socketDSN(d.cluster.Folder, d.cluster.Port, user, d.Name)
}

// Conn is a new connection as superuser, with the schema in the search_path. It is closed when the test ends.
func (d *Database) Conn(t testing.TB) *pgx.Conn {
	t.Helper()
	config, err := pgx.ParseConfig(d.Socket)
	if err != nil {
		t.Fatal(err)
	}
	config.RuntimeParams["search_path"] = quoted(d.Schema)
	conn, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	// The server or the test may have closed the connection: not an error.
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// Role is a login role of one database.
type Role struct {
	Name     string
	Password string
	URL      string // over TCP, with the password
	Socket   string // over the Unix socket; a key=value string
}

// NewRole creates a login role with privileges, each as it is written between GRANT and TO: "USAGE ON SCHEMA acme",
// "SELECT ON facts, jobs". Tables are those of the database's schema.
func (d *Database) NewRole(t testing.TB, grants ...string) Role {
	t.Helper()
	name := d.cluster.newName("role")
	role := Role{Name: name, Password: "secret of " + name, Socket: d.SocketAs(name)}
	role.URL = d.URLAs(name, role.Password)
	statements := []string{
		fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD '%s'", name, role.Password),
		"SET search_path = " + quoted(d.Schema),
	}
	for _, grant := range grants {
		statements = append(statements, "GRANT "+grant+" TO "+name)
	}
	if err := d.cluster.admin(t.Context(), d.Name, statements...); err != nil {
		t.Fatal(err)
	}
	d.roles = append(d.roles, name)
	return role
}
