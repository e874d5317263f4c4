package store_test

import (
	"testing"

	"decayctl/internal/fact"
	"decayctl/internal/rule"
	"decayctl/internal/store"
)

// TestFailedAttemptLeavesTheBatch: what a failed attempt found does not count for the next one.
func TestFailedAttemptLeavesTheBatch(t *testing.T) {
	t.Parallel()
	one := store.Decide(&fact.Candidate{}, rule.Verdict{}, &store.Shared{Verdict: rule.Verdict{Action: rule.Expire}})
	b := store.Batch{Expiries: []store.Expiry{{Decision: &one}, {Decision: &one}}}
	attempt := b.CloneForAttempt()
	attempt.Expiries[1].Written, attempt.Expiries[1].Edge = true, &fact.Edge{}
	if len(attempt.Done()) != 1 || len(attempt.Changed()) != 1 || attempt.Counts(0).Decayed != 1 {
		t.Errorf("%+v", attempt)
	}
	next := b.CloneForAttempt()
	if plain, confidence := store.WithEdges(next.WithoutOverride()); len(next.Done()) != 0 || len(next.Changed()) != 2 || plain != nil || confidence != nil {
		t.Errorf("%+v", next)
	}
}
