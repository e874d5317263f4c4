package pgtest

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"decayctl/internal/store/sample"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// DatabaseOptions say what a database is like.
type DatabaseOptions struct {
	ICULocale string // "" is the C locale
	Encoding  string // "" is UTF8
	Schema    string // where the fact store's tables are; "" is public
	Older     bool   // the schema is that of stigmem-node 0.9.0a2 to 0.9.0a10
	Empty     bool   // the schema has no tables
}

// inUse is the SQLSTATE for a database that others are connected to.
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

// NewDatabase makes a database with the fact store's schema and no facts. It is dropped, with the
// roles made in it, when the test ends, whoever is still connected.
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

// Copy is a new database with what this one holds. Connections to this one are waited for: PostgreSQL
// copies no database that is in use.
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

// template is the database that those with the same options are copies of.
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
	if err := c.admin(ctx, name, statements...); err != nil {
		return "", err
	}
	c.templates[o] = name
	return name, nil
}

// URLAs is the database over TCP as another user.
func (d *Database) URLAs(user, password string) string {
	return tcpURL(d.cluster.Port, user, password, d.Name)
}

// SocketAs is the database over the Unix socket as another user, who needs no password.
func (d *Database) SocketAs(user string) string {
	return socketDSN(d.cluster.Folder, d.cluster.Port, user, d.Name)
}

// Conn is a new connection as superuser, for the length of the test, that finds the fact store's
// tables without their schema.
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
	// A connection that the server or the test has ended is no failure.
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

// NewRole makes a login role with the given privileges, each as it stands between GRANT and TO:
// "USAGE ON SCHEMA acme", "SELECT ON facts, jobs". Tables are those of the database's schema.
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
