package stats

import "time"

// Forecast is what daily sweeps by the same rules will do if no other process writes. Day 0 is a sweep at as-of. Day d
// counts the facts that become due in the 24 hours before as-of + d days.
type Forecast struct {
	AsOf time.Time
	Days int   // 1 to MaxDays
	Live int64 // facts live at as-of

	Total   Series       // by all rules
	Rules   []RuleSeries // of each rule that changes a fact, in the order of the rules; the last one may sum up further policies
	OwnEnds []int64      // by day, facts that expire by their own valid_until; Total does not count them

	By     Dimension     // what Groups are about; "" is none
	Groups []GroupSeries // in the order of their keys, a bounded number
	Others *GroupSeries  // live facts of all further groups; nil is none
}

// The days that a forecast may look ahead.
const (
	DefaultDays = 30
	MaxDays     = 3660
)

// Series are numbers of facts by day. Each slice has one number per day from 0 to Days.
type Series struct {
	Ends    []int64 // facts that expire, or are retracted
	Reduces []int64 // changes of confidence; a fact may fade on many days
}

// RuleSeries is what one rule does.
type RuleSeries struct {
	Rule string // its name; "" stands for all further policies
	Series
}

// GroupSeries is the forecast for the facts of one group.
type GroupSeries struct {
	Key  string // long names are cut; "" for the facts beyond the groups
	Live int64  // facts live at as-of
	Series
}

// Dimension is what a forecast is broken down by.
type Dimension string

// The dimensions.
const (
	ByRelation Dimension = "relation"
	ByScope    Dimension = "scope"
	ByTenant   Dimension = "tenant"
)

// Dimensions are all dimensions.
func Dimensions() []Dimension { return []Dimension{ByRelation, ByScope, ByTenant} }

// Day is the end of a day of the forecast, which is the as-of of that day's sweep.
func (f *Forecast) Day(day int) time.Time { return f.AsOf.AddDate(0, 0, day) }

// Running are running totals by day.
func Running(daily []int64) []int64 {
	sums := make([]int64, len(daily))
	sum := int64(0)
	for day, n := range daily {
		sum += n
		sums[day] = sum
	}
	return sums
}

// Sum is the sum of all days.
func Sum(daily []int64) (sum int64) {
	for _, n := range daily {
		sum += n
	}
	return sum
}

// Share is n divided by the live facts, 0 to 1; 0 if there are no live facts.
func (f *Forecast) Share(facts int64) float64 {
	if f.Live == 0 {
		return 0
	}
	return float64(facts) / float64(f.Live)
}
