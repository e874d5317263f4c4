// Package sample makes sample fact stores: the schema of the node, and facts as varied as in a store that was in use for a
// year, with odd rows. The same options give the same rows on every database.
package sample

import (
	"context"
	"database/sql"
	_ "embed"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	_ "modernc.org/sqlite"     // the driver
	_ "modernc.org/sqlite/vec" // vec0, for vec_facts
)

//go:embed schema.sql
var schemaDDL string

//go:embed sqlite.sql
var sqliteDDL string

//go:embed newest.sql
var newestDDL string

// PostgresDDL is the newest node's schema for PostgreSQL. Its names are not qualified: search_path decides on the schema.
func PostgresDDL() string { return OlderPostgresDDL() + newestDDL }

// OlderPostgresDDL is the schema of stigmem-node 0.9.0a2 to 0.9.0a10 for PostgreSQL.
func OlderPostgresDDL() string {
	return strings.NewReplacer("{serial}", "serial PRIMARY KEY", "{bigint}", "BIGINT").Replace(schemaDDL)
}

// SQLiteDDL is the newest node's schema for SQLite.
func SQLiteDDL() string { return olderSQLiteDDL() + newestDDL }

func olderSQLiteDDL() string {
	return strings.NewReplacer("{serial}", "INTEGER PRIMARY KEY AUTOINCREMENT", "{bigint}", "INTEGER").Replace(schemaDDL) + sqliteDDL
}

// DefaultFacts is the default of Options.Facts.
const DefaultFacts = 20_000

// Options are all that the rows of a sample depend on.
type Options struct {
	Facts           int       // 0 is DefaultFacts
	AsOf            time.Time // facts have timestamps in the 400 days before, 365 if Plain; must be set
	Seed            uint64
	Plain           bool // for benchmarks: stamps in the node's own form, no odd rows, fewer rows in other tables
	NearExpiries    bool // expiries after AsOf are within months, as in a real store; else a thousand years later
	VectorDimension int  // of the vectors in vec_facts; 0 is no vec_facts
}

// CreateSQLite creates a store without facts, as the newest node does: in WAL mode, and readable by its owner only. If the file
// exists, it fails and leaves the file alone.
func CreateSQLite(ctx context.Context, path string) error {
	return createSQLite(ctx, path, SQLiteDDL())
}

// CreateOlderSQLite creates a store as stigmem-node 0.9.0a2 to 0.9.0a10 do.
func CreateOlderSQLite(ctx context.Context, path string) error {
	return createSQLite(ctx, path, olderSQLiteDDL())
}

func createSQLite(ctx context.Context, path, ddl string) (err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("create %s: %w", path, errors.Join(err, os.Remove(path)))
		}
	}()
	if err := file.Close(); err != nil {
		return err
	}
	db, err := OpenSQLite(path)
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, "PRAGMA journal_mode = WAL; BEGIN;\n"+ddl+"\nCOMMIT")
	return errors.Join(err, db.Close())
}

// OpenSQLite opens an existing store as the node does: with foreign keys, and a busy timeout of 5 s.
func OpenSQLite(path string) (*sql.DB, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	name := filepath.ToSlash(absolute)
	if !strings.HasPrefix(name, "/") {
		name = "/" + name // a drive letter is no host
	}
	dsn := url.URL{Scheme: "file", Path: name, RawQuery: "mode=rw&_pragma=busy_timeout(5000)&_pragma=foreign_keys(1)"}
	return sql.Open("sqlite", dsn.String())
}
