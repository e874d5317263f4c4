package sqlite_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"decayctl/internal/fact"
	"decayctl/internal/job"
	"decayctl/internal/rule"
	"decayctl/internal/store"
	"decayctl/internal/store/sample"
	"decayctl/internal/store/sqlite"
	"decayctl/internal/store/storetest"
	"decayctl/internal/sweep"
)

var (
	asOf  = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	floor = rule.Floor(0.5)
	weak  = rule.Set{Floor: &floor}
)

func open(t testing.TB, path string, readOnly bool) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(context.Background(), path, store.OpenParams{ReadOnly: readOnly, LockTimeout: time.Minute, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func run(t testing.TB, s store.Store, dryRun bool) job.Counts {
	t.Helper()
	if dryRun {
		result, err := storetest.Engine(s).Preview(context.Background(), sweep.Params{Rules: weak, AsOf: asOf})
		if err != nil {
			t.Fatal(err)
		}
		return result.Counts
	}
	j, err := storetest.Sweep(context.Background(), storetest.Engine(s), store.StartParams{Rules: weak, AsOf: asOf}, sweep.Work{})
	if err != nil {
		t.Fatal(err)
	}
	return j.Counts
}

// journalled makes a store with a rollback journal, as hand-made copies have it, and two facts.
func journalled(t testing.TB) (string, storetest.Database) {
	t.Helper()
	path := newFile(t)
	d := database(t, path)
	d.Exec(t, "PRAGMA journal_mode = DELETE")
	d.Insert(t, storetest.Fact("a"), storetest.Fact("b"))
	return path, d
}

func TestJournalModeStays(t *testing.T) {
	t.Parallel()
	path, d := journalled(t)
	if got := run(t, open(t, path, true), true); got.Selected != 2 {
		t.Errorf("the dry run selected %d", got.Selected)
	}
	if got := run(t, open(t, path, false), false); got.Decayed != 2 {
		t.Errorf("the sweep expired %d", got.Decayed)
	}
	if mode := d.Rows(t, "PRAGMA journal_mode"); mode[0] != "delete" {
		t.Errorf("journal mode is now %s", mode)
	}
}

// TestReadersBlockWritersWithoutWAL: with a rollback journal, a transaction that reads keeps other processes from
// committing. In WAL mode it does not.
func TestReadersBlockWritersWithoutWAL(t *testing.T) {
	t.Parallel()
	withJournal, _ := journalled(t)
	if open(t, withJournal, false).Tuning().ReadersDontBlockWriters || !open(t, newFile(t), false).Tuning().ReadersDontBlockWriters {
		t.Error("without a write-ahead log readers block writers")
	}
}

// TestChangeDuringALockFreeRead: a dry run that reads without locks notices that the file changed, and reads again with
// locks.
func TestChangeDuringALockFreeRead(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(t *testing.T, path string, d storetest.Database){
		"a commit": func(t *testing.T, _ string, d storetest.Database) { d.Insert(t, storetest.Fact("c")) },
		"a log appears": func(t *testing.T, _ string, d storetest.Database) {
			d.Exec(t, "PRAGMA journal_mode = WAL")
			d.Insert(t, storetest.Fact("c"))
		},
		"another file": func(t *testing.T, path string, d storetest.Database) { replace(t, path, d) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path, d := journalled(t)
			s := &changing{Store: open(t, path, true), change: func() { change(t, path, d) }}
			if got := run(t, s, true); got.Selected != 3 || s.passes != 2 {
				t.Errorf("selected %d in %d passes, want 3 in the second", got.Selected, s.passes)
			}
		})
	}
}

// changing changes the store while it is read for the first time.
type changing struct {
	*sqlite.Store
	change func()
	passes int
}

func (c *changing) ScanAll(ctx context.Context, p store.CandidatesParams, use func([]fact.Candidate, int) error) (store.Range, bool, error) {
	c.passes++
	return c.Store.ScanAll(ctx, p, func(found []fact.Candidate, covered int) error {
		if c.change != nil {
			c.change()
			c.change = nil
		}
		return use(found, covered)
	})
}

// replace puts another database in the file's place, as a restore does.
func replace(t *testing.T, path string, d storetest.Database) {
	t.Helper()
	other := filepath.Join(t.TempDir(), "other.db")
	d.Exec(t, "VACUUM INTO $1", other)
	otherDB := database(t, other)
	otherDB.Insert(t, storetest.Fact("c"))
	otherDB.Exec(t, "PRAGMA journal_mode = DELETE")
	if err := os.Rename(other, path); err != nil {
		t.Fatal(err)
	}
}

// TestWriterClosesDuringALockFreeRead: a process opens the file of a dry run, writes, and closes it. No side file is
// left.
func TestWriterClosesDuringALockFreeRead(t *testing.T) {
	t.Parallel()
	path := newFile(t)
	write := func(facts ...fact.Candidate) {
		d := database(t, path)
		d.Insert(t, facts...)
		if err := d.SQL.Close(); err != nil {
			t.Error(err)
		}
	}
	write(storetest.Fact("a"))
	s := &changing{Store: open(t, path, true), change: func() { write(storetest.Fact("b")) }}
	if got := run(t, s, true); got.Selected != 2 || s.passes != 2 {
		t.Errorf("selected %d in %d passes, want 2 in the second", got.Selected, s.passes)
	}
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestLeftWALChangesDuringALockFreeRead: a node starts and writes while a dry run reads the WAL that was left behind.
func TestLeftWALChangesDuringALockFreeRead(t *testing.T) {
	t.Parallel()
	file := newFile(t)
	database(t, file).Insert(t, storetest.Fact("a"), storetest.Fact("b"))
	path := leftLog(t, file)
	s := &changing{Store: open(t, path, true), change: func() { database(t, path).Insert(t, storetest.Fact("c")) }}
	if got := run(t, s, true); got.Selected != 3 || s.passes != 2 {
		t.Errorf("selected %d in %d passes, want 3 in the second", got.Selected, s.passes)
	}
}

// TestDryRunChangesNoByte: the folder is the same before and after, in both journal modes, and with a WAL that was left
// behind.
func TestDryRunChangesNoByte(t *testing.T) {
	t.Parallel()
	closed := func(t *testing.T, path string, d storetest.Database) string {
		t.Helper()
		d.Insert(t, storetest.Fact("a"))
		if err := d.SQL.Close(); err != nil { // the last one out takes the log along
			t.Fatal(err)
		}
		return path
	}
	for name, leave := range map[string]func(t *testing.T, path string, d storetest.Database) string{
		"no log": closed,
		"rollback journal": func(t *testing.T, path string, d storetest.Database) string {
			d.Exec(t, "PRAGMA journal_mode = DELETE")
			return closed(t, path, d)
		},
		"a log": func(t *testing.T, path string, d storetest.Database) string {
			d.Exec(t, "PRAGMA wal_checkpoint(TRUNCATE)")
			d.Insert(t, storetest.Fact("a"))
			return leftLog(t, path)
		},
		"a log with nothing in it": func(t *testing.T, path string, d storetest.Database) string {
			path = closed(t, path, d)
			if err := os.WriteFile(path+"-wal", make([]byte, 5000), 0o600); err != nil {
				t.Fatal(err)
			}
			return path
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := newFile(t)
			path := leave(t, file, database(t, file))
			before := folder(t, path)
			s := open(t, path, true)
			if got := run(t, s, true); got.Selected != 1 {
				t.Errorf("selected %d", got.Selected)
			}
			during := folder(t, path)
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			if after := folder(t, path); before != after || before != during {
				t.Error("the folder changed")
			}
		})
	}
}

// leftLog is a copy of a store and its log, as the end of a process leaves them: without the index of the log.
func leftLog(t *testing.T, path string) string {
	t.Helper()
	return leftBeside(t, path, "-wal")
}

// leftBeside is a copy of a store and of a file beside it.
func leftBeside(t *testing.T, path, side string) string {
	t.Helper()
	left := filepath.Join(t.TempDir(), "left.db")
	for _, suffix := range []string{"", side} {
		content, err := os.ReadFile(path + suffix)
		if err != nil || len(content) == 0 {
			t.Fatal(len(content), err)
		}
		if err := os.WriteFile(left+suffix, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return left
}

func folder(t testing.TB, path string) string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	var all bytes.Buffer
	for _, entry := range entries {
		content, err := os.ReadFile(filepath.Join(filepath.Dir(path), entry.Name()))
		if err != nil {
			t.Fatal(err)
		}
		info, err := entry.Info()
		if err != nil {
			t.Fatal(err)
		}
		all.WriteString(entry.Name() + info.Mode().String() + info.ModTime().String())
		all.Write(content)
	}
	return all.String()
}

func TestOddPaths(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"a b.db", "a?mode=memory.db", "a#b.db", "a%20b.db", "a&b=c.db", "ä\n.db", "-.db", "file:x.db"} {
		path := filepath.Join(t.TempDir(), name)
		if err := sample.CreateSQLite(context.Background(), filepath.Join(filepath.Dir(path), "plain.db")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(filepath.Dir(path), "plain.db"), path); err != nil {
			t.Fatal(err)
		}
		link := filepath.Join(t.TempDir(), "link.db")
		if err := os.Symlink(path, link); err != nil {
			t.Fatal(err)
		}
		for _, p := range []string{path, link} {
			for _, readOnly := range []bool{true, false} {
				if got := run(t, open(t, p, readOnly), readOnly); got.Examined != 0 {
					t.Errorf("%q: %d facts", p, got.Examined)
				}
			}
		}
		if entries, err := os.ReadDir(filepath.Dir(link)); err != nil || len(entries) != 1 {
			t.Errorf("%q: beside the link there is now %v, %v", name, entries, err)
		}
	}
}

// TestIDsThatAreNoText: a PRIMARY KEY on TEXT allows ids and stamps that are not text.
func TestIDsThatAreNoText(t *testing.T) {
	t.Parallel()
	path := newFile(t)
	d := database(t, path)
	d.Insert(t, storetest.Fact("a"), storetest.Fact("not \xff utf-8"), storetest.Fact("nul \x00 inside"))
	for _, id := range []any{nil, []byte("blob")} {
		d.Exec(t, `INSERT INTO facts (id, entity, relation, value_type, value_v, source, timestamp, confidence, scope)
			VALUES ($1, 'e', 'r', 'string', 'v', 's', '2026-01-01', 0.3, 'local')`, id)
	}
	d.Exec(t, `INSERT INTO facts (id, entity, relation, value_type, value_v, source, timestamp, valid_until, confidence, scope)
		VALUES ('stamps', x'65', x'72', 'string', 'v', 's', x'323032362d30312d3031', x'323033302d30312d3031', 0.3, 'local')`)
	got := run(t, open(t, path, false), false)
	if got.Examined != 4 || got.Decayed != 4 {
		t.Errorf("examined %d and expired %d of the four facts whose ids are text", got.Examined, got.Decayed)
	}
	if rows := d.Rows(t, "SELECT count(*) FROM fact_validity_overrides o JOIN facts f ON f.id = o.fact_id"); rows[0] != "4" {
		t.Errorf("%s overrides", rows[0])
	}
}

// TestUTF16IsRefused: ids are passed as UTF-8, and would match none in a database in UTF-16.
func TestUTF16IsRefused(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "utf16.db")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	db, err := sample.OpenSQLite(path)
	if err != nil {
		t.Fatal(err)
	}
	d := storetest.Database{SQL: db}
	d.Exec(t, "PRAGMA encoding = 'UTF-16le'; CREATE TABLE facts (id TEXT)")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = sqlite.Open(context.Background(), path, store.OpenParams{ReadOnly: true, Now: time.Now})
	if !store.Is(err, store.Unusable) || !strings.Contains(err.Error(), "UTF-16le") {
		t.Errorf("got %v", err)
	}
}
