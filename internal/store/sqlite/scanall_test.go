package sqlite_test

import (
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"decayctl/internal/fact"
	"decayctl/internal/rule"
	"decayctl/internal/store"
	"decayctl/internal/store/sqlite"
	"decayctl/internal/store/storetest"
	"decayctl/internal/sweep"
)

var everything = store.CandidatesParams{AsOf: asOf, Prefilter: store.Prefilter{Live: true}}

// inRanges reads what ScanAll is to give.
func inRanges(t *testing.T, s store.Store) (found map[string]fact.Candidate, facts int) {
	t.Helper()
	found = map[string]fact.Candidate{}
	p := everything
	for {
		r, err := s.NextRange(t.Context(), store.RangeParams{After: p.Range.Last, Size: 10_000})
		if err != nil {
			t.Fatal(err)
		}
		if r.End() {
			return found, facts
		}
		p.Range = r
		facts += r.Facts
		part, err := storetest.InOrder(t.Context(), s, p)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range part {
			found[c.ID] = c
		}
	}
}

// TestScanAllIsWhole: a scan of more facts than are read at once hands over each fact once, as ranges do, and counts
// all facts. This holds for a store without overrides and for one that was swept.
func TestScanAllIsWhole(t *testing.T) {
	t.Parallel()
	scanAllIsWhole(t, 12_000)
}

func scanAllIsWhole(t *testing.T, facts int) {
	t.Helper()
	s := open(t, newSample(t, facts), false)
	for range 2 {
		if parts := compareEach(t, s); parts < 2 {
			t.Fatalf("%d parts", parts)
		}
		run(t, s, false)
	}
}

// compareEach makes sure that a pass gives what ranges do, and tells in how many parts.
func compareEach(t *testing.T, s store.Store) (parts int) {
	t.Helper()
	want, facts := inRanges(t, s)
	got, passed := map[string]fact.Candidate{}, 0
	seen, whole, err := s.ScanAll(t.Context(), everything, func(part []fact.Candidate, stand int) error {
		passed += stand
		if len(part) > 0 {
			parts++
		}
		for _, c := range part {
			if _, twice := got[c.ID]; twice {
				t.Error("twice:", c.ID)
			}
			got[c.ID] = c
		}
		return nil
	})
	if err != nil || !whole || passed != facts || seen.Facts != facts {
		t.Fatalf("%d of %d facts, saw %+v, whole %t, %v", passed, facts, seen, whole, err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-ranges +each):\n%s", diff)
	}
	return parts
}

// TestScanAllOddIDs: ids may have line breaks, which separate ids when an index is read. Rowids of overrides may be
// larger than any rowSet allows.
func TestScanAllOddIDs(t *testing.T) {
	t.Parallel()
	ids := []string{"", "\n", "a", "a\nb", "a\x00b", "a,b", "b", "b\n", "\xff", "z"}
	for _, odd := range []func(storetest.Database){
		func(storetest.Database) {},
		func(d storetest.Database) { // lines are whole again without it
			d.Exec(t, "DELETE FROM facts WHERE instr(id, char(10))")
		},
		func(d storetest.Database) {
			d.Exec(t, "UPDATE fact_validity_overrides SET rowid = -rowid WHERE fact_id < 'b'")
			d.Exec(t, "UPDATE fact_validity_overrides SET rowid = rowid + (1 << 27) WHERE fact_id >= 'b'")
		},
		func(d storetest.Database) {
			d.Exec(t, "UPDATE fact_validity_overrides SET rowid = $1 WHERE fact_id = 'b'", int64(math.MaxInt64))
		},
		func(d storetest.Database) { // odd rows, which are looked for where lines are whole
			d.Exec(t, "DELETE FROM facts WHERE instr(id, char(10))")
			d.Exec(t, "UPDATE fact_validity_overrides SET rowid = -rowid * 60")
		},
		func(d storetest.Database) {
			d.Exec(t, "DELETE FROM facts WHERE instr(id, char(10))")
			d.Exec(t, "UPDATE fact_validity_overrides SET rowid = $1 - rowid", int64(math.MaxInt64))
		},
		func(d storetest.Database) { // overrides of no fact
			d.Exec(t, "PRAGMA foreign_keys = OFF")
			d.Exec(t, "DELETE FROM facts WHERE instr(id, char(10))")
		},
	} {
		path := newFile(t)
		d := database(t, path)
		d.Exec(t, "DROP TRIGGER facts_no_delete")
		for i, id := range ids {
			d.Insert(t, storetest.Fact(id, func(c *fact.Candidate) {
				lapsed, lasting := "2025-01-01T00:00:00.000000+00:00", "2035-01-01T00:00:00.000000+00:00"
				switch i % 3 {
				case 0:
					c.Override = &fact.Override{ValidUntil: &lapsed, UpdatedAt: lapsed}
				case 1:
					c.Override = &fact.Override{ValidUntil: &lasting, UpdatedAt: lapsed}
				}
			}))
		}
		odd(d)
		compareEach(t, open(t, path, false))
	}
}

// TestScanAllRenumbered: if rowids change during a scan, as in a migration that re-creates a table, the facts are read
// again in ranges.
func TestScanAllRenumbered(t *testing.T) {
	t.Parallel()
	path := newFile(t)
	d := database(t, path)
	d.Insert(t, storetest.Fact("a"), storetest.Fact("b"))
	s := &changing{Store: open(t, path, true), change: func() {
		d.Exec(t, "DROP TRIGGER facts_no_update")
		d.Exec(t, "UPDATE facts SET rowid = rowid + 1000")
	}}
	if got := run(t, s, true); got.Selected != 2 || got.Examined != 2 || s.change != nil {
		t.Errorf("%+v", got)
	}
}

// TestScanAllOddRowIDs: a rowid may be any number, and a rowSet must not take all memory.
func TestScanAllOddRowIDs(t *testing.T) {
	t.Parallel()
	for _, number := range []int64{-7, 0, 1 << 28, 1<<63 - 1} {
		path := newFile(t)
		d := database(t, path)
		d.Insert(t, storetest.Fact("a"), storetest.Fact("b"))
		d.Exec(t, "DROP TRIGGER facts_no_update")
		d.Exec(t, "UPDATE facts SET rowid = $1 WHERE id = 'b'", number)
		s := open(t, path, true)
		if _, whole, err := s.ScanAll(t.Context(), everything, nil); whole || err != nil {
			t.Errorf("%d: whole %t, %v", number, whole, err)
		}
		if got := run(t, s, true); got.Selected != 2 {
			t.Errorf("%d: selected %d", number, got.Selected)
		}
	}
}

// TestScanAllOverriddenMeanwhile: a fact without an override at the first step is judged without one. A fact with an
// override is judged as it is at the second step.
func TestScanAllOverriddenMeanwhile(t *testing.T) {
	t.Parallel()
	path := newFile(t)
	d := database(t, path)
	d.Insert(t, storetest.Fact("plain"), storetest.Fact("raised", func(c *fact.Candidate) {
		confidence := 0.1
		c.Override = &fact.Override{Confidence: &confidence, UpdatedAt: "2026-01-01T00:00:00+00:00"}
	}))
	s := &changing{Store: open(t, path, true), change: func() {
		d.Exec(t, "INSERT INTO fact_validity_overrides (fact_id, valid_until, updated_at) VALUES ('plain', '2026-01-01T00:00:00+00:00', '2026-01-01T00:00:00+00:00')")
		d.Exec(t, "UPDATE fact_validity_overrides SET confidence = 0.9 WHERE fact_id = 'raised'")
	}}
	result, err := storetest.Engine(s).Preview(t.Context(), sweep.Params{Rules: weak, AsOf: asOf, Samples: 5})
	if err != nil || len(result.Samples) != 1 || result.Samples[0].Fact.ID != "plain" || result.Examined != 2 {
		t.Errorf("%+v, %v", result, err)
	}
}

// openChanging opens a store to be read, which another process changes before the first statement that has a text in it.
func openChanging(t *testing.T, path, before string, change func()) store.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), path, store.OpenParams{ReadOnly: true, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	var once sync.Once
	s.Watch(func(_ sqlite.Querier, query string) {
		if strings.Contains(query, before) {
			once.Do(change)
		}
	})
	return s
}

// TestScanAllLockFreeChange: two statements of a scan without locks may see different states. Then the scan is
// repeated, whatever it found.
func TestScanAllLockFreeChange(t *testing.T) {
	t.Parallel()
	path := newFile(t)
	d := database(t, path)
	d.Exec(t, "PRAGMA journal_mode = DELETE")
	d.Exec(t, `INSERT INTO facts (id, entity, relation, value_type, value_v, source, timestamp, confidence, scope)
		WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5255)
		SELECT printf('%06d', i), 'e', 'r', 'string', 'v', 's', '2026-01-01T00:00:00.000000+00:00', 0.3, 'local' FROM n`)
	d.Exec(t, `INSERT INTO fact_validity_overrides (fact_id, valid_until, reason, updated_at)
		SELECT id, '2025-01-01T00:00:00.000000+00:00', hex(zeroblob(450)), '2026-01-01T00:00:00+00:00' FROM facts WHERE rowid <= 5055`)
	s := openChanging(t, path, "FROM fact_validity_overrides o WHERE", func() {
		d.Exec(t, `INSERT INTO fact_validity_overrides (fact_id, confidence, updated_at)
			SELECT id, 0.2, '2026-01-01T00:00:00+00:00' FROM facts WHERE rowid BETWEEN 5056 AND 5058`)
	})
	result, err := storetest.Engine(s).Preview(t.Context(), sweep.Params{Rules: weak, AsOf: asOf})
	if err != nil || result.Selected != 200 {
		t.Errorf("%+v, %v", result, err)
	}
}

// TestScanAllLooksUpStatuses: if too many facts have their own quarantine state, the state of each is looked up.
func TestScanAllLooksUpStatuses(t *testing.T) {
	t.Parallel()
	path := newFile(t)
	d := database(t, path)
	pending := func(c *fact.Candidate) {
		status := "pending"
		c.Quarantine, c.QuarantinePending = &status, true
	}
	d.Insert(t, storetest.Fact("a"), storetest.Fact("b", pending))
	few, err := storetest.Engine(open(t, path, true)).Preview(t.Context(), sweep.Params{Rules: weak, AsOf: asOf})
	if err != nil || few.Selected != 1 || few.Kept[rule.QuarantinePending] != 1 {
		t.Fatalf("%+v, %v", few, err)
	}
	d.Exec(t, "UPDATE fact_quarantine_status SET rowid = $1", store.MaxTombstones+1)
	if rows := d.Rows(t, "SELECT count(*) FROM fact_quarantine_status"); rows[0] != "1" {
		t.Fatalf("%s statuses", rows)
	}
	many, err := storetest.Engine(open(t, path, true)).Preview(t.Context(), sweep.Params{Rules: weak, AsOf: asOf})
	if err != nil || many.Selected != 1 || many.Kept[rule.QuarantinePending] != 1 {
		t.Errorf("%+v, %v", many, err)
	}
}
