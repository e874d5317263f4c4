package store_test

import (
	"testing"

	"decayctl/internal/fact"
	"decayctl/internal/store"
)

// TestBatchBegins: what an attempt found that failed does not count for the next one.
func TestBatchBegins(t *testing.T) {
	t.Parallel()
	b := store.Batch{Expiries: []store.Expiry{{Fact: &fact.Candidate{}}, {Fact: &fact.Candidate{}}}}
	b.Expiries[1].Written, b.Expiries[1].Edge = true, &fact.Edge{}
	if len(b.Done()) != 1 || len(b.Changed()) != 1 || b.Settle(0).Decayed != 1 {
		t.Errorf("%+v", b)
	}
	b.Begin()
	if plain, weighed := store.Edged(b.Fresh()); len(b.Done()) != 0 || len(b.Changed()) != 2 || b.Settle(0).Decayed != 0 || plain != nil || weighed != nil {
		t.Errorf("%+v", b)
	}
}
