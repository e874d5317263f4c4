package sqlite_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"decayctl/internal/fact"
	"decayctl/internal/store"
	"decayctl/internal/store/sqlite"
	"decayctl/internal/store/storetest"
)

// TestVacuumDuringAScan: a VACUUM may change rowids while facts are read by rowid. No wrong row is read, and the next
// attempt finds all facts.
func TestVacuumDuringAScan(t *testing.T) {
	t.Parallel()
	path := newFile(t)
	d, s := database(t, path), open(t, path, false)
	var facts []fact.Candidate
	for i := range 2_700 { // more than one part
		facts = append(facts, storetest.Fact(fmt.Sprintf("%04d", i)))
	}
	d.Insert(t, facts...)
	d.Exec(t, "DROP TRIGGER facts_no_delete")
	d.Exec(t, "PRAGMA foreign_keys = OFF")
	d.Exec(t, "DELETE FROM facts WHERE rowid % 27 = 0")
	all, err := s.NextRange(t.Context(), store.RangeParams{Size: 10_000})
	if err != nil {
		t.Fatal(err)
	}
	p := store.CandidatesParams{Range: all, AsOf: asOf, Prefilter: store.Prefilter{Live: true}}
	read := func(change func()) (found map[string]string, err error) {
		found = map[string]string{}
		return found, s.Candidates(t.Context(), p, func(part []fact.Candidate) error {
			for _, c := range part {
				if found[c.ID] != "" {
					return fmt.Errorf("%s comes again", c.ID)
				}
				found[c.ID] = c.Entity
			}
			if len(part) > 100 && change != nil { // else they are those with overrides
				change()
				change = nil
			}
			return nil
		})
	}
	want, err := read(nil)
	if err != nil || len(want) != 2_600 {
		t.Fatalf("%d facts, %v", len(want), err)
	}
	if _, err := read(func() { d.Exec(t, "VACUUM") }); !store.Is(err, store.TooLong) {
		t.Errorf("while rows got other numbers: %v", err)
	}
	p.InOrder = true
	if found, err := read(func() { d.Exec(t, "VACUUM") }); err != nil || !maps.Equal(found, want) {
		t.Errorf("%d facts in the order of ids, %v", len(found), err)
	}
}

// TestPartsKeepTheirPlaces: a range is read in parts: by rowids or, if an id has a line break, by ids.
func TestPartsKeepTheirPlaces(t *testing.T) {
	t.Parallel()
	path := newSample(t, 12_000)
	d, s := database(t, path), open(t, path, false)
	for _, id := range []string{"2\n", "4\n", "4\nx"} {
		d.Insert(t, storetest.Fact(id))
	}
	all, err := s.NextRange(t.Context(), store.RangeParams{Size: 20_000})
	if err != nil {
		t.Fatal(err)
	}
	found, err := storetest.Candidates(t.Context(), s, store.CandidatesParams{Range: all, AsOf: asOf, Prefilter: store.Prefilter{Live: true}})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.IsSortedFunc(found, func(a, b fact.Candidate) int { return strings.Compare(a.ID, b.ID) }) {
		t.Error("places are not in the order of ids")
	}
}

// TestLongOverridesOfNoFact: overrides of no fact may have any number and length. If they are long, they are not read.
func TestLongOverridesOfNoFact(t *testing.T) {
	t.Parallel()
	path := newFile(t)
	d := database(t, path)
	d.Insert(t, storetest.Fact("a"), storetest.Fact("z", storetest.Overridden(fact.Override{UpdatedAt: "x"})))
	d.Exec(t, "PRAGMA foreign_keys = OFF")
	d.Exec(t, "INSERT INTO fact_validity_overrides (fact_id, updated_at) VALUES ('m' || hex(zeroblob(1100000)), 'x'), ('n' || hex(zeroblob(2000)), 'x')")
	s := openOwn(t, path)
	t.Cleanup(func() { _ = s.Close() })
	if err := s.LimitLength(t.Context(), 4000); err != nil { // of what is read for one fact alone
		t.Fatal(err)
	}
	all, err := s.NextRange(t.Context(), store.RangeParams{Size: 10})
	if err != nil {
		t.Fatal(err)
	}
	p := everything
	p.Range = all
	found, err := storetest.Candidates(t.Context(), s, p)
	if err != nil || len(found) != 2 || found[0].ID != "a" || found[1].Override == nil {
		t.Errorf("%+v, %v", found, err)
	}
}

// TestPartsStayShort: after a part was too long, the next parts are as short as those that could be read.
func TestPartsStayShort(t *testing.T) {
	t.Parallel()
	path := newFile(t)
	d := database(t, path)
	const count = 200
	facts := make([]fact.Candidate, count)
	for i := range facts {
		facts[i] = storetest.Fact(fmt.Sprintf("%03d", i), func(c *fact.Candidate) { c.Entity = strings.Repeat("e", 100_000) })
	}
	d.Insert(t, facts...)
	s := openOwn(t, path)
	t.Cleanup(func() { _ = s.Close() })
	tries := 0
	s.Watch(func(_ sqlite.Querier, query string) {
		if strings.Contains(query, "FROM facts WHERE") && strings.Contains(query, "ORDER BY id LIMIT") && strings.Contains(query, "group_concat") {
			tries++
		}
	})
	p := everything
	p.Range, p.InOrder = store.Range{Last: store.After("999"), Facts: count}, true
	read := 0
	if err := s.Candidates(t.Context(), p, func(part []fact.Candidate) error { read += len(part); return nil }); err != nil || read != count {
		t.Fatal(read, err)
	}
	if tries > count/4 {
		t.Errorf("%d tries for %d facts", tries, count)
	}
}
