package store_test

import (
	"testing"

	"decayctl/internal/store"
)

// TestLogModel: the estimate is within a third of what pg_stat_wal counted for first sweeps with two workers and without pauses,
// on PostgreSQL 15. The stores are the samples of the benchmarks.
func TestLogModel(t *testing.T) {
	t.Parallel()
	const kB, mB = 1 << 10, 1 << 20
	sample := func(facts float64) store.LogModel {
		size := facts / 300_000
		return store.LogModel{
			FactPages: 10733 * size, Segment: 16 * mB, Target: 0.9, Timeout: 3600, FullPages: true,
			Others: []store.Touched{
				{Pages: 1303 * size, Rows: 0.201}, {Pages: 459 * size, Rows: 0.201, Index: true}, {Pages: 440 * size, Rows: 0.201, Index: true},
				{Pages: 414 * size, Rows: 0.201, Index: true}, {Pages: 54 * size, Rows: 0.201, Index: true},
				{Pages: 175 * size, Rows: 0.021}, {Pages: 44 * size, Rows: 0.021, Index: true},
			},
		}
	}
	for _, test := range []struct {
		facts, written, maxSize float64
		compressed, keys        bool
		measured                float64 // MB
	}{
		{300_000, 208_573, 64 * mB, false, true, 1707},
		{300_000, 208_573, 64 * mB, false, false, 331},
		{300_000, 208_573, 64 * mB, true, true, 925},
		{300_000, 208_573, 64 * mB, true, false, 205},
		{300_000, 208_573, 1024 * mB, false, true, 256},
		{300_000, 208_573, 1024 * mB, false, false, 168},
		{300_000, 208_573, 1024 * mB, true, true, 211},
		{300_000, 208_573, 1024 * mB, true, false, 150},
		{1_000_000, 696_184, 1024 * mB, false, true, 1532},
		{1_000_000, 696_184, 1024 * mB, false, false, 590},
		{1_000_000, 696_184, 1024 * mB, true, true, 912},
		{1_000_000, 696_184, 1024 * mB, true, false, 505},
		{10_000_000, 6_961_840, 1024 * mB, false, true, 75 * kB},
		{10_000_000, 6_949_527, 1024 * mB, false, false, 19 * kB},
		{10_000_000, 6_949_527, 1024 * mB, true, false, 9381},
		{10_000_000, 6_949_527, 32 * 1024 * mB, false, true, 8601},
		{10_000_000, 6_949_527, 32 * 1024 * mB, false, false, 5492},
	} {
		m := sample(test.facts)
		m.MaxSize, m.Compressed = test.maxSize, test.compressed
		if got := m.Log(test.written, test.keys) / mB / test.measured; got < 0.67 || got > 1.33 {
			t.Errorf("%+v: %.2f of what was measured", test, got)
		} else {
			t.Logf("%.0f facts, max_wal_size %.0f MB, compressed %t, keys %t: %.2f of what was measured", test.facts, test.maxSize/mB, test.compressed, test.keys, got)
		}
	}
}

// TestAdviceOfCost: a larger max_wal_size is named only if it gains much, and pages of which no image is written cost nothing. No
// sweep is told to leave out keys that it may not, or that are not there.
func TestAdviceOfCost(t *testing.T) {
	t.Parallel()
	m := store.LogModel{FactPages: 360_000, MaxSize: 1 << 30, Segment: 1 << 24, Target: 0.9, Timeout: 300, FullPages: true, Keys: true, MaySkip: true}
	if c := m.Cost(7_000_000); c.LargerSize <= 1<<30 || c.LogLarger >= c.Log*3/4 || c.LogCompressed >= c.Log || c.LogWithoutKeys >= c.Log || c.Time <= 0 || c.Disk <= 0 {
		t.Errorf("%+v", c)
	}
	m.MaxSize = 1 << 40
	if c := m.Cost(7_000_000); c.LargerSize != 0 || c.LogLarger != 0 {
		t.Errorf("of a large max_wal_size: %+v", c)
	}
	m.FullPages = false
	if c := m.Cost(1_000_000); c.Log != 790_000_000 || c.LogCompressed != 0 || c.LogWithoutKeys != 690_000_000 {
		t.Errorf("without full_page_writes: %+v", c)
	}
	m.MaySkip = false
	if c := m.Cost(1_000_000); c.Log != 790_000_000 || c.LogWithoutKeys != 0 {
		t.Errorf("with keys that must be checked: %+v", c)
	}
	m.Keys, m.MaySkip = false, true
	if c := m.Cost(1_000_000); c.Log != 690_000_000 || c.LogWithoutKeys != 0 {
		t.Errorf("without keys: %+v", c)
	}
}
