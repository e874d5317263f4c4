//go:build citus

package postgres_test

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"decayctl/internal/fact"
	"decayctl/internal/store"
	"decayctl/internal/store/pgtest"
	"decayctl/internal/store/postgres"
	"decayctl/internal/store/storetest"
)

// spread is a store on a cluster with a fact and a fresh card in each shard. ids are those of the facts, in the order of shards,
// and of the entities with the cards.
func spread(t *testing.T, cluster *pgtest.Citus, change ...func(*fact.Candidate)) (db *pgtest.Database, d storetest.Database, ids []string) {
	t.Helper()
	db = cluster.NewDatabase(t, pgtest.DistributeStatements(t, page))
	d = database(t, db, db.URL)
	ids = d.Rows(t, `
		SELECT min(lpad(i::text, 2, '0')) FROM generate_series(0, 99) i
		GROUP BY get_shard_id_for_distribution_column('facts', lpad(i::text, 2, '0')) ORDER BY get_shard_id_for_distribution_column('facts', lpad(min(i)::text, 2, '0'))`)
	for _, id := range ids {
		d.Insert(t, storetest.Fact(id, append(change, func(c *fact.Candidate) { c.Entity = id })...))
		d.Card(t, id, "default", "local", 0)
	}
	if len(ids) != 4 {
		t.Fatalf("%q", ids)
	}
	return db, d, ids
}

// lockOn is a transaction that has run some statements.
func lockOn(t *testing.T, d storetest.Database, statements ...string) *sql.Tx {
	t.Helper()
	tx, err := d.SQL.BeginTx(context.Background(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tx.Rollback() })
	execAll(t, tx, statements...)
	return tx
}

func execAll(t *testing.T, tx *sql.Tx, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		if _, err := tx.ExecContext(context.Background(), statement); err != nil {
			t.Errorf("%s: %v", statement, err)
		}
	}
}

func ended(done chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}

// TestCitusBesideOthers: a sweep does not wait for a transaction that has written other rows of the same shards.
func TestCitusBesideOthers(t *testing.T) {
	t.Parallel()
	db, d, ids := spread(t, pgtest.StartCitus(t))
	d.Insert(t, storetest.Fact("kept", func(c *fact.Candidate) { c.Confidence = 1 }, storetest.Overridden(fact.Override{UpdatedAt: "x"})))
	d.Edge(t, "kept", nil)
	d.Edge(t, ids[0], nil)
	d.Card(t, "kept", "default", "local", 0)
	other := lockOn(t, d,
		"UPDATE fact_validity_overrides SET reason = 'x' WHERE fact_id > 'a'", "UPDATE entity_edges SET confidence = 1 WHERE id > 'a'",
		"UPDATE memory_cards SET is_stale = 0 WHERE entity_uri > 'a'", "DELETE FROM fact_retractions WHERE fact_id > 'a'")
	s, err := postgres.Open(t.Context(), db.URL, "public", store.OpenParams{LockTimeout: time.Second, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if err := s.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := run(t, s, nil, false); got.Decayed != 4 || got.Retries != 0 {
		t.Errorf("expired %d in %d retries, %v", got.Decayed, got.Retries, got.Failed)
	}
	if err := other.Commit(); err != nil {
		t.Error(err)
	}
	if stale := d.Rows(t, "SELECT entity_uri FROM memory_cards WHERE is_stale = 1 ORDER BY 1"); !slices.Equal(stale, slices.Sorted(slices.Values(ids))) {
		t.Errorf("stale: %q", stale)
	}
}

// TestCitusCardsInOrder: a batch locks cards in the order of their shards, on whichever nodes these are. Two batches that lock them in
// different orders would wait for each other.
func TestCitusCardsInOrder(t *testing.T) {
	t.Parallel()
	db, d, ids := spread(t, pgtest.StartCitus(t))
	s, err := open(t, db.URL, "public", false)
	if err != nil {
		t.Fatal(err)
	}
	other := lockOn(t, d, "SELECT 1 FROM memory_cards WHERE entity_uri = '"+ids[2]+"' FOR UPDATE")
	swept := make(chan struct{})
	go func() {
		defer close(swept)
		if got := run(t, s, nil, false); got.Decayed != 4 {
			t.Errorf("expired %d, %v", got.Decayed, got.Failed)
		}
	}()
	var free []string
	storetest.Await(func() bool {
		if ended(swept) {
			return true
		}
		if d.Rows(t, "SELECT 1 FROM citus_lock_waits WHERE blocked_statement LIKE '%memory_cards%'") == nil {
			return false
		}
		free = nil
		for _, id := range ids {
			free = append(free, d.Rows(t, "SELECT entity_uri FROM memory_cards WHERE entity_uri = $1 FOR UPDATE SKIP LOCKED", id)...)
		}
		return !slices.Contains(free, ids[0]) // else the batch has just given up, and repeats
	})
	if !slices.Equal(free, ids[3:]) {
		t.Errorf("of %q not locked: %q", ids, free)
	}
	if err := other.Rollback(); err != nil {
		t.Error(err)
	}
	<-swept
}

// TestCitusDeadlock: another session locks rows on two nodes in the opposite order. Citus ends the batch, and decayctl repeats it.
func TestCitusDeadlock(t *testing.T) {
	t.Parallel()
	cluster := pgtest.StartCitus(t)
	db, d, ids := spread(t, cluster, storetest.Overridden(fact.Override{UpdatedAt: "x"}))
	// decayctl waits for a quarter of a second, but Citus looks for deadlocks every 20 ms. Its daemon reads that when it starts, for
	// the next session that begins.
	d.Exec(t, "ALTER DATABASE "+db.Name+" SET deadlock_timeout = '10ms'")
	const daemon = " FROM pg_stat_activity WHERE application_name LIKE 'Citus Maintenance Daemon%' AND datname = current_database()"
	old := d.Rows(t, "SELECT pid"+daemon)
	d.Rows(t, "SELECT pg_terminate_backend(pid)"+daemon)
	storetest.Await(func() bool {
		if err := db.Conn(t).Close(t.Context()); err != nil {
			t.Error(err)
		}
		now := d.Rows(t, "SELECT pid"+daemon)
		return len(now) == 1 && now[0] != old[0]
	})
	s, err := open(t, db.URL+"&deadlock_timeout=1s", "public", false)
	if err != nil {
		t.Fatal(err)
	}
	lock := func(id string) string {
		return fmt.Sprintf("SELECT 1 FROM fact_validity_overrides WHERE fact_id = '%s' FOR UPDATE", id)
	}
	logged := cluster.LogEnd(t)
	other := lockOn(t, d, lock(ids[1]))
	swept := make(chan struct{})
	go func() {
		defer close(swept)
		if got := run(t, s, nil, false); got.Decayed != 4 || got.Retries == 0 {
			t.Errorf("expired %d in %d retries, %v", got.Decayed, got.Retries, got.Failed)
		}
	}()
	storetest.Await(func() bool {
		if ended(swept) {
			t.Error("the sweep ended without a deadlock")
			return true
		}
		if d.Rows(t, "SELECT 1 FROM citus_lock_waits WHERE blocked_statement LIKE '%fact_validity_overrides%'") == nil {
			return false
		}
		execAll(t, other, "SAVEPOINT before", lock(ids[0]), "ROLLBACK TO before")
		log, _ := cluster.Log(t, logged)
		return strings.Contains(log, "distributed deadlock")
	})
	if err := other.Rollback(); err != nil {
		t.Error(err)
	}
	<-swept
}
