package stats

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"decayctl/internal/fact"
	"decayctl/internal/rule"
)

var asOf = time.Date(2026, 6, 15, 12, 0, 0, 0, time.UTC)

func ptr[T any](value T) *T { return &value }

// aged is a fact that was stamped so long before as-of.
func aged(age time.Duration, change func(*fact.Candidate)) *fact.Candidate {
	c := &fact.Candidate{Fact: fact.Fact{
		ID: "f", Entity: "e", Relation: "memory:x", Tenant: "default", Scope: "local", Confidence: 0.8, Timestamp: fact.FormatInstant(asOf.Add(-age)),
	}}
	change(c)
	return c
}

const day = 24 * time.Hour

var set = rule.Set{
	TTL: ptr(rule.TTL(30 * 86400)), Floor: ptr(rule.Floor(0.3)),
	Policies: []rule.Policy{
		{ID: "context", Relation: "fades", Mode: rule.ModeConfidence, HalfLife: 10 * 86400, MinStep: 0.01},
		{ID: "beats", Relation: "beats", Mode: rule.ModeExpire, TTL: ptr(rule.TTL(86400)), KeepLast: 1},
		{ID: "roadmap", Relation: "roadmap", Mode: rule.ModeRetract, TTL: ptr(rule.TTL(20 * 86400))},
	},
}

// A fact that several rules select has one category: that of the rule that expires it.
func TestCategories(t *testing.T) {
	t.Parallel()
	same := func(*fact.Candidate) {}
	relation := func(name string) func(*fact.Candidate) {
		return func(c *fact.Candidate) { c.Relation = name }
	}
	want := Standing{Protected: map[rule.Protection]int64{}, Policies: map[string]int64{}}
	s := NewCollector(Params{Rules: set, AsOf: asOf, Now: asOf})
	s.Begin()
	judge := set.Judge(asOf, asOf)
	for _, test := range []struct {
		fact *fact.Candidate
		want Category
	}{
		{aged(40*day, same), ByTTL},
		{aged(40*day, func(c *fact.Candidate) { c.Confidence = 0.1 }), ByTTL},
		{aged(day, func(c *fact.Candidate) { c.Confidence = 0.1 }), ByFloor},
		{aged(50*day, relation("fades")), ByFloor},
		{aged(5*day, relation("fades")), Reduced},
		{aged(25*day, relation("roadmap")), ByPolicy},
		{aged(2*day, relation("beats")), ByPolicy},
		{aged(2*day, func(c *fact.Candidate) { c.Relation, c.Newest = "beats", true }), Protected},
		{aged(40*day, func(c *fact.Candidate) { c.LegalHold = true }), Protected},
		{aged(day, same), Live},
		{aged(day, func(c *fact.Candidate) { c.LegalHold = true }), Live},
		{aged(40*day, func(c *fact.Candidate) { c.ValidUntil = ptr("2026-06-15T12:00:00Z") }), Expired},
	} {
		v := judge.Decide(test.fact)
		s.Collect(test.fact, v)
		if test.want == Expired {
			continue
		}
		want.Counts[test.want]++
		if test.want == Protected {
			want.Protected[v.Kept]++
		}
		if test.want == ByPolicy {
			want.Policies[v.Policy]++
		}
	}
	all := s.Statistics()
	if diff := cmp.Diff(want, all.Standing); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	all.CountExpired(100)
	if all.Standing.Counts.Total() != 100 || all.Standing.Live() != want.Counts.Total() || !all.Standing.KnowsExpired {
		t.Errorf("of 100 facts: %+v", all.Standing)
	}
	if len(Categories()) != int(categories) || Expired.String() != "expired" || !ByPolicy.Ends() || Reduced.Ends() {
		t.Error("categories")
	}
	if n := all.Standing.Counts.Ends(); n != 6 {
		t.Errorf("%d end", n)
	}
}

// TestHistograms: every fact is counted in exactly the bin of its number, and bins have no gaps.
func TestHistograms(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		rules := rule.Set{}
		if rapid.Bool().Draw(t, "ttl on") {
			rules.TTL = ptr(rule.TTL(rapid.SampledFrom([]int64{3600, 86400, 30 * 86400, 90 * 86400, 100_001, 1e12}).Draw(t, "ttl")))
		}
		s := NewCollector(Params{Rules: rules, AsOf: asOf, Now: asOf})
		s.Begin()
		facts := rapid.IntRange(0, 300).Draw(t, "facts")
		oldest := rapid.SampledFrom([]int64{10, 86400, 100 * 86400, 2000 * 86400, 60_000 * 86400}).Draw(t, "oldest")
		var ages, confidences []float64
		var before, undated int64
		for range facts {
			seconds := rapid.Int64Range(-5, oldest).Draw(t, "age")
			c := aged(time.Duration(seconds)*time.Second, func(c *fact.Candidate) {
				c.Confidence = rapid.OneOf(rapid.Float64Range(0, 1), rapid.SampledFrom(edges())).Draw(t, "confidence")
			})
			confidences = append(confidences, c.Confidence)
			switch {
			case rapid.IntRange(0, 50).Draw(t, "undated") == 0:
				c.Timestamp = "x"
				undated++
			case seconds < 0:
				before++
			default:
				ages = append(ages, float64(seconds))
			}
			s.Collect(c, rule.Verdict{})
		}
		all := s.Statistics()
		if all.Ages.Before[Live] != before || all.Ages.Unknown[Live] != undated {
			t.Fatalf("%v before, %v unknown, not %d and %d", all.Ages.Before, all.Ages.Unknown, before, undated)
		}
		checkBins(t, all.Ages, ages, all.Ages.Unit.Seconds())
		checkBins(t, all.Confidences, confidences, 1)
		checkBins(t, all.Ages.Coarse(12), ages, all.Ages.Unit.Seconds())
		if n := len(all.Ages.Bins); n > mostBins+1 || len(all.Ages.Coarse(12).Bins) > 12 {
			t.Fatalf("%d bins, %d coarse ones", n, len(all.Ages.Coarse(12).Bins))
		}
	})
}

// edges are the edges of bins, and the largest numbers below them.
func edges() (all []float64) {
	for n := range confidenceBins {
		all = append(all, edge(n+1), math.Nextafter(edge(n+1), 0))
	}
	return all
}

func checkBins(t *rapid.T, h Histogram, numbers []float64, unit float64) {
	if h.Total() != int64(len(numbers)) {
		t.Fatalf("%d of %d in %v", h.Total(), len(numbers), h.Bins)
	}
	for i, b := range h.Bins {
		if i > 0 && b.From != h.Bins[i-1].To || b.From >= b.To {
			t.Fatalf("bins %v", h.Bins)
		}
		in := int64(0)
		for _, n := range numbers {
			if n/unit >= b.From && (n/unit < b.To || n == 1 && b.To == 1 && unit == 1) {
				in++
			}
		}
		if b.Counts.Total() != in {
			t.Fatalf("%d of %d in %+v", b.Counts.Total(), in, b)
		}
	}
}

// One fact of 1970 leaves the bins of a thousand younger ones as they are, and the ttl is at the edge of a bin.
func TestHistogramOutlier(t *testing.T) {
	t.Parallel()
	s := NewCollector(Params{Rules: rule.Set{TTL: ptr(rule.TTL(90 * 86400))}, AsOf: asOf, Now: asOf})
	s.Begin()
	for n := range 1000 {
		s.Collect(aged(time.Duration(n%200)*day, func(*fact.Candidate) {}), rule.Verdict{})
	}
	s.Collect(aged(0, func(c *fact.Candidate) { c.Timestamp = "1970-01-01T00:00:00Z" }), rule.Verdict{})
	h := s.Statistics().Ages
	last := h.Bins[len(h.Bins)-1]
	if width := h.Bins[0].To; width > 10 || len(h.Bins) < leastBins || !last.Open() || last.Counts.Total() != 1 || h.Unit != day {
		t.Errorf("%d bins of %v days, the last %+v", len(h.Bins), width, last)
	}
	if !slices.ContainsFunc(h.Bins, func(b Bin) bool { return b.From == *h.Line }) {
		t.Errorf("no bin begins at the line %v", *h.Line)
	}
}

// Facts without a readable number are counted as unknown.
func TestNoConfidence(t *testing.T) {
	t.Parallel()
	s := NewCollector(Params{Rules: set, AsOf: asOf, Now: asOf})
	s.Begin()
	for _, confidence := range []float64{math.NaN(), -0.1, 1.1, math.Inf(1)} {
		s.Collect(aged(0, func(c *fact.Candidate) { c.Confidence = confidence }), rule.Verdict{})
	}
	if h := s.Statistics().Confidences; h.Unknown[Live] != 4 || h.Total() != 0 || *h.Line != 0.3 {
		t.Errorf("%+v", h)
	}
}

// Names are hostile text of any number and length. At most maxGroups groups are kept, the same for any order of facts, and
// none is counted in part.
func TestBounds(t *testing.T) {
	t.Parallel()
	many := func(order func(int) int) *Statistics {
		s := NewCollector(Params{Rules: rule.Set{TTL: ptr(rule.TTL(86400))}, AsOf: asOf, Now: asOf, Days: MaxDays, By: ByRelation})
		s.Begin()
		for n := range 3000 {
			c := aged(0, func(c *fact.Candidate) { c.Relation = fmt.Sprintf("r%04d%s", order(n)/2, strings.Repeat("x", 1000)) })
			s.Collect(c, rule.Verdict{})
		}
		return s.Statistics()
	}
	up, down := many(func(n int) int { return n }), many(func(n int) int { return 2999 - n })
	if !reflect.DeepEqual(up, down) {
		t.Error("another order gives others")
	}
	if len(up.Groups) != maxGroups || up.Others.Total() != 3000-2*maxGroups || up.Groups[999].Counts[Live] != 2 || len(up.Groups[0].Relation) > 300 {
		t.Errorf("%d groups, %d others, the last %+v", len(up.Groups), up.Others.Total(), up.Groups[999])
	}
	f := up.Forecast
	if groups := len(f.Groups); groups > maxCells/MaxDays || f.Others.Live != int64(3000-2*groups) || f.Others.Ends[1] != f.Others.Live || f.Groups[0].Ends[1] != 2 {
		t.Errorf("%d groups, others %d", groups, f.Others.Live)
	}
}

// TestForecast: days, rules and groups add up what the rules forecast of each fact.
func TestForecast(t *testing.T) {
	t.Parallel()
	s := NewCollector(Params{Rules: set, AsOf: asOf, Now: asOf, Days: 30, By: ByRelation})
	s.Begin()
	s.Collect(aged(0, func(*fact.Candidate) {}), rule.Verdict{})
	s.Begin() // a repeated scan calls Begin again
	facts := []*fact.Candidate{
		aged(40*day, func(*fact.Candidate) {}), // today, by ttl
		aged(25*day, func(*fact.Candidate) {}), // on day 5
		aged(25*day+1, func(*fact.Candidate) {}),
		aged(25*day-1, func(*fact.Candidate) {}), // a nanosecond is cut off, hence on day 5 too
		aged(25*day-time.Second, func(*fact.Candidate) {}),
		aged(25*day, func(c *fact.Candidate) { c.ValidUntil = ptr("2026-06-20T12:00:00Z") }), // by itself, on day 5
		aged(25*day, func(c *fact.Candidate) { c.LegalHold = true }),
		aged(0, func(c *fact.Candidate) { c.Relation = "roadmap" }),                                      // on day 20
		aged(0, func(c *fact.Candidate) { c.Relation = "beats" }),                                        // on day 1
		aged(0, func(c *fact.Candidate) { c.Relation, c.Newest = "beats", true }),                        // never
		aged(0, func(c *fact.Candidate) { c.Relation, c.Confidence = "fades", 0.31 }),                    // below the floor on day 1
		aged(10*day, func(c *fact.Candidate) { c.ValidUntil = ptr("2026-06-15T12:00:00Z") }),             // has expired
		aged(0, func(c *fact.Candidate) { c.Relation, c.Confidence, c.Newest = "fades", 0.30001, true }), // no keep_last
	}
	want := newSeries(31)
	for _, c := range facts {
		s.Collect(c, set.Judge(asOf, asOf).Decide(c))
		for _, change := range set.Judge(asOf, asOf).Forecast(c, 30, nil) {
			if change.Rule != "" {
				want.count(change)
			}
		}
	}
	f := s.Statistics().Forecast
	if diff := cmp.Diff(want, f.Total); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if f.Live != int64(len(facts)-1) || stats(f.OwnEnds) != "5:1 " || f.Share(f.Live) != 1 || (&Forecast{}).Share(1) != 0 {
		t.Errorf("live %d, by themselves %s", f.Live, stats(f.OwnEnds))
	}
	rules, sum := map[string]string{}, newSeries(31)
	for _, r := range f.Rules {
		rules[r.Rule] = stats(r.Ends)
		sum.add(r.Series)
	}
	if diff := cmp.Diff(map[string]string{"ttl": "0:1 5:3 6:1 ", "min_confidence": "1:2 ", "policy:roadmap": "20:1 ", "policy:beats": "1:1 "}, rules); diff != "" {
		t.Errorf("by rule (-want +got):\n%s", diff)
	}
	groups := newSeries(31)
	for _, g := range f.Groups {
		groups.add(g.Series)
	}
	if diff := cmp.Diff(want, sum) + cmp.Diff(want, groups); diff != "" {
		t.Errorf("rules, groups:\n%s", diff)
	}
	if running := Running(f.Total.Ends); running[30] != Sum(f.Total.Ends) || running[4] != 4 || !f.Day(5).Equal(asOf.Add(5*day)) {
		t.Errorf("running %v", running)
	}
}

// stats are the days that have a number.
func stats(daily []int64) (text string) {
	for day, n := range daily {
		if n > 0 {
			text += fmt.Sprintf("%d:%d ", day, n)
		}
	}
	return text
}
