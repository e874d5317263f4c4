package sweep_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"decayctl/internal/rule"
	"decayctl/internal/store"
	"decayctl/internal/store/storetest"
	"decayctl/internal/sweep"
)

var contention = &store.Error{Kind: store.Contention, Text: "deadlock detected"}

func TestContentionIsRetried(t *testing.T) {
	t.Parallel()
	s, d := newStore(t, 30)
	failures := 0
	s.apply = func(store.Batch) error {
		if failures++; failures <= 3 {
			return contention
		}
		return nil
	}
	reads := 0
	s.read = func() error {
		if reads++; reads == 1 {
			return contention
		}
		return nil
	}
	engine := storetest.Engine(s)
	var waits []time.Duration
	engine.Sleep = func(_ context.Context, d time.Duration) error { waits = append(waits, d); return nil }
	result, err := run(context.Background(), engine, weak(), tens)
	if err != nil || result.Decayed != 30 || result.Retries != 3 {
		t.Fatalf("%+v, %v", result, err)
	}
	if !slices.Equal(s.sizes, []int{10, 10, 10, 10, 10, 10}) {
		t.Errorf("batches of %v", s.sizes)
	}
	if len(waits) != 4 || !slices.IsSorted(waits[1:]) || waits[1] == waits[3] {
		t.Errorf("waits of %v, want one for the read and growing ones for the batch", waits)
	}
	if rows := d.Rows(t, "SELECT count(*) FROM fact_retractions"); rows[0] != "30" {
		t.Errorf("%s retractions", rows[0])
	}
}

// TestContentionHalvesBatches: a batch of the same size may never get through, a smaller one does.
func TestContentionHalvesBatches(t *testing.T) {
	t.Parallel()
	s, _ := newStore(t, 16)
	s.apply = func(b store.Batch) error {
		if len(b.Expiries) > 4 {
			return contention
		}
		return nil
	}
	result, err := run(context.Background(), storetest.Engine(s), weak(), sweep.Work{BatchSize: 16})
	if err != nil || result.Decayed != 16 || result.FailedCount != 0 {
		t.Fatalf("%+v, %v", result, err)
	}
}

// TestRefusedFactIsFoundByHalving: halving finds the fact, and the batches after it are as large as before.
func TestRefusedFactIsFoundByHalving(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 50} {
		s, _ := newStore(t, 400)
		s.tuning = &store.Tuning{RangeSize: 1000, BatchSize: 50, Target: time.Hour}
		s.apply = func(b store.Batch) error {
			for _, e := range b.Expiries {
				if e.ID == "007" {
					return &store.Error{Kind: store.Rejected, Text: "a trigger says no"}
				}
			}
			return nil
		}
		result, err := run(context.Background(), storetest.Engine(s), weak(), sweep.Work{BatchSize: size})
		if err != nil || result.FailedCount != 1 || result.Decayed != 399 {
			t.Fatalf("%+v, %v", result, err)
		}
		if result.Batches > 8+6 {
			t.Errorf("batch size %d: %d batches, of %v", size, result.Batches, s.sizes)
		}
	}
}

// TestSweepGivesUpIfEveryFactIsRefused: where nothing can be written the sweep gives up, and says how far it came.
func TestSweepGivesUpIfEveryFactIsRefused(t *testing.T) {
	t.Parallel()
	s, _ := newStore(t, 300)
	s.apply = func(b store.Batch) error {
		if len(b.Expiries) == 0 {
			return nil
		}
		return &store.Error{Kind: store.Rejected, Text: "a trigger says no"}
	}
	result, err := run(context.Background(), storetest.Engine(s), weak(), tens)
	if err == nil || result.FailedCount != 101 || len(result.Failed) != 100 || result.Decayed != 0 {
		t.Fatalf("failed %d, expired %d, %v", result.FailedCount, result.Decayed, err)
	}
	if result.Selected != result.Decayed+result.Kept[rule.ChangedMeanwhile]+result.FailedCount {
		t.Errorf("the counts do not add up: %+v", result)
	}
}
