//go:build soak

package postgres_test

import (
	"flag"
	"testing"
)

var planFacts = flag.Int("plan-facts", 1_000_000, "facts in the store whose plans are looked at")

// TestSoakPlans checks the plans on a store with a million facts.
func TestSoakPlans(t *testing.T) {
	newPlanner(t, *planFacts).walk(t, *planFacts/100, 1)
}
