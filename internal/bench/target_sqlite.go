package main

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"decayctl/internal/store/sample"
	"decayctl/internal/store/sqlite"
)

// sqliteDatabase keeps stores as files in a folder.
type sqliteDatabase struct {
	kind      string // in the names of files
	folder    string // of copies
	templates string // of filled stores
	template  string // the filled store that is copied
	copies    int

	create func(ctx context.Context, path string) error // makes a store without facts
	adapt  func(ctx context.Context, db *sql.DB) error  // changes it after it is filled; may be nil
}

func newSQLite(folder, templates string) *sqliteDatabase {
	return &sqliteDatabase{kind: sqliteStore, folder: folder, templates: templates, create: sample.CreateSQLite}
}

func (d *sqliteDatabase) fill(ctx context.Context, facts int) error {
	d.template = filepath.Join(d.templates, fmt.Sprintf("%s-%d-%s.db", d.kind, facts, fingerprint()))
	if _, err := os.Stat(d.template); err == nil {
		return nil
	}
	unfinished := d.template + ".part"
	if err := errors.Join(os.MkdirAll(d.templates, 0o755), os.RemoveAll(unfinished)); err != nil {
		return err
	}
	if err := d.create(ctx, unfinished); err != nil {
		return err
	}
	if err := sample.FillSQLite(ctx, unfinished, sampleOf(facts)); err != nil {
		return err
	}
	db, err := sample.OpenSQLite(unfinished)
	if err != nil {
		return err
	}
	if d.adapt != nil {
		err = d.adapt(ctx, db)
	}
	if err == nil {
		_, err = db.ExecContext(ctx, "VACUUM; ANALYZE; PRAGMA wal_checkpoint(TRUNCATE)")
	}
	if err := errors.Join(err, db.Close()); err != nil {
		return err
	}
	return os.Rename(unfinished, d.template)
}

// fingerprint is a hash of the schema and of the first sample facts. A template of another one is not used.
func fingerprint() string {
	sum := sha256.New()
	for rows := range sample.Generate(sampleOf(1000)) {
		fmt.Fprintln(sum, rows)
	}
	fmt.Fprint(sum, sample.SQLiteDDL())
	return hex.EncodeToString(sum.Sum(nil)[:6])
}

func sampleOf(facts int) sample.Options {
	return sample.Options{Facts: facts, AsOf: asOf, Seed: seed, Plain: true}
}

func (d *sqliteDatabase) copied(context.Context) (target, error) {
	d.copies++
	path := filepath.Join(d.folder, fmt.Sprintf("%s-copy%d.db", d.kind, d.copies))
	if err := copyFile(path, d.template); err != nil {
		return nil, err
	}
	return &sqliteTarget{path: path}, nil
}

// copyFile copies a file and syncs it. The copy stays in the page cache.
func copyFile(to, from string) (err error) {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = source.Close() }()
	copied, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(copied, source)
	return errors.Join(err, copied.Sync(), copied.Close())
}

func (d *sqliteDatabase) versions(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "sqlite3", "--version").Output()
	if err != nil {
		return "", err
	}
	shell, _, _ := strings.Cut(string(out), " ")
	return "SQLite " + sqlite.Version + " in decayctl, the writer and the row-by-row method (modernc.org/sqlite); " +
		shell + " in the sqlite3 shell. WAL, synchronous FULL.", nil
}

func (d *sqliteDatabase) close() error { return os.RemoveAll(d.folder) }

type sqliteTarget struct {
	path string
	peak int64 // size of the log, in bytes
}

func (t *sqliteTarget) store() string { return "sqlite:" + t.path }

func (t *sqliteTarget) shell(ctx context.Context, script string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "sqlite3", "-batch", "-bail", "-init", os.DevNull, t.path)
	cmd.Stdin = strings.NewReader(script)
	return cmd
}

func (t *sqliteTarget) open() (*sql.DB, error) { return sample.OpenSQLite(t.path) }

func (t *sqliteTarget) begin(context.Context) error {
	t.peak = 0
	return nil
}

func (t *sqliteTarget) watch() {
	if info, err := os.Stat(t.path + "-wal"); err == nil {
		t.peak = max(t.peak, info.Size())
	}
}

func (t *sqliteTarget) end(context.Context) (int64, error) { return t.peak, nil }

func (t *sqliteTarget) remove() error {
	return errors.Join(os.RemoveAll(t.path), os.RemoveAll(t.path+"-wal"), os.RemoveAll(t.path+"-shm"))
}
