package storetest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"decayctl/internal/store/sample"
)

// Stores without facts. Most tests need one, and with the race detector a copy takes a tenth of the time.
var emptyNewest, emptyOlder = sync.OnceValues(bytesOf(sample.CreateSQLite)), sync.OnceValues(bytesOf(sample.CreateOlderSQLite))

func bytesOf(create func(ctx context.Context, path string) error) func() ([]byte, error) {
	return func() (content []byte, err error) {
		folder, err := os.MkdirTemp("", "storetest-")
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
		path := filepath.Join(folder, "stigmem.db")
		if err := create(context.Background(), path); err != nil {
			return nil, err
		}
		return os.ReadFile(path)
	}
}

// CreateSQLite creates a store without facts, as sample.CreateSQLite does.
func CreateSQLite(t testing.TB, path string) { write(t, path, emptyNewest) }

// CreateOlderSQLite creates a store without facts, as sample.CreateOlderSQLite does.
func CreateOlderSQLite(t testing.TB, path string) { write(t, path, emptyOlder) }

func write(t testing.TB, path string, content func() ([]byte, error)) {
	t.Helper()
	empty, err := content()
	if err == nil {
		err = os.WriteFile(path, empty, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// NewSQLite creates a SQLite fact store in its own folder and connects the test to it. If fill is not nil, it is called before
// the store is opened.
func NewSQLite(t testing.TB, fill func(path string) error) (d Database, path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "stigmem.db")
	CreateSQLite(t, path)
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
