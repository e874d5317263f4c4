package pgtest_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"decayctl/internal/store/pgtest"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// value is the one value a query yields, as text.
func value(t *testing.T, conn *pgx.Conn, query string) string {
	t.Helper()
	var text string
	if err := conn.QueryRow(t.Context(), "SELECT ("+query+")::text").Scan(&text); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return text
}

func connect(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// code is the SQLSTATE of an error, "" of none.
func code(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

func TestNewDatabase(t *testing.T) {
	cluster := pgtest.Start(t)
	start := time.Now()
	first := cluster.NewDatabase(t, pgtest.DatabaseOptions{})
	t.Logf("first database in %v", time.Since(start))
	start = time.Now()
	second := cluster.NewDatabase(t, pgtest.DatabaseOptions{})
	t.Logf("second database in %v", time.Since(start))
	if first.Name == second.Name {
		t.Fatalf("two databases are both %s", first.Name)
	}
	conn := first.Conn(t)
	for query, want := range map[string]string{
		"SELECT count(*) FROM facts":                                       "0",
		"SELECT count(*) FROM schema_migrations WHERE version LIKE '033%'": "1",
		"SELECT data_type FROM information_schema.columns WHERE table_name = 'facts' AND column_name = 'confidence'": "real",
		"SELECT current_setting('server_encoding')": "UTF8",
		"SELECT 'a' > 'B'":                          "true",
	} {
		if got := value(t, conn, query); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
	if _, err := conn.Exec(t.Context(), "INSERT INTO node_meta VALUES ('a', 'b')"); err != nil {
		t.Fatal(err)
	}
	if n := value(t, second.Conn(t), "SELECT count(*) FROM node_meta"); n != "0" {
		t.Error("two databases share their rows")
	}
	for _, dsn := range []string{first.URL, first.Socket} {
		if got := value(t, connect(t, dsn), "SELECT current_user || ' ' || current_database()"); got != "postgres "+first.Name {
			t.Errorf("%s: connected as %s", dsn, got)
		}
	}
}

func TestCopy(t *testing.T) {
	db := pgtest.Start(t).NewDatabase(t, pgtest.DatabaseOptions{Schema: "elsewhere"})
	conn := db.Conn(t)
	if _, err := conn.Exec(t.Context(), "INSERT INTO node_meta VALUES ('a', 'b')"); err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	other := db.Copy(t).Conn(t)
	if _, err := other.Exec(t.Context(), "UPDATE node_meta SET value = 'c'"); err != nil {
		t.Fatal(err)
	}
	if copied, kept := value(t, other, "SELECT value FROM node_meta"), value(t, db.Conn(t), "SELECT value FROM node_meta"); copied != "c" || kept != "b" {
		t.Errorf("the copy has %s, the original %s", copied, kept)
	}
}

func TestDatabaseIsDropped(t *testing.T) {
	cluster := pgtest.Start(t)
	var name string
	t.Run("use", func(t *testing.T) {
		db := cluster.NewDatabase(t, pgtest.DatabaseOptions{Empty: true})
		name = db.Name
		db.NewRole(t, "CREATE ON SCHEMA public")
		// Left open, and in a transaction, on purpose.
		conn, err := pgx.Connect(t.Context(), db.URL)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Exec(t.Context(), "BEGIN; CREATE TABLE x ()"); err != nil {
			t.Fatal(err)
		}
	})
	conn := cluster.NewDatabase(t, pgtest.DatabaseOptions{Empty: true}).Conn(t)
	if n := value(t, conn, "SELECT count(*) FROM pg_database WHERE datname = '"+name+"'"); n != "0" {
		t.Errorf("%s is still there", name)
	}
	if n := value(t, conn, "SELECT count(*) FROM pg_roles WHERE rolname LIKE 'role%'"); n != "0" {
		t.Errorf("%s roles are still there", n)
	}
}

func TestDatabaseOptions(t *testing.T) {
	cluster := pgtest.Start(t)
	const tables = "SELECT count(*) FROM pg_tables WHERE schemaname = "
	t.Run("schema", func(t *testing.T) {
		db := cluster.NewDatabase(t, pgtest.DatabaseOptions{Schema: "acme"})
		conn := db.Conn(t)
		if db.Schema != "acme" || value(t, conn, "SELECT count(*) FROM facts") != "0" {
			t.Error("the tables are not in the schema")
		}
		if n := value(t, conn, tables+"'public'"); n != "0" {
			t.Errorf("%s tables in public", n)
		}
	})
	t.Run("empty", func(t *testing.T) {
		db := cluster.NewDatabase(t, pgtest.DatabaseOptions{Empty: true})
		if n := value(t, db.Conn(t), tables+"'public'"); n != "0" {
			t.Errorf("%s tables in an empty database", n)
		}
	})
	t.Run("locale", func(t *testing.T) {
		icu := cluster.NewDatabase(t, pgtest.DatabaseOptions{ICULocale: "en-US"}).Conn(t)
		plain := cluster.NewDatabase(t, pgtest.DatabaseOptions{}).Conn(t)
		const order = "SELECT string_agg(x, '' ORDER BY x) FROM unnest(ARRAY['a', 'B', 'c']) x"
		if got := value(t, icu, order); got != "aBc" {
			t.Errorf("en-US orders %s", got)
		}
		if got := value(t, plain, order); got != "Bac" {
			t.Errorf("C orders %s", got)
		}
	})
}

func TestRole(t *testing.T) {
	db := pgtest.Start(t).NewDatabase(t, pgtest.DatabaseOptions{Schema: "acme"})
	role := db.NewRole(t, "USAGE ON SCHEMA acme", "SELECT ON facts")
	conn := connect(t, role.URL)
	if n := value(t, conn, "SELECT count(*) FROM acme.facts"); n != "0" {
		t.Errorf("%s facts", n)
	}
	if _, err := conn.Exec(t.Context(), "DELETE FROM acme.facts"); code(err) != "42501" {
		t.Errorf("a role without the right deletes: %v", err)
	}
	if got := value(t, connect(t, role.Socket), "SELECT current_user"); got != role.Name {
		t.Errorf("connected as %s", got)
	}
	if _, err := pgx.Connect(t.Context(), db.URLAs(role.Name, "wrong")); code(err) != "28P01" {
		t.Errorf("a wrong password: %v", err)
	}
	if _, err := pgx.Connect(t.Context(), db.URLAs("nobody", "")); err == nil {
		t.Error("an unknown role connects")
	}
}

func TestStopAndRestart(t *testing.T) {
	cluster := pgtest.Start(t)
	db := cluster.NewDatabase(t, pgtest.DatabaseOptions{})
	for _, mode := range []pgtest.Mode{pgtest.Fast, pgtest.Immediate} {
		conn := db.Conn(t)
		cluster.Stop(t, mode)
		if _, err := conn.Exec(t.Context(), "SELECT 1"); err == nil {
			t.Errorf("%s: the connection survived", mode)
		}
		if _, err := pgx.Connect(t.Context(), db.URL); err == nil {
			t.Errorf("%s: the server still runs", mode)
		}
		cluster.Restart(t)
		if n := value(t, db.Conn(t), "SELECT count(*) FROM facts"); n != "0" {
			t.Errorf("%s: %s facts", mode, n)
		}
	}
}

func TestStandby(t *testing.T) {
	cluster := pgtest.Start(t)
	db := cluster.NewDatabase(t, pgtest.DatabaseOptions{})
	start := time.Now()
	standby := cluster.Standby(t)
	t.Logf("standby in %v", time.Since(start))
	conn := connect(t, standby.URL(db))
	if got := value(t, conn, "SELECT pg_is_in_recovery()"); got != "true" {
		t.Fatal("the standby is a server of its own")
	}
	writer := db.Conn(t)
	for range 20 {
		if _, err := writer.Exec(t.Context(), "INSERT INTO node_meta SELECT gen_random_uuid(), 'x' FROM generate_series(1, 100)"); err != nil {
			t.Fatal(err)
		}
		standby.WaitReplay(t)
		want := value(t, writer, "SELECT count(*) FROM node_meta")
		if got := value(t, conn, "SELECT count(*) FROM node_meta"); got != want {
			t.Fatalf("%s rows on the standby, want %s", got, want)
		}
	}
	if _, err := conn.Exec(t.Context(), "DELETE FROM node_meta"); code(err) != "25006" {
		t.Errorf("the standby can be written to: %v", err)
	}
}

func TestBouncer(t *testing.T) {
	cluster := pgtest.Start(t)
	db := cluster.NewDatabase(t, pgtest.DatabaseOptions{})
	role := db.NewRole(t, "SELECT ON facts")
	start := time.Now()
	pooler := pgtest.Bouncer(t, cluster)
	t.Logf("pooler in %v", time.Since(start))

	config, err := pgx.ParseConfig(pooler.URLAs(db, role.Name, role.Password))
	if err != nil {
		t.Fatal(err)
	}
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	conn, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if got := value(t, conn, "SELECT current_user || ' ' || count(*) FROM facts"); got != role.Name+" 0" {
		t.Errorf("through the pooler: %s", got)
	}
	if _, err := pgx.Connect(t.Context(), pooler.URLAs(db, role.Name, "wrong")); err == nil {
		t.Error("a wrong password connects")
	}
	config.RuntimeParams["statement_timeout"] = "1s"
	if _, err := pgx.ConnectConfig(t.Context(), config); err == nil {
		t.Error("a startup parameter is accepted")
	}

	// Two clients, one after the other: the same session of the server.
	a, b := connect(t, pooler.URL(db)+"&default_query_exec_mode=exec"), connect(t, pooler.URL(db)+"&default_query_exec_mode=exec")
	if value(t, a, "SELECT pg_backend_pid()") != value(t, b, "SELECT pg_backend_pid()") {
		t.Error("sessions are not shared between transactions")
	}
}
