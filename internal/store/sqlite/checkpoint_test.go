package sqlite_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"decayctl/internal/job"
	"decayctl/internal/store"
	"decayctl/internal/store/sqlite"
	"decayctl/internal/store/storetest"
	"decayctl/internal/sweep"
)

// TestWALStaysSmall: there are no automatic checkpoints, so the WAL must not grow with the sweep, nor because ranges
// are read all the time.
func TestWALStaysSmall(t *testing.T) {
	t.Parallel()
	path, ctx := newSample(t, 10_000), context.Background()
	s, node := openOwn(t, path), database(t, path)
	t.Cleanup(func() { _ = s.Close() })
	node.Exec(t, "CREATE TABLE other_writer (n)")
	largest := int64(0)
	engine := storetest.Engine(s)
	engine.Progress = func(sweep.Progress) {
		node.Exec(t, "INSERT INTO other_writer VALUES (1)")
		if info, err := os.Stat(path + "-wal"); err == nil {
			largest = max(largest, info.Size())
		}
	}
	reading, stop := context.WithCancel(ctx)
	var readers errgroup.Group
	for range 2 {
		readers.Go(func() error {
			for reading.Err() == nil {
				if _, err := storetest.Candidates(ctx, s, store.CandidatesParams{Range: store.Range{Last: store.After("4")}, AsOf: asOf}); err != nil && !store.Is(err, store.TooLong) {
					return err // else the job's tables were made meanwhile
				}
			}
			return nil
		})
	}
	j, err := storetest.Sweep(ctx, engine, store.StartParams{Rules: weak, AsOf: asOf}, sweep.Work{BatchSize: 50, Pace: 0.5})
	stop()
	if err := errors.Join(err, readers.Wait()); err != nil || j.Counts.Batches < 20 {
		t.Fatalf("%+v, %v", j, err)
	}
	// 250 pages of 4096 bytes, and what some batches add to them.
	if largest == 0 || largest > 3<<20 {
		t.Errorf("the log grew to %d bytes", largest)
	}
}

// TestHeartbeatDuringALongRead: a checkpoint waits for a reader, and the lease is renewed meanwhile. A reader that
// takes longer than a lease must not cost the job.
func TestHeartbeatDuringALongRead(t *testing.T) {
	t.Parallel()
	path, ctx := newSample(t, 10_000), context.Background()
	s := openOwn(t, path)
	t.Cleanup(func() { _ = s.Close() })
	if err := s.Prepare(ctx); err != nil {
		t.Fatal(err)
	}
	reading, over := make(chan struct{}), make(chan struct{})
	var begun sync.Once
	s.Watch(func(_ sqlite.Querier, query string) {
		if strings.Contains(query, "ORDER BY created_at DESC") { // List
			begun.Do(func() { close(reading) })
			<-over
		}
	})
	var others errgroup.Group
	others.Go(func() error {
		return s.List(ctx, store.ListParams{}, func(job.Job) error { return nil })
	})
	<-reading
	started := make(chan store.Lease, 1)
	swept := make(chan error, 1)
	go func() {
		in, err := s.Start(ctx, store.StartParams{ID: "one", Rules: weak, AsOf: asOf, Worker: storetest.Worker("mars", 1)})
		started <- in.Lease
		if err == nil {
			_, err = storetest.Engine(s).Sweep(ctx, in, sweep.Work{Workers: 1, BatchSize: 50, Pace: 0.5})
		}
		swept <- err
	}()
	lease := <-started
	soon, stop := context.WithTimeout(ctx, time.Minute) // only where it hangs
	defer stop()
	for range 1000 { // until long after the sweep waits
		if err := s.Renew(soon, lease); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case err := <-swept:
		t.Errorf("the sweep did not wait: %v", err)
		swept <- err
	default:
	}
	close(over)
	if err := errors.Join(<-swept, others.Wait()); err != nil {
		t.Error(err)
	}
}

// TestWALStaysSmallInAPrune: each removal of a job leaves the WAL as small as it was.
func TestWALStaysSmallInAPrune(t *testing.T) {
	t.Parallel()
	path, ctx := newFile(t), context.Background()
	now := time.Now() // stands still: the store never takes itself for the only writer
	s, err := sqlite.Open(ctx, path, store.OpenParams{LockTimeout: time.Minute, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	d := database(t, path)
	t.Cleanup(func() { _ = s.Close() })
	if err := s.Prepare(ctx); err != nil {
		t.Fatal(err)
	}
	const jobs = 12
	for i := range jobs {
		j, err := storetest.Sweep(ctx, storetest.Engine(s), store.StartParams{Rules: weak, AsOf: asOf.Add(time.Duration(i) * time.Second)}, sweep.Work{})
		if err != nil {
			t.Fatal(err)
		}
		d.Exec(t, `INSERT INTO decayctl_before (job_id, fact_id, had_override, had_edge)
			WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)
			SELECT $1, hex(randomblob(50)), 0, 0 FROM n`, j.ID)
	}
	d.Exec(t, "PRAGMA wal_checkpoint(TRUNCATE)")
	if pruned, err := storetest.Prune(ctx, s, time.Now().Add(time.Hour)); pruned != jobs || err != nil {
		t.Fatal(pruned, err)
	}
	info, err := os.Stat(path + "-wal")
	if err != nil || info.Size() > 6<<20 {
		t.Errorf("the log grew to %d bytes, %v", info.Size(), err)
	}
}

// TestEndOfAJobWaitsForTheDisk: in WAL mode batches do not wait for the disk, but the end of a job does. In other modes
// all commits wait.
func TestEndOfAJobWaitsForTheDisk(t *testing.T) {
	t.Parallel()
	const normal, full = 1, 2
	for mode, batches := range map[string]int{"WAL": normal, "DELETE": full} {
		path := newFile(t)
		d := database(t, path)
		d.Exec(t, "PRAGMA journal_mode = "+mode)
		d.Insert(t, storetest.Fact("a"), storetest.Fact("b"))
		s := openOwn(t, path)
		t.Cleanup(func() { _ = s.Close() })
		expect := func(when string, want int) {
			t.Helper()
			if got, err := s.Synchronous(t.Context()); got != want || err != nil {
				t.Errorf("%s, %s: %d, want %d, %v", mode, when, got, want, err)
			}
		}
		engine := storetest.Engine(s)
		engine.Halt = func() error { expect("after a batch", batches); return nil }
		if _, err := storetest.Sweep(t.Context(), engine, store.StartParams{Rules: weak, AsOf: asOf}, sweep.Work{BatchSize: 1}); err != nil {
			t.Fatal(err)
		}
		expect("at the end", full)
	}
}

// TestCloseCheckpoints: Close checkpoints the rest of the WAL, which would else delay the node. It does not use a
// connection that another goroutine is writing on.
func TestCloseCheckpoints(t *testing.T) {
	t.Parallel()
	for _, busy := range []bool{false, true} {
		path, ctx := newFile(t), context.Background()
		database(t, path).Insert(t, storetest.Fact("a")) // a node: SQLite moves the log when the last one closes
		s := openOwn(t, path)
		run(t, s, false)
		if busy {
			release, err := s.Hold(ctx)
			if err != nil {
				t.Fatal(err)
			}
			defer release()
		}
		before := read(t, path)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if moved := !bytes.Equal(read(t, path), before); moved == busy {
			t.Errorf("another process is writing: %v; the log was moved: %v", busy, moved)
		}
	}
}

// TestCloseDoesNotWaitForAWriter: a process that is being ended closes its stores while a transaction is open. Close
// does not wait for the transaction, which writes nothing.
func TestCloseDoesNotWaitForAWriter(t *testing.T) {
	t.Parallel()
	path, ctx := newFile(t), context.Background()
	d := database(t, path)
	d.Insert(t, storetest.Fact("a"))
	s := openOwn(t, path)
	if err := s.Prepare(ctx); err != nil {
		t.Fatal(err)
	}
	within, closed, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	s.Watch(func(_ sqlite.Querier, query string) {
		if strings.Contains(query, "INTO decayctl_jobs") {
			close(within)
			<-closed
		}
	})
	go func() {
		_, err := s.Start(ctx, store.StartParams{ID: "one", Rules: weak, Worker: storetest.Worker("mars", 1)})
		ended <- err
	}()
	<-within
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	close(closed)
	if err := <-ended; err == nil {
		t.Error("a transaction ended well on a store that was closed")
	}
	d.Lock(t, "")() // no other process has it
	if rows := d.Rows(t, "SELECT job_id FROM decayctl_jobs"); len(rows) > 0 {
		t.Errorf("written: %q", rows)
	}
}

func openOwn(t testing.TB, path string) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(context.Background(), path, store.OpenParams{LockTimeout: time.Minute, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
