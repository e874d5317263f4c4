package postgres_test

import (
	"context"
	"database/sql"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"decayctl/internal/fact"
	"decayctl/internal/store"
	"decayctl/internal/store/pgtest"
	"decayctl/internal/store/postgres"
	"decayctl/internal/store/storetest"
)

// lockable is a store of one fact, and a transaction that keeps something locked by a statement.
func lockable(t *testing.T, statement string, patience time.Duration) (s store.Store, d storetest.Database, tx *sql.Tx) {
	t.Helper()
	db := pgtest.Start(t).NewDatabase(t, pgtest.DatabaseOptions{})
	d = database(t, db, db.URL)
	d.Insert(t, storetest.Fact("a"))
	s, err := postgres.Open(t.Context(), db.URL, "public", store.OpenParams{LockTimeout: patience, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if tx, err = d.SQL.BeginTx(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tx.Rollback() })
	if _, err := tx.ExecContext(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
	return s, d, tx
}

var everything = store.CandidatesParams{AsOf: storetest.AsOf, Prefilter: store.Prefilter{Live: true}}

// TestLockedProtectionsAreWaitedFor: the tables of protections may be locked while facts are read.
func TestLockedProtectionsAreWaitedFor(t *testing.T) {
	t.Parallel()
	s, _, _ := lockable(t, "LOCK TABLE tombstone_revocations IN ACCESS EXCLUSIVE MODE", 20*time.Millisecond)
	p := everything
	p.Range = store.Range{Last: store.After("a"), Facts: 1}
	if found, err := storetest.Candidates(t.Context(), s, p); !store.Is(err, store.Busy) {
		t.Errorf("%+v, %v", found, err)
	}
}

// TestPartsAreHandedOverOnce: if the receiver of facts waits for a lock in vain, the facts are not handed over again.
func TestPartsAreHandedOverOnce(t *testing.T) {
	t.Parallel()
	s, _, _ := lockable(t, "SELECT 1", time.Minute)
	busy := &store.Error{Kind: store.Busy, Text: "locked", Err: &pgconn.PgError{Code: "55P03"}}
	parts := 0
	if _, _, err := s.ScanAll(t.Context(), everything, func([]fact.Candidate, int) error { parts++; return busy }); !store.Is(err, store.Busy) || parts != 1 {
		t.Errorf("%d parts, %v", parts, err)
	}
}

// TestPartsAreHandedOverOnceIfToastIsLocked: the TOAST table may be locked while rows are read. Facts are not handed
// over twice: a fact would take two places of keep_last.
func TestPartsAreHandedOverOnceIfToastIsLocked(t *testing.T) {
	t.Parallel()
	s, d, _ := lockable(t, "SELECT 1", 500*time.Millisecond)
	d.Insert(t, storetest.Fact("b", func(c *fact.Candidate) { c.Entity, c.Source = "long", strings.Repeat("long", 1_000) }))
	d.Exec(t, "ALTER TABLE facts ALTER source SET STORAGE EXTERNAL")
	d.Exec(t, "UPDATE facts SET source = source || ''")
	tx, err := d.SQL.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	toast := d.Rows(t, "SELECT reltoastrelid::regclass::text FROM pg_class WHERE oid = 'facts'::regclass")[0]
	if _, err := tx.ExecContext(t.Context(), "REINDEX TABLE "+toast); err != nil {
		t.Fatal(err)
	}
	var groups []store.Group
	for _, id := range []string{"a", "b"} {
		for _, row := range d.Rows(t, "SELECT entity || '|' || relation || '|' || scope || '|' || tenant_id FROM facts WHERE id = $1", id) {
			of := strings.Split(row, "|")
			groups = append(groups, store.Group{Entity: of[0], Relation: of[1], Scope: of[2], Tenant: of[3]})
		}
	}
	given := 0
	if err := s.Groups(t.Context(), groups, func(fact.Candidate) { given++ }); !store.Is(err, store.Busy) || given > 1 {
		t.Errorf("%d facts, %v", given, err)
	}
}

// TestScanAllSeesOneSnapshot: facts that are inserted during the scan are neither counted nor handed over.
func TestScanAllSeesOneSnapshot(t *testing.T) {
	t.Parallel()
	// Indexes are not locked with their tables: these are waited for after the facts are counted, and before they are given.
	s, d, tx := lockable(t, "REINDEX TABLE tombstones", time.Minute)
	given, done := 0, make(chan error, 1)
	var seen store.Range
	go func() {
		var err error
		seen, _, err = s.ScanAll(context.Background(), everything, func(part []fact.Candidate, _ int) error {
			given += len(part)
			return nil
		})
		done <- err
	}()
	storetest.Await(func() bool {
		select {
		case err := <-done:
			t.Fatal("it did not wait:", err)
		default:
		}
		return d.Rows(t, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")[0] != "0"
	})
	d.Insert(t, storetest.Fact("b"))
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil || given != 1 || seen.Facts != 1 || seen.Last != store.After("a") {
		t.Errorf("saw %+v, was given %d, %v", seen, given, err)
	}
}
