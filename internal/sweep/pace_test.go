package sweep_test

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"decayctl/internal/store"
	"decayctl/internal/store/storetest"
	"decayctl/internal/sweep"
)

func TestPausesFollowPace(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		pace  float64
		least float64 // pause after a batch, in locks
	}{{1, 0}, {0.9, 1}, {0.5, 1}, {0.2, 4}} {
		s, _ := newStore(t, 20)
		locks := &lockTimes{Store: s}
		engine := storetest.Engine(locks)
		var pauses []time.Duration
		engine.Sleep = func(_ context.Context, d time.Duration) error { pauses = append(pauses, d); return nil }
		if _, err := run(context.Background(), engine, weak(), sweep.Work{BatchSize: 10, Pace: test.pace}); err != nil {
			t.Fatal(err)
		}
		if test.least == 0 {
			if len(pauses) != 0 {
				t.Errorf("flat out it paused for %v", pauses)
			}
			continue
		}
		if len(pauses) != 4 { // after two claims, the second of which finds nothing, and after two batches
			t.Fatalf("pace %g: pauses %v", test.pace, pauses)
		}
		for i, pause := range pauses {
			want := locks.held[i].time
			if locks.held[i].batch {
				want = time.Duration(test.least * float64(want))
			}
			if pause < want-time.Microsecond || pause > want+time.Microsecond {
				t.Errorf("pace %g: a pause of %v after a lock of %+v", test.pace, pause, locks.held[i])
			}
		}
	}
}

type lockTimes struct {
	store.Store

	mu   sync.Mutex // flat out, claims do not wait for batches
	held []lock     // one after the other
}

func (l *lockTimes) add(one lock) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held = append(l.held, one)
}

// lock is one of a batch, or of a claim.
type lock struct {
	batch bool
	time  time.Duration
}

func (l *lockTimes) Apply(ctx context.Context, b store.Batch) (store.Applied, error) {
	applied, err := l.Store.Apply(ctx, b)
	l.add(lock{true, applied.Locked})
	return applied, err
}

func (l *lockTimes) Claim(ctx context.Context, in store.Lease, size int) (store.Claim, error) {
	c, err := l.Store.Claim(ctx, in, size)
	l.add(lock{false, c.Locked})
	return c, err
}

// TestBatchesFollowTheTarget: too long a transaction halves the next batch, down to what is worth one; a
// short one lets it grow by a fifth at most. Flat out, it begins ten times as large.
func TestBatchesFollowTheTarget(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		target time.Duration
		size   int
		work   sweep.Work
		want   []int
	}{
		"never fast enough": {1, 600, sweep.Work{Pace: 0.5}, []int{600, 300, 250, 250}},
		"small and slow":    {1, 20, sweep.Work{Pace: 0.5}, []int{20, 20, 20}},
		"growing":           {time.Hour, 20, sweep.Work{Pace: 0.5}, []int{20, 24, 29, 35, 42, 50}},
		"flat out":          {time.Hour, 20, sweep.Work{Pace: 1}, []int{200}},
		"at a rate":         {time.Hour, 20, sweep.Work{Pace: 1, MaxRate: 30}, []int{30, 30, 30}},
		"of a size":         {1, 20, sweep.Work{Pace: 0.5, BatchSize: 15}, []int{15, 15, 15}},
	} {
		total := 0
		for _, n := range test.want {
			total += n
		}
		s, _ := newStore(t, total)
		s.tuning = &store.Tuning{RangeSize: 10_000, BatchSize: test.size, Target: test.target}
		engine := storetest.Engine(s)
		engine.Sleep = func(context.Context, time.Duration) error { return nil }
		if _, err := run(context.Background(), engine, weak(), test.work); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(s.sizes, test.want) {
			t.Errorf("%s: batches of %v, want %v", name, s.sizes, test.want)
		}
	}
}

// alone is a store to which no other process has written for an hour before some of the batches.
type alone struct {
	*failing
	until int // batches
}

func (a *alone) Apply(ctx context.Context, b store.Batch) (store.Applied, error) {
	applied, err := a.failing.Apply(ctx, b)
	applied.Locked, applied.AfterCommit, applied.SoleWriterFor = time.Duration(len(b.Expiries))*1500*time.Microsecond, 0, 0
	if len(a.sizes) <= a.until {
		applied.SoleWriterFor = time.Hour
	}
	return applied, err
}

// TestSoleWriterWritesInBursts: while no other process writes, a transaction has three batches and is followed by a pause for one. The
// first writer that comes waits for one such transaction; all later ones are short.
func TestSoleWriterWritesInBursts(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		work   sweep.Work
		sizes  []int
		pauses []time.Duration // in milliseconds, after each batch
	}{
		"adapted":   {sweep.Work{Pace: 0.5}, []int{20, 60, 60, 20, 20}, []time.Duration{30, 30, 30, 30, 30}},
		"slower":    {sweep.Work{Pace: 0.2}, []int{20, 60, 60, 20, 20}, []time.Duration{120, 120, 120, 120, 120}},
		"of a size": {sweep.Work{Pace: 0.5, BatchSize: 20}, []int{20, 20, 20, 20, 20}, []time.Duration{30, 30, 30, 30, 30}},
		"cut short": {sweep.Work{Pace: 0.5}, []int{20, 60, 25}, []time.Duration{30, 30, 18}}, // two batches, by the end of the range
		"flat out":  {sweep.Work{Pace: 1, BatchSize: 20}, []int{20, 20, 20, 20, 20}, nil},
		"at a rate": {sweep.Work{Pace: 0.5, MaxRate: 50}, []int{20, 50, 50, 20, 20}, []time.Duration{370, 925, 925, 370, 370}},
	} {
		total := 0
		for _, n := range test.sizes {
			total += n
		}
		s, _ := newStore(t, total)
		s.tuning = &store.Tuning{RangeSize: 10_000, BatchSize: 20, Target: 50 * time.Millisecond} // 30 is what it aims at
		engine := storetest.Engine(&alone{s, 2})
		var pauses []time.Duration
		engine.Sleep = func(_ context.Context, d time.Duration) error {
			pauses = append(pauses, d/time.Millisecond)
			return nil
		}
		if _, err := run(context.Background(), engine, weak(), test.work); err != nil {
			t.Fatal(err)
		}
		pauses = slices.DeleteFunc(pauses, func(d time.Duration) bool { return !slices.Contains(test.pauses, d) }) // those after claims
		if !slices.Equal(s.sizes, test.sizes) || !slices.Equal(pauses, test.pauses) {
			t.Errorf("%s: batches of %v, and pauses of %v ms", name, s.sizes, pauses)
		}
	}
}

// TestRateBoundsWrites: what was written waits until its time is up, whatever the locks took.
func TestRateBoundsWrites(t *testing.T) {
	t.Parallel()
	s, _ := newStore(t, 40)
	times := &lockTimes{Store: s}
	engine := storetest.Engine(times)
	var slept, held time.Duration
	engine.Sleep = func(_ context.Context, d time.Duration) error {
		slept += d
		return nil
	}
	if _, err := run(context.Background(), engine, weak(), sweep.Work{Pace: 1, MaxRate: 10, BatchSize: 5}); err != nil {
		t.Fatal(err)
	}
	for _, d := range times.held {
		if d.batch {
			held += d.time
		}
	}
	if slept+held != 4*time.Second {
		t.Errorf("40 facts at 10/s took %s of pauses and %s of locks", slept, held)
	}
}

// TestUndoUsesTheWholeRate: an undo has one worker, which does not share the rate with others.
func TestUndoUsesTheWholeRate(t *testing.T) {
	t.Parallel()
	s, _ := newStore(t, 40)
	engine := storetest.Engine(s)
	j, err := storetest.Sweep(t.Context(), engine, weak(), sweep.Work{})
	if err != nil {
		t.Fatal(err)
	}
	joined, err := s.Join(t.Context(), store.JoinParams{ID: j.ID, Undo: true, Worker: storetest.Worker("a test", 2)})
	if err != nil {
		t.Fatal(err)
	}
	var slept time.Duration
	engine.Sleep = func(_ context.Context, d time.Duration) error {
		slept += d
		return nil
	}
	if _, err := engine.Undo(t.Context(), joined, sweep.Work{Workers: 4, Pace: 1, MaxRate: 10, BatchSize: 5}); err != nil {
		t.Fatal(err)
	}
	if slept <= 0 || slept > 4*time.Second {
		t.Errorf("40 facts at 10/s took %s of pauses", slept)
	}
}

// manyOld is a store with finished jobs that are old.
type manyOld struct {
	store.Store
	removed []int // in each transaction
}

func (m *manyOld) Prunable(_ context.Context, _ time.Time, use func(ids []string) error) error {
	return use(make([]string, 35))
}

func (m *manyOld) Prune(_ context.Context, ids []string, _ time.Time) (store.Pruned, error) {
	m.removed = append(m.removed, len(ids))
	return store.Pruned{Rows: len(ids)}, nil
}

// TestRateBoundsPrune: a rate bounds what a removal of jobs removes at once, as it bounds a batch.
func TestRateBoundsPrune(t *testing.T) {
	t.Parallel()
	s, _ := newStore(t, 0)
	if err := s.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	old := &manyOld{Store: s}
	engine := storetest.Engine(old)
	engine.Sleep = func(context.Context, time.Duration) error { return nil }
	removed, err := engine.Prune(t.Context(), time.Now(), sweep.Work{Pace: 0.5, MaxRate: 10})
	if err != nil || removed != 35 || !slices.Equal(old.removed, []int{10, 10, 10, 5}) {
		t.Errorf("%d removed, %v at once, %v", removed, old.removed, err)
	}
}

// lagging is a store whose replica is behind for some looks.
type lagging struct {
	store.Store
	looks int
}

func (l *lagging) Lag(context.Context) (store.Lag, error) {
	if l.looks--; l.looks >= 0 {
		return store.Lag{Replica: "far away", Behind: 7 * time.Second}, nil
	}
	return store.Lag{}, nil
}

// TestLaggingReplicaHoldsNextBatch: a replica that is too far behind holds the next batch, and the job says so meanwhile.
func TestLaggingReplicaHoldsNextBatch(t *testing.T) {
	t.Parallel()
	s, d := newStore(t, 20)
	engine := storetest.Engine(&lagging{s, 3})
	const why = `waits: the replica "far away" is 7s behind, and --max-lag is 5s`
	var notes, shown []string
	var phases []sweep.Phase
	engine.Note = func(why string) { notes = append(notes, why) }
	engine.Progress = func(p sweep.Progress) { phases = append(phases, p.Phase) }
	engine.Sleep = func(context.Context, time.Duration) error {
		shown = append(shown, d.Rows(t, "SELECT stop_reason FROM decayctl_jobs")...)
		return nil
	}
	j, err := storetest.Sweep(context.Background(), engine, weak(), sweep.Work{BatchSize: 10, Pace: 1, MaxLag: 5 * time.Second})
	if err != nil || j.Counts.Decayed != 20 || j.StopReason != "" {
		t.Errorf("%+v, %v", j, err)
	}
	if !slices.Equal(notes, []string{why}) || !slices.Equal(shown, []string{why, why, why}) || !slices.Contains(phases, sweep.Lagging) {
		t.Errorf("noted %q, shown %q, phases %q", notes, shown, phases)
	}

	// Within the limit, and without one, nothing waits.
	for _, most := range []time.Duration{0, 7 * time.Second} {
		s, _ := newStore(t, 20)
		engine := storetest.Engine(&lagging{s, 100})
		engine.Sleep = func(context.Context, time.Duration) error { t.Errorf("waited with a limit of %s", most); return nil }
		if _, err := run(context.Background(), engine, weak(), sweep.Work{BatchSize: 10, Pace: 1, MaxLag: most}); err != nil {
			t.Error(err)
		}
	}
}

// TestNothingLocksDuringPauses: nothing takes the lock of the store while the node's writers are let in; claims did.
func TestNothingLocksDuringPauses(t *testing.T) {
	t.Parallel()
	s, _ := newStore(t, 200)
	s.tuning = &store.Tuning{RangeSize: 10, BatchSize: 5, Target: time.Hour}
	watched := &quiet{Store: s}
	engine := storetest.Engine(watched)
	pauses := 0
	engine.Sleep = func(context.Context, time.Duration) error {
		pauses++
		watched.pausing.Store(true)
		defer watched.pausing.Store(false)
		for range 5_000 { // whoever may go on does
			runtime.Gosched()
		}
		return nil
	}
	if _, err := run(context.Background(), engine, weak(), sweep.Work{BatchSize: 5, Pace: 0.5}); err != nil {
		t.Fatal(err)
	}
	if pauses <= 21 || watched.locks.Load() > 0 { // after each claim, and after batches that no longer checkpoint followed
		t.Errorf("%d times something was written in one of %d pauses", watched.locks.Load(), pauses)
	}
}

// quiet is a store that counts what is written while it should not be.
type quiet struct {
	store.Store
	pausing atomic.Bool
	locks   atomic.Int64
}

func (q *quiet) locking() {
	if q.pausing.Load() {
		q.locks.Add(1)
	}
}

func (q *quiet) Claim(ctx context.Context, l store.Lease, size int) (store.Claim, error) {
	defer q.locking() // at the end: it may wait for its turn before
	return q.Store.Claim(ctx, l, size)
}

func (q *quiet) Apply(ctx context.Context, b store.Batch) (store.Applied, error) {
	defer q.locking() // at the end: it may wait for its turn before
	return q.Store.Apply(ctx, b)
}
