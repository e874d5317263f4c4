package sqlite_test

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"decayctl/internal/store"
	"decayctl/internal/store/sqlite"
	"decayctl/internal/store/storetest"
)

// opens opens a store, and closes it again.
func opens(path string, readOnly bool) error {
	s, err := sqlite.Open(context.Background(), path, store.OpenParams{ReadOnly: readOnly, LockTimeout: time.Minute, Now: time.Now})
	if err == nil {
		err = s.Close()
	}
	return err
}

// TestHotJournal: a process ended during a write, and left a rollback journal. A dry run cannot roll back, and says
// what can. A sweep rolls back.
func TestHotJournal(t *testing.T) {
	t.Parallel()
	file, d := journalled(t)
	conn, err := d.SQL.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{
		"PRAGMA cache_size = 1", "BEGIN IMMEDIATE",
		`INSERT INTO node_meta (key, value) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) SELECT 'half ' || i, i FROM n`,
	} {
		if _, err := conn.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	path := leftBeside(t, file, "-journal")
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	before := folder(t, path)
	if err := opens(path, true); !store.Is(err, store.Unusable) || !strings.Contains(err.Error(), "a write to the store was interrupted") || !strings.Contains(err.Error(), path+"-journal") {
		t.Errorf("reading: %v", err)
	}
	if folder(t, path) != before {
		t.Error("reading changed the folder")
	}
	if got := run(t, open(t, path, false), false); got.Decayed != 2 {
		t.Errorf("expired %d", got.Decayed)
	}
	after := database(t, path)
	if rows := after.Rows(t, "SELECT count(*) FROM node_meta WHERE key LIKE 'half %'"); rows[0] != "0" {
		t.Errorf("%s rows of the write that was interrupted", rows[0])
	}
	if err := opens(path, true); err != nil {
		t.Errorf("reading afterwards: %v", err)
	}
}

// TestLongPath: SQLite allows paths of 512 bytes with the names of its side files, and a file system names of 255
// bytes.
func TestLongPath(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		return // which takes longer ones
	}
	for name, c := range map[string]struct {
		path             string
		readable, usable bool
	}{
		"path that just fits":            {path: filepath.Join(strings.Repeat("d", 230), strings.Repeat("e", 200)), readable: true, usable: true},
		"path that is too long":          {path: filepath.Join(strings.Repeat("d", 200), strings.Repeat("e", 200), strings.Repeat("f", 200))},
		"name without room for -wal":     {path: strings.Repeat("n", 252), readable: true},
		"name without room for -journal": {path: strings.Repeat("n", 251), readable: true, usable: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := newFile(t)
			d := database(t, file)
			d.Insert(t, storetest.Fact("a"))
			if err := d.SQL.Close(); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(t.TempDir(), c.path)
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if name == "path that just fits" {
				path += strings.Repeat("x", 512-len("-journal")-len(path))
			}
			if err := os.Rename(file, path); err != nil {
				t.Fatal(err)
			}
			for readOnly, right := range map[bool]bool{true: c.readable, false: c.usable} {
				err := opens(path, readOnly)
				if right && err != nil || !right && (!store.Is(err, store.Unusable) || !strings.Contains(err.Error(), "too long")) {
					t.Errorf("read-only %t: %v", readOnly, err)
				}
			}
		})
	}
}
