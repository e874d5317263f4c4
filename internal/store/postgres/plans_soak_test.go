//go:build soak

package postgres_test

import (
	"flag"
	"testing"
)

var planFacts = flag.Int("plan-facts", 1_000_000, "facts in the store whose plans are looked at")

// TestSoakPlans looks at the plans on a store that really is large.
func TestSoakPlans(t *testing.T) {
	newPlanner(t, *planFacts).walk(t, *planFacts/100, 1)
}
