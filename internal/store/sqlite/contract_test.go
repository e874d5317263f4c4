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
	storetest.CreateSQLite(t, path)
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
		create func(t testing.TB, path string)
		form   func(testing.TB, storetest.Database)
	}{
		{"the newest node", storetest.CreateSQLite, nil},
		{"an older node, and tables in another form", storetest.CreateOlderSQLite, reform},
	} {
		t.Run(node.name, func(t *testing.T) {
			t.Parallel()
			storetest.Exercise(t, func(t *testing.T) storetest.Database {
				t.Helper()
				path := filepath.Join(t.TempDir(), "stigmem.db")
				node.create(t, path)
				d := database(t, path)
				if node.form != nil {
					node.form(t, d)
				}
				return d
			})
		})
	}
}

func TestOwnTablesLost(t *testing.T) {
	t.Parallel()
	storetest.ExerciseOwnLost(t, database(t, newFile(t)))
}

// reform gives the tables what they may have unlike the node's: STRICT, WITHOUT ROWID where rows are not found by number,
// and columns that decayctl does not know.
func reform(t testing.TB, d storetest.Database) {
	t.Helper()
	for table, form := range map[string][]string{ // what follows the columns, and the table
		"facts":                   {" STRICT", "ALTER TABLE facts ADD COLUMN tomorrow TEXT NOT NULL DEFAULT 'x'"},
		"fact_validity_overrides": {" STRICT", "ALTER TABLE fact_validity_overrides ADD COLUMN tomorrow TEXT"},
		"fact_quarantine_status":  {" STRICT", ""},
		"tombstones":              {" STRICT", ""},
		"tombstone_revocations":   {" STRICT, WITHOUT ROWID", ""},
		"fact_retractions":        {" STRICT, WITHOUT ROWID", ""},
		"entity_edges":            {" STRICT, WITHOUT ROWID", ""},
		"jobs":                    {" STRICT, WITHOUT ROWID", "ALTER TABLE jobs ADD COLUMN tomorrow INTEGER NOT NULL DEFAULT 7"},
		"memory_cards":            {" STRICT, WITHOUT ROWID", ""},
	} {
		remake(t, d, table, func(ddl string) string { return ddl + form[0] })
		d.Exec(t, form[1])
	}
}
