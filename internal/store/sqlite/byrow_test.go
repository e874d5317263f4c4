package sqlite_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"decayctl/internal/fact"
	"decayctl/internal/store"
	"decayctl/internal/store/storetest"
)

// TestRenumberedMeanwhile: a VACUUM may give rows other numbers while they are read by these. Nothing is read of other
// rows then, and the next try finds all.
func TestRenumberedMeanwhile(t *testing.T) {
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

// TestPartsKeepTheirPlaces: a range is read in parts, those by rows and, where an id has a line break, others by ids.
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
