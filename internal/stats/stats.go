// Package stats counts facts for the pictures of a dry run: by category, age, confidence and relation, and by the day on
// which they will change. It reads no store and draws nothing. Its memory is bounded, whatever the facts are.
package stats

import (
	"time"

	"decayctl/internal/rule"
)

// Statistics are the numbers of one scan of a store.
type Statistics struct {
	AsOf     time.Time
	Standing Standing

	Ages        Histogram // of live facts, in days or hours, see Histogram.Unit
	Confidences Histogram // of live facts, effective confidence, 0 to 1

	Groups []Group // of live facts; in the order of tenant, scope, relation; a bounded number
	Others Counts  // live facts beyond those groups

	Forecast *Forecast // nil if Params.Days is 0
}

// Category says what a sweep would do with a fact. Each fact has one.
type Category int

// The categories, in the order in which pictures stack them.
const (
	Expired   Category = iota // has expired already
	ByTTL                     // would expire because of its age
	ByFloor                   // would expire because of its confidence, also if a policy's fading brought it below the floor
	ByPolicy                  // would expire or be retracted because of its age under a policy
	Reduced                   // would lose confidence, and stay live
	Protected                 // would be changed, but a protection holds
	Live                      // stays as it is
	categories
)

// Categories are all categories, in their order.
func Categories() []Category {
	return []Category{Expired, ByTTL, ByFloor, ByPolicy, Reduced, Protected, Live}
}

var categoryNames = [categories]string{"expired", "ttl", "floor", "policy", "reduced", "protected", "live"}

// String is the category's name in JSON, and in the class names of HTML.
func (c Category) String() string { return categoryNames[c] }

// Ends tells whether a sweep would expire or retract the facts of the category.
func (c Category) Ends() bool { return c == ByTTL || c == ByFloor || c == ByPolicy }

// Counts are numbers of facts by category.
type Counts [categories]int64

// Total is the number of facts in all categories.
func (c Counts) Total() (n int64) {
	for _, facts := range c {
		n += facts
	}
	return n
}

// Ends is the number of facts that a sweep would expire or retract.
func (c Counts) Ends() int64 { return c[ByTTL] + c[ByFloor] + c[ByPolicy] }

// Add adds other numbers.
func (c *Counts) Add(more Counts) {
	for i, facts := range more {
		c[i] += facts
	}
}

// Standing counts the facts of a scope and tenant by category.
type Standing struct {
	Counts       Counts
	KnowsExpired bool // Counts includes expired facts; they are not known if a scope is chosen

	Protected map[rule.Protection]int64 // the facts of category Protected
	Policies  map[string]int64          // the facts of category ByPolicy, by policy id
}

// Live is the number of live facts: all but those that have expired.
func (s Standing) Live() int64 { return s.Counts.Total() - s.Counts[Expired] }

// Group counts the live facts of one relation, scope and tenant.
type Group struct {
	Tenant, Scope, Relation string // long names are cut
	Counts                  Counts
}
