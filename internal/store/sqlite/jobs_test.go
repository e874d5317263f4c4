package sqlite_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"decayctl/internal/job"
	"decayctl/internal/store"
	"decayctl/internal/store/sqlite"
	"decayctl/internal/store/storetest"
	"decayctl/internal/sweep"
)

// TestTransactionAfterAnInterruption: an interrupted sweep leaves its job at once, on the connection on which its batch
// is being rolled back.
func TestTransactionAfterAnInterruption(t *testing.T) {
	t.Parallel()
	path := newFile(t)
	d := database(t, path)
	d.Insert(t, storetest.Fact("a"))
	s, ctx := open(t, path, false), context.Background()
	if err := s.Prepare(ctx); err != nil {
		t.Fatal(err)
	}
	joined, err := s.Start(ctx, store.StartParams{ID: "one", Rules: weak, Worker: storetest.Worker("mars", 1)})
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		interrupted, interrupt := context.WithCancel(ctx)
		stop := make(chan struct{})
		go func() {
			for interrupted.Err() == nil {
				_ = s.ClearMaxExpire(interrupted, joined.Lease)
			}
			close(stop)
		}()
		interrupt()
		for range 5 {
			if err := s.Renew(ctx, joined.Lease); err != nil {
				t.Fatal(err)
			}
		}
		<-stop
	}
}

// TestSchemaChangesOnce: other processes see one change of the schema. SQLite refuses a node's statement with "vtable
// constructor failed: facts_fts" if the schema changes twice while the statement is compiled.
func TestSchemaChangesOnce(t *testing.T) {
	t.Parallel()
	path := newFile(t)
	d := database(t, path)
	s := open(t, path, false)
	schema := func() string { return d.Rows(t, "PRAGMA schema_version")[0] }
	before, during := schema(), []string{}
	s.Watch(func(_ sqlite.Querier, query string) {
		if strings.Contains(query, "CREATE ") {
			during = append(during, schema())
		}
	})
	if err := s.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(during, []string{before}) || schema() == before {
		t.Errorf("the schema was at version %s, at %v when it was to be changed, and is at %s", before, during, schema())
	}
}

// TestPrepareReportsALock: if a store without decayctl's own tables is locked, Prepare waits for the lock once and
// reports it.
func TestPrepareReportsALock(t *testing.T) {
	t.Parallel()
	path := newFile(t)
	d := database(t, path)
	s, err := sqlite.Open(context.Background(), path, store.OpenParams{LockTimeout: time.Millisecond, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	release := d.Lock(t, "")
	if err := s.Prepare(context.Background()); !store.Is(err, store.Busy) {
		t.Errorf("got %v", err)
	}
	release()
	if err := s.Prepare(context.Background()); err != nil {
		t.Error(err)
	}
}

// TestEdgeWithATextEpoch: SQLite stores any text in a column of integers. That must not keep a fact from expiring.
func TestEdgeWithATextEpoch(t *testing.T) {
	t.Parallel()
	path := newFile(t)
	d := database(t, path)
	d.Insert(t, storetest.Fact("a"))
	d.Edge(t, "a", nil)
	d.Exec(t, "UPDATE entity_edges SET decay_epoch = 'soon'")
	if got := run(t, open(t, path, false), false); got.Decayed != 1 {
		t.Errorf("expired %d", got.Decayed)
	}
	if rows := d.Rows(t, "SELECT decay_epoch FROM entity_edges"); !slices.Equal(rows, []string{"1795435200000"}) {
		t.Errorf("the epoch is now %v", rows)
	}
}

// TestBeforeImagesArePrunedInParts: before-images that one transaction does not remove are removed after their job.
func TestBeforeImagesArePrunedInParts(t *testing.T) {
	t.Parallel()
	path := newFile(t)
	d := database(t, path)
	d.Insert(t, storetest.Fact("a"))
	s, ctx := open(t, path, false), context.Background()
	j, err := storetest.Sweep(ctx, storetest.Engine(s), store.StartParams{Rules: weak, AsOf: asOf}, sweep.Work{})
	if err != nil {
		t.Fatal(err)
	}
	const images = `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 45000)
		INSERT INTO decayctl_before (job_id, fact_id, had_override, had_edge) SELECT $1, i, 0, 0 FROM n`
	d.Exec(t, images, j.ID)
	d.Exec(t, images, "pruned by one who was killed")
	if n, err := storetest.Prune(ctx, s, j.Completed.Add(time.Second)); err != nil || n != 1 {
		t.Errorf("pruned %d, %v", n, err)
	}
	if rows := d.Rows(t, "SELECT count(*) FROM decayctl_before"); rows[0] != "0" {
		t.Errorf("%s before-images left", rows[0])
	}
	var unknown *job.Unknown
	if _, err := s.Find(ctx, j.ID); !errors.As(err, &unknown) || unknown.PrunedBefore.IsZero() {
		t.Errorf("found: %v", err)
	}
}
