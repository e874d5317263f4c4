package postgres_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"decayctl/internal/fact"
	"decayctl/internal/job"
	"decayctl/internal/rule"
	"decayctl/internal/store"
	"decayctl/internal/store/pgtest"
	"decayctl/internal/store/postgres"
	"decayctl/internal/store/storetest"
	"decayctl/internal/sweep"
)

// TestLockedFactIsSkipped: a fact that another session keeps locked is skipped and named, and all others are expired.
// If a table is kept locked, the sweep ends.
func TestLockedFactIsSkipped(t *testing.T) {
	t.Parallel()
	cluster := pgtest.Start(t)
	for name, test := range map[string]struct {
		lock    string
		decayed int64
		failed  []string
	}{
		"a row": {"INSERT INTO fact_validity_overrides (fact_id, updated_at) VALUES ('07', 'x')", 39, []string{"07"}},
		// What is left of a batch behind the first row holds the second, and others that no process has locked.
		"two rows": {"INSERT INTO fact_validity_overrides (fact_id, updated_at) VALUES ('02', 'x'), ('04', 'x')", 38, []string{"02", "04"}},
		"a table":  {"LOCK TABLE fact_validity_overrides IN SHARE MODE", 0, []string{"00"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := cluster.NewDatabase(t, pgtest.DatabaseOptions{})
			d := database(t, db, db.URL)
			for i := range 40 {
				d.Insert(t, storetest.Fact(fmt.Sprintf("%02d", i)))
			}
			s, err := postgres.Open(t.Context(), db.URL, "public", store.OpenParams{LockTimeout: 20 * time.Millisecond, Now: time.Now})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = s.Close() })
			if err := s.Prepare(t.Context()); err != nil {
				t.Fatal(err)
			}
			tx, err := d.SQL.BeginTx(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = tx.Rollback() }()
			if _, err := tx.ExecContext(t.Context(), test.lock); err != nil {
				t.Fatal(err)
			}
			floor := rule.Floor(0.5)
			j, err := storetest.Sweep(context.Background(), storetest.Engine(s), store.StartParams{Rules: rule.Set{Floor: &floor}, AsOf: storetest.AsOf}, sweep.Work{})
			var failed []string
			for _, f := range j.Counts.Failed {
				failed = append(failed, f.FactID)
			}
			if j.State != job.Failed || j.Counts.Decayed != test.decayed || !slices.Equal(failed, test.failed) || store.Is(err, store.Busy) != (test.decayed == 0) {
				t.Errorf("%s, expired %d, failed %+v, %v", j.State, j.Counts.Decayed, j.Counts.Failed, err)
			}
		})
	}
}

// TestDeadlockIsRetried: another session locks the rows of a batch in the opposite order. The server ends the sweep's
// transaction, the sweep repeats it, and no error is reported.
func TestDeadlockIsRetried(t *testing.T) {
	t.Parallel()
	db := pgtest.Start(t).NewDatabase(t, pgtest.DatabaseOptions{})
	d := database(t, db, db.URL)
	overridden := storetest.Overridden(fact.Override{UpdatedAt: "x"})
	d.Insert(t, storetest.Fact("a", overridden), storetest.Fact("b", overridden))
	s, err := open(t, db.URL, "public", false)
	if err != nil {
		t.Fatal(err)
	}
	other, err := d.SQL.BeginTx(context.Background(), nil)
	if err != nil {
		t.Fatal(err)
	}
	// Whoever has waited for deadlock_timeout looks for one, and ends itself.
	if _, err := other.ExecContext(context.Background(), "SET LOCAL deadlock_timeout = '10min'"); err != nil {
		t.Fatal(err)
	}
	const lock = "SELECT 1 FROM fact_validity_overrides WHERE fact_id = $1 FOR UPDATE"
	if _, err := other.ExecContext(context.Background(), lock, "b"); err != nil {
		t.Fatal(err)
	}
	var both sync.WaitGroup
	both.Go(func() {
		if got := run(t, s, nil, false); got.Decayed != 2 || got.Retries == 0 {
			t.Errorf("expired %d in %d retries", got.Decayed, got.Retries)
		}
	})
	// The sweep holds a and waits for b.
	storetest.Await(func() bool {
		return len(d.Rows(t, "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()")) > 0
	})
	if _, err := other.ExecContext(context.Background(), lock, "a"); err != nil {
		t.Errorf("the other session was ended: %v", err)
	}
	if err := other.Rollback(); err != nil {
		t.Error(err)
	}
	both.Wait()
}
