package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"decayctl/internal/fact"
	"decayctl/internal/store"
)

// testLongTexts: if texts are long, no part has more than MaxPartText bytes before its last fact. Reading can continue after
// any fact. Candidates and ScanAll find the same facts.
func testLongTexts(t *testing.T, d Database) {
	const facts = 9
	var want []string
	for i := range facts {
		f := Fact(fmt.Sprint(i), func(c *fact.Candidate) {
			if i%2 == 0 { // in no index
				c.Source = strings.Repeat("s", store.MaxPartText/3)
			}
			if i == 3 {
				c.Override = &fact.Override{Reason: ptr(strings.Repeat("r", store.MaxPartText+1)), UpdatedAt: "when"}
			}
		})
		want = append(want, f.ID)
		d.Insert(t, f)
	}
	s, ctx := d.open(t, true), context.Background()
	r, err := s.NextRange(ctx, store.RangeParams{Size: 100})
	if err != nil {
		t.Fatal(err)
	}
	p := store.CandidatesParams{Range: r, AsOf: AsOf, Source: true, Prefilter: store.Prefilter{Live: true}, InOrder: true}

	var got []string
	enough := errors.New("enough")
	for parts := 0; len(got) < facts; parts++ {
		if parts > facts {
			t.Fatalf("only %q in %d parts", got, parts)
		}
		err := s.Candidates(ctx, p, func(part []fact.Candidate) error {
			text := 0
			for _, c := range part {
				if text > store.MaxPartText {
					t.Errorf("%q comes behind %d bytes", c.ID, text)
				}
				text += c.Text()
				got = append(got, c.ID)
			}
			return enough
		})
		if err == nil {
			t.Fatalf("after %q", got)
		}
		p.Range = r.Beyond(store.After(got[len(got)-1]))
	}
	if !slices.Equal(got, want) {
		t.Errorf("in parts: %q", got)
	}

	p.Range, p.InOrder = r, false
	got = nil
	if err := s.Candidates(ctx, p, func(part []fact.Candidate) error {
		for _, c := range part {
			got = append(got, c.ID)
		}
		return nil
	}); err == nil && !slices.Equal(slices.Sorted(slices.Values(got)), want) || err != nil && !store.Is(err, store.TooLong) {
		t.Errorf("at once: %q, %v", got, err)
	}

	got = nil
	seen, whole, err := s.ScanAll(ctx, p, func(found []fact.Candidate, _ int) error {
		for _, c := range found {
			got = append(got, c.ID)
		}
		return nil
	})
	if err != nil || !whole || seen.Facts != facts || !slices.Equal(slices.Sorted(slices.Values(got)), want) {
		t.Errorf("in a pass: %q of %d, %t, %v", got, seen.Facts, whole, err)
	}
}
