//go:build interop

package interop_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"decayctl/internal/cli"
	"decayctl/internal/store/pgtest"
	"decayctl/internal/store/sample"
	"decayctl/internal/store/sample/samplepg"
	"decayctl/internal/store/storetest"
)

// place is the address of a fact store, which may not exist before a node starts there.
type place struct {
	storetest.Database          // the test's own connections
	name               string   // of the engine
	environ            []string // tells a node and decayctl the store's address
	path               string   // of the SQLite file
	copy               func(t testing.TB) *place
	fill               func(t testing.TB, o sample.Options) // fills a store without facts with sample facts
}

// engines are the databases that a node can use.
var engines = []struct {
	name  string
	fresh func(t testing.TB) *place
}{
	{"sqlite", func(t testing.TB) *place {
		t.Helper()
		return onSQLite(t, filepath.Join(t.TempDir(), "stigmem.db"))
	}},
	{"postgres", func(t testing.TB) *place {
		t.Helper()
		return onPostgres(t, pgtest.Start(t).NewDatabase(t, pgtest.DatabaseOptions{Empty: true}))
	}},
}

// onBoth runs a test on a fresh place of every engine.
func onBoth(t *testing.T, test func(t *testing.T, p *place)) {
	t.Helper()
	t.Parallel()
	for _, engine := range engines {
		t.Run(engine.name, func(t *testing.T) {
			t.Parallel()
			test(t, engine.fresh(t))
		})
	}
}

// another is a fresh place of the same engine.
func another(t testing.TB, p *place) *place {
	t.Helper()
	for _, engine := range engines {
		if engine.name == p.name {
			return engine.fresh(t)
		}
	}
	t.Fatalf("no engine %s", p.name)
	return nil
}

func onSQLite(t testing.TB, path string) *place {
	t.Helper()
	p := &place{name: "sqlite", path: path, environ: []string{"STIGMEM_STORAGE_BACKEND=sqlite", "STIGMEM_DB_PATH=" + path}}
	db, err := sample.OpenSQLite(path)
	if err != nil {
		t.Fatal(err)
	}
	p.SQL = unheld(t, db)
	p.copy = func(t testing.TB) *place {
		t.Helper()
		// A checkpoint first, since only the database file is copied.
		p.Exec(t, "PRAGMA wal_checkpoint(TRUNCATE)")
		other := filepath.Join(t.TempDir(), "stigmem.db")
		copyFile(t, path, other)
		return onSQLite(t, other)
	}
	p.fill = func(t testing.TB, o sample.Options) {
		t.Helper()
		if err := sample.FillSQLite(t.Context(), path, o); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

func onPostgres(t testing.TB, db *pgtest.Database) *place {
	t.Helper()
	p := &place{name: "postgres", environ: []string{"STIGMEM_STORAGE_BACKEND=postgres", "STIGMEM_PG_DSN=" + db.URL}}
	p.SQL = unheld(t, storetest.OpenPostgres(t, db.URL, db.Schema))
	p.copy = func(t testing.TB) *place {
		t.Helper()
		return onPostgres(t, db.Copy(t))
	}
	p.fill = func(t testing.TB, o sample.Options) {
		t.Helper()
		conn := db.Conn(t)
		if err := errors.Join(samplepg.Fill(t.Context(), conn, o), conn.Close(t.Context())); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

// unheld keeps no connection open between statements: PostgreSQL refuses to copy a database with connections.
func unheld(t testing.TB, db *sql.DB) *sql.DB {
	t.Helper()
	db.SetMaxIdleConns(-1)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func copyFile(t testing.TB, from, to string) {
	t.Helper()
	source, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = source.Close() }()
	target, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(target, source); err != nil {
		t.Fatal(err)
	}
	if err := target.Close(); err != nil {
		t.Fatal(err)
	}
}

// decayctl runs a command in the node's environment, and returns its document. Another exit code fails the test.
func (p *place) decayctl(t testing.TB, exit int, args ...string) object {
	t.Helper()
	got, document, stderr := p.command(t, args...)
	if got != exit {
		t.Fatalf("decayctl %v: exit code %d, want %d: %v %s", args, got, exit, document, stderr)
	}
	return document
}

// command is decayctl, whatever its exit code.
func (p *place) command(t testing.TB, args ...string) (exit int, document object, stderr string) {
	t.Helper()
	var out, log bytes.Buffer
	exit = cli.Main(cli.Process{
		Args: append(args, "-o", "json"), Environ: p.environ, Dir: t.TempDir(),
		Stdin: &bytes.Buffer{}, Stdout: &out, Stderr: &log, Now: time.Now,
	})
	if err := json.Unmarshal(out.Bytes(), &document); err != nil {
		t.Fatalf("decayctl %v: %v in %q; %s", args, err, out.String(), log.String())
	}
	return exit, document, log.String()
}

// nodeCommand runs the node's own command line on the store, and returns its stderr.
func (p *place) nodeCommand(t testing.TB, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := python(ctx, t, newest, p.environ, "stigmem", args...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("stigmem %v: %v: %s", args, err, out)
	}
	return string(out)
}
