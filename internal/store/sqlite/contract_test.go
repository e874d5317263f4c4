package sqlite_test

import (
	"context"
	"path/filepath"
	"testing"

	"decayctl/internal/store"
	"decayctl/internal/store/sample"
	"decayctl/internal/store/sqlite"
	"decayctl/internal/store/storetest"
)

// newFile makes an empty fact store in a folder of its own.
func newFile(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "stigmem.db")
	if err := sample.CreateSQLite(context.Background(), path); err != nil {
		t.Fatal(err)
	}
	return path
}

// newSample makes a fact store with some facts of a sample, the same every time.
func newSample(t testing.TB, facts int) string {
	t.Helper()
	path := newFile(t)
	if err := sample.FillSQLite(context.Background(), path, sample.Options{Facts: facts, AsOf: asOf, Seed: 1}); err != nil {
		t.Fatal(err)
	}
	return path
}

func database(t testing.TB, path string) storetest.Database {
	t.Helper()
	db, err := sample.OpenSQLite(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return storetest.Database{
		SQL:  db,
		Open: func(p store.OpenParams) (store.Store, error) { return sqlite.Open(context.Background(), path, p) },
		Lock: func(t testing.TB, _ string) func() {
			t.Helper()
			conn, err := db.Conn(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := conn.ExecContext(context.Background(), "BEGIN IMMEDIATE"); err != nil {
				t.Fatal(err)
			}
			return func() {
				if _, err := conn.ExecContext(context.Background(), "ROLLBACK"); err != nil {
					t.Error(err)
				}
				_ = conn.Close()
			}
		},
	}
}

func TestContract(t *testing.T) {
	t.Parallel()
	for _, node := range []struct {
		name   string
		create func(ctx context.Context, path string) error
	}{
		{"the newest node", sample.CreateSQLite},
		{"an older node", sample.CreateOlderSQLite},
	} {
		t.Run(node.name, func(t *testing.T) {
			t.Parallel()
			storetest.Exercise(t, func(t *testing.T) storetest.Database {
				t.Helper()
				path := filepath.Join(t.TempDir(), "stigmem.db")
				if err := node.create(t.Context(), path); err != nil {
					t.Fatal(err)
				}
				return database(t, path)
			})
		})
	}
}
