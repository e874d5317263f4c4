package stats

import (
	"math"
	"time"

	"decayctl/internal/fact"
	"decayctl/internal/rule"
)

// ageCounts counts facts by their age in whole units.
type ageCounts struct {
	asOf    time.Time
	unit    time.Duration
	ttl     *rule.TTL
	byAge   []Counts // by age in units, up to the oldest fact, at most maxAges
	older   Counts
	before  Counts
	unknown Counts
}

const (
	maxAges = 40_000 // a century of days, or four years of hours
	hours   = 7      // a ttl of fewer days is shown in hours
)

func newAgeCounts(p Params) ageCounts {
	a := ageCounts{asOf: p.AsOf, unit: 24 * time.Hour, ttl: p.Rules.TTL}
	if a.ttl != nil && *a.ttl < hours*86400 {
		a.unit = time.Hour
	}
	return a
}

func (a *ageCounts) add(timestamp string, at Category) {
	stamp, err := fact.ParseInstant(timestamp)
	if err != nil {
		a.unknown[at]++
		return
	}
	age := a.asOf.Sub(stamp) // Sub returns at most 292 years
	if age < 0 {
		a.before[at]++
		return
	}
	n := int(age / a.unit)
	if n >= maxAges {
		a.older[at]++
		return
	}
	if n >= len(a.byAge) {
		a.byAge = append(a.byAge, make([]Counts, n+1-len(a.byAge))...)
	}
	a.byAge[n][at]++
}

const (
	mostBins  = 48
	leastBins = 12
	outliers  = 200 // one fact in 200 may be too old for a regular bin
)

// widths are the widths of bins, in units that people count in.
var widths = []int{1, 2, 3, 4, 5, 6, 7, 10, 12, 14, 15, 20, 24, 28, 30, 45, 48, 60, 72, 90, 96, 120, 168, 182, 240, 365, 730, 1825, 3650, 7300}

// histogram has bins of equal width. The few oldest facts share an open bin: one fact of 1970 must not squeeze all others
// into one bin.
func (a *ageCounts) histogram() Histogram {
	h := Histogram{Before: a.before, Unknown: a.unknown, Unit: a.unit}
	if a.ttl != nil {
		line := float64(*a.ttl) / a.unit.Seconds()
		h.Line = &line
	}
	reach := a.reach()
	if reach == 0 {
		return h
	}
	width := a.width(reach)
	for from := 0; from < reach; from += width {
		b := Bin{From: float64(from), To: float64(from + width)}
		for _, counts := range a.byAge[min(from, len(a.byAge)):min(from+width, len(a.byAge))] {
			b.Counts.Add(counts)
		}
		h.Bins = append(h.Bins, b)
	}
	open := Bin{From: h.Bins[len(h.Bins)-1].To, To: math.Inf(1), Counts: a.older}
	for _, counts := range a.byAge[min(int(open.From), len(a.byAge)):] {
		open.Counts.Add(counts)
	}
	if open.Counts.Total() > 0 {
		h.Bins = append(h.Bins, open)
	}
	return h
}

// reach is how many units the bins cover: nearly all facts, and the ttl if it is not much older.
func (a *ageCounts) reach() int {
	total := a.older.Total()
	for _, counts := range a.byAge {
		total += counts.Total()
	}
	if total == 0 {
		return 0
	}
	reach, beyond := len(a.byAge), a.older.Total()
	for reach > 1 {
		beyond += a.byAge[reach-1].Total()
		if beyond > total/outliers {
			break
		}
		reach--
	}
	reach = max(reach, 1)
	if a.ttl != nil {
		if ttl := float64(*a.ttl) / a.unit.Seconds(); ttl > float64(reach) && ttl < 3*float64(reach) {
			reach = int(ttl) + 1
		}
	}
	return reach
}

// width is the smallest width with few enough bins; a larger one is taken if it has the ttl at the edge of a bin.
func (a *ageCounts) width(reach int) int {
	chosen := 0
	for _, width := range widths {
		bins := (reach + width - 1) / width
		if bins > mostBins {
			continue
		}
		if chosen == 0 {
			chosen = width
		}
		if bins >= leastBins && a.ttl != nil && int64(*a.ttl)%(int64(width)*int64(a.unit/time.Second)) == 0 {
			return width
		}
	}
	return max(chosen, 1)
}

const confidenceBins = 20

// confidenceCounts counts facts by their effective confidence.
type confidenceCounts struct {
	bins    [confidenceBins]Counts
	unknown Counts
}

func (c *confidenceCounts) add(confidence float64, at Category) {
	if !(confidence >= 0 && confidence <= 1) { // written so that NaN fails
		c.unknown[at]++
		return
	}
	n := min(int(confidence*confidenceBins), confidenceBins-1)
	if confidence < edge(n) { // the product was rounded up to the edge
		n--
	}
	c.bins[n][at]++
}

func edge(n int) float64 { return float64(n) / confidenceBins }

func (c *confidenceCounts) histogram(s rule.Set) Histogram {
	h := Histogram{Unknown: c.unknown}
	for n, counts := range c.bins {
		h.Bins = append(h.Bins, Bin{edge(n), edge(n + 1), counts})
	}
	if s.Floor != nil {
		line := float64(*s.Floor)
		h.Line = &line
	}
	return h
}
