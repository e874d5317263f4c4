package sweep_test

import (
	"slices"
	"testing"
	"time"

	"decayctl/internal/fact"
	"decayctl/internal/rule"
	"decayctl/internal/store/storetest"
	"decayctl/internal/sweep"
)

// TestSurveyCountsWhatASweepWouldDo counts for each policy what a sweep would do by it, and each live fact once, under the first that matches.
func TestSurveyCountsWhatASweepWouldDo(t *testing.T) {
	t.Parallel()
	s, d := newStore(t, 0)
	day := rule.TTL(86400)
	ago := func(days int) string { return fact.FormatInstant(asOf.AddDate(0, 0, -days)) }
	add := func(id, relation string, days int, confidence float64, change ...func(*fact.Candidate)) {
		d.Insert(t, storetest.Fact(id, append([]func(*fact.Candidate){func(c *fact.Candidate) {
			c.Relation, c.Timestamp, c.Confidence, c.Entity = relation, ago(days), confidence, id
		}}, change...)...))
	}
	held := func(c *fact.Candidate) { c.LegalHold = true }
	ended := storetest.Overridden(fact.Override{ValidUntil: ptr(ago(1))})
	add("old", "beat", 30, 0.9)
	add("older", "beat", 40, 0.9, func(c *fact.Candidate) { c.Scope = "team" })
	add("young", "beat", 1, 0.9)
	add("held", "beat", 30, 0.9, held)
	add("held, young", "beat", 1, 0.9, held)
	add("ended", "beat", 30, 0.9, ended)
	add("exempt", "beat:owner", 30, 0.9)
	add("fading", "context", 20, 0.8)
	add("faint", "context", 200, 0.8) // below the floor
	add("held, fading", "context", 20, 0.8, held)
	add("new", "context", 0, 0.8)
	add("other", "other", 300, 0.9)
	rules := rule.Set{Floor: ptr(rule.Floor(0.1)), Policies: []rule.Policy{
		{ID: "beats", Relation: "beat*", Mode: rule.ModeExpire, TTL: ptr(10 * day), Exempt: []string{"beat:owner"}},
		{ID: "fade", Relation: "context", Mode: rule.ModeConfidence, HalfLife: 10 * day, MinStep: rule.DefaultMinStep},
		{ID: "hidden", Relation: "beat", Source: "nobody", Mode: rule.ModeRetract, TTL: &day},
		{ID: "trial", Relation: "*", Mode: rule.ModeDryRun, TTL: ptr(25 * day)},
		{ID: "trial fading", Relation: "none", Mode: rule.ModeDryRun, HalfLife: 10 * day, MinStep: rule.DefaultMinStep},
	}}
	found, err := storetest.Engine(s).Survey(t.Context(), sweep.Params{Rules: rules, AsOf: asOf.Add(time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string][4]int64{
		"beats":        {6, 2, 0, 2},
		"fade":         {4, 1, 1, 1},
		"hidden":       {},
		"trial":        {11, 5, 0, 0},
		"trial fading": {},
	} {
		of := found.Policies[id]
		if got := [4]int64{of.Matched, of.Expired(), of.Reduces, of.Kept}; got != want {
			t.Errorf("%s: matched, would expire, would reduce, kept: %d, want %d", id, got, want)
		}
	}
	if of := found.Policies["beats"].Expires; of["local"] != 1 || of["team"] != 1 {
		t.Errorf("by scope: %v", of)
	}
	if slices.Max([]int64{found.Live["local"], found.Live["team"]}) != 10 {
		t.Errorf("live: %v", found.Live)
	}
}
