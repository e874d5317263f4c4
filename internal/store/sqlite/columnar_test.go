package sqlite_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"decayctl/internal/fact"
	"decayctl/internal/rule"
	"decayctl/internal/store"
	"decayctl/internal/store/sqlite"
	"decayctl/internal/store/storetest"
)

// TestColumnsAreRows: facts that are read column by column, in ranges and by ScanAll, are equal to facts that are read
// one by one, for any text and to the last bit of a confidence.
func TestColumnsAreRows(t *testing.T) {
	t.Parallel()
	broken := rapid.SampledFrom([]string{"", "a", "=", "=a", "a,b", "é", "a\x00b", "\xff", "\n", "a\nb", "x\n\n"})
	plain := rapid.SampledFrom([]string{"", "a", "=", "=a", "a,b", "é", "a\x00b", "\xff"})
	stamp := rapid.SampledFrom([]string{"2025-01-01T00:00:00.000000+00:00", "2035-01-01T00:00:00+00:00", "", "=", "never"})
	confidence := rapid.OneOf(rapid.Float64Range(0, 1), rapid.SampledFrom([]float64{0, 1, 0.1 + 0.2, 1.0 / 3, 5e-324}))
	rapid.Check(t, func(r *rapid.T) {
		text := plain
		if rapid.Bool().Draw(r, "line breaks") {
			text = broken
		}
		path := newFile(t)
		d := database(t, path)
		ids := map[string]bool{}
		for i := range rapid.IntRange(1, 8).Draw(r, "facts") {
			id := fmt.Sprint(i%3, text.Draw(r, "id"), i)
			ids[id] = true
			d.Insert(t, storetest.Fact(id, func(c *fact.Candidate) {
				c.Entity, c.Relation, c.Tenant = text.Draw(r, "entity"), text.Draw(r, "relation"), text.Draw(r, "tenant")
				c.Timestamp, c.Confidence = stamp.Draw(r, "stamp"), confidence.Draw(r, "confidence")
				c.ValidUntil = rapid.Ptr(stamp, true).Draw(r, "expiry")
				c.LegalHold = rapid.IntRange(0, 3).Draw(r, "hold") == 0
				c.QuarantinePending = rapid.IntRange(0, 3).Draw(r, "quarantine") == 0
				if rapid.IntRange(0, 2).Draw(r, "override") == 0 {
					c.Override = &fact.Override{ValidUntil: rapid.Ptr(stamp, true).Draw(r, "override's expiry"), UpdatedAt: "2025-01-01T00:00:00+00:00"}
				}
			}))
		}
		d.Exec(t, "DROP TRIGGER facts_no_update")
		d.Exec(t, "UPDATE facts SET quarantine_status = $1 WHERE confidence > 0.5", rapid.Ptr(text, true).Draw(r, "status"))

		s := open(t, path, false)
		want := map[string]fact.Candidate{}
		for id := range ids {
			c, err := s.Fact(t.Context(), id)
			if err != nil {
				r.Fatal(err)
			}
			if rule.Live(&c, asOf) {
				want[id] = withoutPendingStatus(c)
			}
		}
		p := everything
		p.Source = true
		compare := func(way string, got map[string]fact.Candidate, err error) {
			if diff := cmp.Diff(want, got); diff != "" || err != nil {
				r.Errorf("%s: %v (-alone +%s):\n%s", way, err, way, diff)
			}
		}
		got := map[string]fact.Candidate{}
		keep := func(found []fact.Candidate) {
			for _, c := range found {
				if rule.Live(&c, asOf) { // more may be read
					got[c.ID] = withoutPendingStatus(c)
				}
			}
		}
		next, err := s.NextRange(t.Context(), store.RangeParams{Size: 100})
		if err != nil {
			r.Fatal(err)
		}
		p.Range = next
		found, err := storetest.InOrder(t.Context(), s, p)
		if !slices.IsSortedFunc(found, func(a, b fact.Candidate) int { return strings.Compare(a.ID, b.ID) }) {
			r.Error("a range is not in the order of its ids")
		}
		keep(found)
		compare("range", got, err)

		got = map[string]fact.Candidate{}
		_, _, err = s.ScanAll(t.Context(), p, func(found []fact.Candidate, _ int) error {
			keep(found)
			return nil
		})
		compare("pass", got, err)
	})
}

// withoutPendingStatus drops the status of a fact that is pending: a fact that is read alone has the effective one.
func withoutPendingStatus(c fact.Candidate) fact.Candidate {
	if c.QuarantinePending {
		c.Quarantine = nil
	}
	return c
}

// TestHoldsAreLookedUp: if there are too many tombstones to load, the holds of each fact are looked up.
func TestHoldsAreLookedUp(t *testing.T) {
	t.Parallel()
	path := newFile(t)
	d := database(t, path)
	d.Insert(t, storetest.Fact("a"), storetest.Fact("b", func(c *fact.Candidate) { c.Entity, c.LegalHold = "held", true }))
	d.Exec(t, "UPDATE tombstones SET rowid = $1", store.MaxTombstones+1)
	s := open(t, path, false)
	found, _ := inRanges(t, s)
	if found["a"].LegalHold || !found["b"].LegalHold {
		t.Errorf("%+v", found)
	}
	compareEach(t, s)
}

// TestLongColumnsAreReadByRow: if the texts of many facts are too long for one value, the facts are read one by one.
func TestLongColumnsAreReadByRow(t *testing.T) {
	t.Parallel()
	path := newFile(t)
	d := database(t, path)
	for i := range 90 {
		d.Insert(t, storetest.Fact(fmt.Sprintf("%0*d", 10+i%2*90, i), func(c *fact.Candidate) {
			c.Entity = strings.Repeat("e", 100)
			if i%3 == 0 {
				c.Override = &fact.Override{UpdatedAt: "2025-01-01T00:00:00+00:00"}
			}
		}))
	}
	s, err := sqlite.Open(t.Context(), path, store.OpenParams{LockTimeout: time.Minute, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	want, _ := inRanges(t, s)
	if err := s.LimitLength(t.Context(), 4000); err != nil {
		t.Fatal(err)
	}
	compareEach(t, s)
	if got, _ := inRanges(t, s); !cmp.Equal(want, got) || len(got) != 90 {
		t.Errorf("%d facts, not the same", len(got))
	}
}
