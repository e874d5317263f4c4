package sample_test

import (
	"context"
	"database/sql"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"decayctl/internal/store/sample"

	"github.com/google/go-cmp/cmp"
)

var asOf = time.Date(2026, 6, 15, 12, 0, 0, 500_000_000, time.UTC)

// filled is a new store with the rows of a sample.
func filled(t *testing.T, o sample.Options) *sql.DB {
	t.Helper()
	path := filepath.Join(t.TempDir(), "stigmem.db")
	if err := sample.CreateSQLite(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	if err := sample.FillSQLite(t.Context(), path, o); err != nil {
		t.Fatal(err)
	}
	return opened(t, path)
}

func opened(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sample.OpenSQLite(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func count(t *testing.T, db *sql.DB, query string) int {
	t.Helper()
	var n int
	if err := db.QueryRowContext(t.Context(), query).Scan(&n); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return n
}

func TestCreateSQLite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a %41#?.db")
	if err := sample.CreateSQLite(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" && info.Mode() != 0o600 {
		t.Errorf("mode %v, want 0600", info.Mode())
	}
	var mode string
	if err := opened(t, path).QueryRow("PRAGMA journal_mode").Scan(&mode); err != nil || mode != "wal" {
		t.Errorf("journal mode %q, error %v", mode, err)
	}
	if err := sample.CreateSQLite(t.Context(), path); !os.IsExist(err) {
		t.Errorf("creating it again: %v, want that it exists", err)
	}
	missing := opened(t, filepath.Join(t.TempDir(), "missing.db"))
	if err := missing.Ping(); err == nil {
		t.Error("opening a missing store made one")
	}
}

func TestCreateSQLiteLeavesNothingWhenItFails(t *testing.T) {
	folder := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := sample.CreateSQLite(ctx, filepath.Join(folder, "x.db")); err == nil {
		t.Fatal("no error")
	}
	entries, err := os.ReadDir(folder)
	if err != nil || len(entries) > 0 {
		t.Errorf("left over: %v, %v", entries, err)
	}
	if _, err := os.Stat(filepath.Join(folder, "x.db")); !os.IsNotExist(err) {
		t.Errorf("%v, want %v", err, fs.ErrNotExist)
	}
}

func TestAppendOnly(t *testing.T) {
	db := filled(t, sample.Options{Facts: 10, AsOf: asOf})
	for _, statement := range []string{
		"UPDATE facts SET confidence = 0",
		"DELETE FROM facts",
	} {
		_, err := db.Exec(statement)
		if err == nil || !strings.Contains(err.Error(), "append-only") {
			t.Errorf("%s: %v, want that facts is append-only", statement, err)
		}
	}
	if _, err := db.Exec("INSERT INTO fact_validity_overrides (fact_id, updated_at) VALUES ('nobody', '')"); err == nil {
		t.Error("foreign keys are not checked")
	}
}

func TestGenerateDependsOnOptionsOnly(t *testing.T) {
	sum := func(o sample.Options) uint64 {
		h := fnv.New64a()
		for rows := range sample.Generate(o) {
			fmt.Fprintln(h, rows.Table, rows.Columns, rows.Values)
		}
		return h.Sum64()
	}
	o := sample.Options{Facts: 12_000, AsOf: asOf, Seed: 7, VectorDimension: 4}
	first := sum(o)
	o.AsOf = asOf.In(time.FixedZone("", 3600))
	if again := sum(o); again != first {
		t.Error("the same options gave other rows")
	}
	o.Seed = 8
	if other := sum(o); other == first {
		t.Error("another seed gave the same rows")
	}
}

func TestGenerateStops(t *testing.T) {
	for range sample.Generate(sample.Options{AsOf: asOf}) {
		break
	}
}

func TestFillSQLite(t *testing.T) {
	o := sample.Options{Facts: 2000, AsOf: asOf, Seed: 1, VectorDimension: 8}
	db := filled(t, o)

	for rows := range sample.Generate(o) {
		if got := count(t, db, "SELECT count(*) FROM "+rows.Table); got != len(rows.Values) {
			t.Errorf("%s has %d rows, want %d", rows.Table, got, len(rows.Values))
		}
	}
	if n := count(t, db, "SELECT count(*) FROM pragma_foreign_key_check"); n != 0 {
		t.Errorf("%d rows violate a foreign key", n)
	}
	if n := count(t, db, "SELECT count(*) FROM facts_fts"); n != o.Facts {
		t.Errorf("%d facts in the full-text index, want %d", n, o.Facts)
	}
	if n := count(t, db, "SELECT count(*) FROM facts_fts WHERE facts_fts MATCH 'zurich'"); n == 0 {
		t.Error("the full-text index does not find Zürich as zurich")
	}
	var check, mode string
	if err := db.QueryRow("PRAGMA integrity_check").Scan(&check); err != nil || check != "ok" {
		t.Errorf("integrity check: %s, %v", check, err)
	}
	if err := db.QueryRow("PRAGMA journal_mode").Scan(&mode); err != nil || mode != "wal" {
		t.Errorf("journal mode %q, %v", mode, err)
	}
	var distance float64
	err := db.QueryRow(`SELECT distance FROM vec_facts
		WHERE embedding MATCH (SELECT embedding FROM vec_facts LIMIT 1) AND k = 1`).Scan(&distance)
	if err != nil || distance != 0 {
		t.Errorf("distance of a vector to itself: %v, %v", distance, err)
	}
}

// A fill drops indexes for speed; none may be missing afterwards.
func TestFillSQLiteKeepsTheSchema(t *testing.T) {
	schema := func(db *sql.DB) (all []string) {
		rows, err := db.Query("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY type, name")
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		for rows.Next() {
			var text string
			if err := rows.Scan(&text); err != nil {
				t.Fatal(err)
			}
			all = append(all, text)
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		return all
	}
	empty := filepath.Join(t.TempDir(), "empty.db")
	if err := sample.CreateSQLite(t.Context(), empty); err != nil {
		t.Fatal(err)
	}
	db := filled(t, sample.Options{Facts: 100, AsOf: asOf})
	if diff := cmp.Diff(schema(opened(t, empty)), schema(db)); diff != "" {
		t.Errorf("schema before and after (-before +after):\n%s", diff)
	}
}

func TestFillSQLiteTwiceChangesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "stigmem.db")
	o := sample.Options{Facts: 50, AsOf: asOf}
	if err := sample.CreateSQLite(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	if err := sample.FillSQLite(t.Context(), path, o); err != nil {
		t.Fatal(err)
	}
	if err := sample.FillSQLite(t.Context(), path, o); err == nil {
		t.Error("filling it again with the same rows is no error")
	}
	db := opened(t, path)
	if n := count(t, db, "SELECT count(*) FROM facts"); n != 50 {
		t.Errorf("%d facts, want 50", n)
	}
	if n := count(t, db, "SELECT count(*) FROM sqlite_schema WHERE name = 'idx_scope'"); n != 1 {
		t.Error("the indexes are gone")
	}
	var mode string
	if err := db.QueryRow("PRAGMA journal_mode").Scan(&mode); err != nil || mode != "wal" {
		t.Errorf("journal mode %q, %v", mode, err)
	}
}
