package sweep_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"decayctl/internal/fact"
	"decayctl/internal/rule"
	"decayctl/internal/store"
	"decayctl/internal/store/storetest"
	"decayctl/internal/sweep"
)

// collected is what a collector got of each fact since the last pass began.
type collected struct {
	begun int
	facts map[string][]rule.Action
}

func (c *collected) Begin() {
	c.begun++
	c.facts = map[string][]rule.Action{}
}

func (c *collected) Collect(f *fact.Candidate, v rule.Verdict) {
	c.facts[f.ID] = append(c.facts[f.ID], v.Action)
}

// TestCollectorsGetEveryLiveFactOnce: also those that no rule concerns, whether the store is read in one go or in ranges, and
// if the first pass ends before it is through.
func TestCollectorsGetEveryLiveFactOnce(t *testing.T) {
	t.Parallel()
	s, d := newStore(t, 0)
	d.Insert(t,
		storetest.Fact("held", func(c *fact.Candidate) { c.LegalHold, c.Entity = true, "stigmem://acme/held" }),
		storetest.Fact("sure", func(c *fact.Candidate) { c.Confidence = 1 }),
		storetest.Fact("weak"),
	)
	want := map[string][]rule.Action{"held": {rule.Keep}, "sure": {rule.Ignore}, "weak": {rule.Expire}}
	for name, test := range map[string]struct {
		store  store.Store
		passes int
	}{
		"in one go": {s, 1},
		"in ranges": {inRanges{s}, 2},
		"cut off":   {&cutOff{s, contention}, 2},
	} {
		p := sweep.Params{Rules: weak().Rules, AsOf: asOf, Live: true}
		one, two := &collected{}, &collected{}
		result, err := storetest.Engine(test.store).Preview(t.Context(), p, one, two)
		if err != nil || result.Examined != 3 || result.Selected != 1 || result.Live != 3 {
			t.Fatalf("%s: %+v, %v", name, result, err)
		}
		for _, c := range []*collected{one, two} {
			if diff := cmp.Diff(want, c.facts); diff != "" || c.begun != test.passes {
				t.Errorf("%s: began %d times; (-want +collected):\n%s", name, c.begun, diff)
			}
		}
		p.Live = false
		if _, err := storetest.Engine(test.store).Preview(t.Context(), p, one); err != nil {
			t.Fatal(err)
		}
		if ids := slices.Sorted(maps.Keys(one.facts)); !slices.Contains(ids, "weak") || !slices.Contains(ids, "held") {
			t.Errorf("%s: collected %q of what the rules may select", name, ids)
		}
	}
}

// TestCollectorsJudgeByTheSameClock: the time that Clocked gives is the one that the engine judges by.
func TestCollectorsJudgeByTheSameClock(t *testing.T) {
	t.Parallel()
	s, d := newStore(t, 0)
	d.Insert(t, storetest.Fact("weak", func(c *fact.Candidate) { c.ValidUntil = ptr("2100-01-01T00:00:00Z") }))
	e := storetest.Engine(s)
	p, err := e.Clocked(t.Context(), sweep.Params{Rules: weak().Rules, AsOf: asOf})
	if now, failed := s.Now(t.Context()); err != nil || failed != nil || p.Now.IsZero() || p.Now.After(now) {
		t.Fatalf("%v, not %v; %v, %v", p.Now, now, err, failed)
	}
	p.Now = p.Now.AddDate(1000, 0, 0)
	again, err := e.Clocked(t.Context(), p)
	if err != nil || !again.Now.Equal(p.Now) {
		t.Errorf("%v, %v", again.Now, err)
	}
	result, err := e.Preview(t.Context(), p)
	if err != nil || result.Kept[rule.ChangedMeanwhile] != 1 {
		t.Errorf("by a time in a thousand years: %+v, %v", result, err)
	}
}
