package storetest

import (
	"context"
	"path/filepath"
	"testing"

	"decayctl/internal/store/sample"
)

// NewSQLite creates a SQLite fact store in its own folder and connects the test to it. If fill is not nil, it is called before
// the store is opened.
func NewSQLite(t testing.TB, fill func(path string) error) (d Database, path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "stigmem.db")
	if err := sample.CreateSQLite(context.Background(), path); err != nil {
		t.Fatal(err)
	}
	if fill != nil {
		if err := fill(path); err != nil {
			t.Fatal(err)
		}
	}
	db, err := sample.OpenSQLite(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return Database{SQL: db}, path
}
