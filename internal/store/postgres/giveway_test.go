package postgres_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"decayctl/internal/fact"
	"decayctl/internal/job"
	"decayctl/internal/store"
	"decayctl/internal/store/pgtest"
	"decayctl/internal/store/postgres"
	"decayctl/internal/store/storetest"
	"decayctl/internal/sweep"
)

// TestNodeNeverLosesADeadlock: another session locks the last row of a batch and then waits for the first. It waits
// before decayctl does, so it would find the deadlock and fail. decayctl rolls back earlier. slow is how long the
// database takes between decayctl's two locks, as a part of deadlock_timeout, which is a second.
func TestNodeNeverLosesADeadlock(t *testing.T) {
	t.Parallel()
	cluster := pgtest.Start(t)
	const (
		override = "SELECT 1 FROM fact_validity_overrides WHERE fact_id = 'b' FOR UPDATE"
		edge     = "UPDATE entity_edges SET confidence = 0.2 WHERE id = 'a'"
		card     = "UPDATE memory_cards SET is_stale = 0 WHERE entity_uri = 'stigmem://acme/user/1'"
		insert   = "INSERT INTO fact_validity_overrides (fact_id, updated_at) VALUES ('a', 'x')"
		update   = "UPDATE fact_validity_overrides SET confidence = 0.1 WHERE fact_id = 'a'"
		jobs     = "UPDATE jobs SET error = error WHERE job_type = 'decay'"
		sweeps   = "INSERT"
		undoes   = "DELETE"
	)
	for name, test := range map[string]struct {
		work, slow, locked, next, late string // late is run while decayctl is slow
	}{
		"overrides":            {sweeps, "0.5", override, insert, ""},
		"edges":                {sweeps, "0.5", edge, insert, ""},
		"cards":                {sweeps, "0.5", card, insert, ""},
		"cards, on a slow day": {sweeps, "0.95", card, insert, ""},
		"the node's jobs":      {sweeps, "0.5", "SELECT 1", insert, jobs},
		"an undo's edges":      {undoes, "0.5", edge, update, ""},
		"a slow undo":          {undoes, "0.95", edge, update, ""},
		"an undo's job":        {undoes, "0.5", "SELECT 1", update, jobs},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := cluster.NewDatabase(t, pgtest.DatabaseOptions{})
			d := database(t, db, db.URL)
			d.Insert(t, storetest.Fact("a"), storetest.Fact("b", storetest.Overridden(fact.Override{UpdatedAt: "x"})))
			d.Edge(t, "a", nil)
			d.Card(t, "stigmem://acme/user/1", "default", "local", 0)
			s, err := open(t, db.URL, "public", false)
			if err != nil {
				t.Fatal(err)
			}
			engine := storetest.Engine(s)
			work := func() (job.Job, error) {
				return storetest.Sweep(t.Context(), engine, store.StartParams{Rules: weak, AsOf: asOf}, sweep.Work{})
			}
			if test.work == undoes {
				done, err := work()
				if err != nil {
					t.Fatal(err)
				}
				work = func() (job.Job, error) {
					joined, err := s.Join(t.Context(), store.JoinParams{ID: done.ID, Undo: true, Worker: storetest.Worker("a test", 2)})
					if err != nil {
						return done, err
					}
					return engine.Undo(t.Context(), joined, sweep.Work{Pace: 1})
				}
			}
			d.Exec(t, `CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(`+test.slow+`); RETURN NULL; END'`)
			d.Exec(t, `CREATE TRIGGER slow AFTER `+test.work+` ON fact_validity_overrides FOR EACH STATEMENT WHEN (current_setting('application_name') = 'decayctl') EXECUTE FUNCTION slow()`)
			other, err := d.SQL.BeginTx(context.Background(), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = other.Rollback() }()
			if _, err := other.ExecContext(t.Context(), test.locked); err != nil {
				t.Fatal(err)
			}
			done := make(chan struct{})
			go func() {
				defer close(done)
				if j, err := work(); err != nil || j.Counts.Decayed != 2 || j.Counts.Retries == 0 || test.work == undoes && j.Counts.Restored != 2 {
					t.Errorf("%+v, %v", j, err)
				}
			}()
			storetest.Await(func() bool {
				return d.Rows(t, "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()")[0] != "0"
			})
			if _, err := other.ExecContext(t.Context(), test.late); err != nil {
				t.Error(err)
			}
			if _, err := other.ExecContext(t.Context(), test.next); err != nil {
				t.Errorf("the other session was ended: %v", err)
			}
			if err := other.Rollback(); err != nil {
				t.Error(err)
			}
			<-done
		})
	}
}

// TestWorkersGoOn: a batch that takes long gives way to another program's session that waits for its locks. It does not give way
// to another worker, which gives up by itself: two workers would repeat each other's batches.
func TestWorkersGoOn(t *testing.T) {
	t.Parallel()
	cluster := pgtest.Start(t)
	t.Run("one server", func(t *testing.T) {
		t.Parallel()
		testWorkersGoOn(t, cluster.NewDatabase(t, pgtest.DatabaseOptions{}))
	})
	t.Run("with the statements for a Citus cluster", func(t *testing.T) {
		t.Parallel()
		testWorkersGoOn(t, cluster.NewDatabase(t, pgtest.DatabaseOptions{Schema: "acme", LikeCitus: true}))
	})
}

func testWorkersGoOn(t *testing.T, db *pgtest.Database) {
	t.Helper()
	d := database(t, db, db.URL)
	for _, other := range []struct {
		session, first string
		givenWay       bool
	}{
		{"another program's", "SELECT 1", true},
		{"another worker's", "SELECT 1 FROM decayctl_jobs", false},
	} {
		d.Insert(t, storetest.Fact(other.session))
		var steps atomic.Int64
		var prepared atomic.Bool
		var once sync.Once
		var waits sync.WaitGroup
		s, err := postgres.Open(t.Context(), db.URL, db.Schema, store.OpenParams{LockTimeout: 10 * time.Second, Now: func() time.Time {
			// While a batch has its claim locked, the other session waits for that.
			if prepared.Load() && d.Rows(t, "SELECT 1 FROM decayctl_claims") != nil && d.Rows(t, "SELECT 1 FROM decayctl_claims FOR UPDATE SKIP LOCKED") == nil {
				once.Do(func() {
					waits.Go(func() {
						if _, err := d.SQL.ExecContext(context.Background(), "BEGIN; "+other.first+"; SELECT 1 FROM decayctl_claims FOR UPDATE; COMMIT"); err != nil {
							t.Error(err)
						}
					})
					storetest.Await(func() bool {
						return d.Rows(t, "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()") != nil
					})
				})
			}
			return storetest.AsOf.Add(time.Duration(steps.Add(1)) * time.Second) // each step of a batch takes that long
		}})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Prepare(t.Context()); err != nil {
			t.Fatal(err)
		}
		prepared.Store(true)
		j := run(t, s, nil, false)
		waits.Wait()
		if j.Decayed != 1 || (j.Retries > 0) != other.givenWay {
			t.Errorf("%s session waits: expired %d in %d retries", other.session, j.Decayed, j.Retries)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}
