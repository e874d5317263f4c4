package report

import (
	"fmt"
	"math"
	"time"

	"decayctl/internal/rule"
	"decayctl/internal/stats"
)

// pictured is a dry run with all its pictures.
func pictured() Run {
	r := dryRun()
	r.Stats = statistics()
	return r
}

// statistics are made up, and fit the dry run: a store of 400 days, with a ttl of 90 days and a floor of 0.4.
func statistics() *stats.Statistics {
	ttl, floor := 90.0, 0.4
	s := &stats.Statistics{AsOf: asOf, Ages: stats.Histogram{Unit: 24 * time.Hour, Line: &ttl}, Confidences: stats.Histogram{Line: &floor}, Forecast: forecast(30)}
	s.Standing = stats.Standing{KnowsExpired: true, Protected: map[rule.Protection]int64{rule.System: 600, rule.LegalHold: 400, rule.UnreadableTimestamp: 20}}
	for bin := range 40 {
		b := stats.Bin{From: float64(bin) * 10, To: float64(bin+1) * 10}
		n := int64(250 + 150*math.Sin(float64(bin)/4))
		switch at := stats.Live; {
		case bin >= 9:
			at = stats.ByTTL
			fallthrough
		default:
			b.Counts[at] = n
			b.Counts[stats.ByFloor] = n / 8
			b.Counts[stats.Protected] = n / 12
		}
		s.Ages.Bins = append(s.Ages.Bins, b)
		s.Standing.Counts.Add(b.Counts)
	}
	s.Ages.Bins = append(s.Ages.Bins, stats.Bin{From: 400, To: math.Inf(1), Counts: stats.Counts{stats.ByTTL: 12}})
	s.Ages.Unknown[stats.Protected] = 20
	s.Standing.Counts[stats.Expired], s.Standing.Counts[stats.Protected] = 1500, 1020
	for bin := range 20 {
		b := stats.Bin{From: float64(bin) / 20, To: float64(bin+1) / 20}
		at := stats.Live
		if bin < 8 {
			at = stats.ByFloor
		}
		b.Counts[at], b.Counts[stats.ByTTL] = int64(20*bin+3), int64(30*bin)
		s.Confidences.Bins = append(s.Confidences.Bins, b)
	}
	for i, g := range []stats.Group{{Tenant: "default", Scope: "local", Relation: "memory:context"}, {Tenant: "default", Scope: "team", Relation: "roadmap:status"}, {Tenant: "acme", Scope: "company", Relation: "喜欢"}} {
		g.Counts = stats.Counts{stats.ByTTL: 6000 / int64(i+1), stats.ByFloor: 900, stats.Protected: 300 * int64(i), stats.Live: 4000}
		s.Groups = append(s.Groups, g)
	}
	s.Others = stats.Counts{stats.ByTTL: 200, stats.Live: 900}
	return s
}

// manyStatistics has more groups than a page shows, with names as long as they are kept.
func manyStatistics(groups int) *stats.Statistics {
	s := statistics()
	for i := range groups {
		relation := fmt.Sprintf("relation:%05d:%0180d", i, 0)
		s.Groups = append(s.Groups, stats.Group{Tenant: "default", Scope: "local", Relation: relation, Counts: stats.Counts{stats.ByTTL: int64(i % 7), stats.Live: 3}})
	}
	return s
}

// forecast has a ttl, a floor, and more policies than there are colors.
func forecast(days int) *stats.Forecast {
	f := &stats.Forecast{AsOf: asOf, Days: days, Live: 18500, OwnEnds: make([]int64, days+1)}
	f.Total = stats.Series{Ends: make([]int64, days+1), Reduces: make([]int64, days+1)}
	for i, name := range []string{rule.NamePolicy + "a", rule.NamePolicy + "b", rule.NamePolicy + "c", rule.NamePolicy + "d", "", rule.NameTTL, rule.NameFloor} {
		s := stats.RuleSeries{Rule: name, Series: stats.Series{Ends: make([]int64, days+1), Reduces: make([]int64, days+1)}}
		for day := range days + 1 {
			s.Ends[day] = int64((day*(i+3) + 5*i) % (7 + i))
			if day == 0 && name == rule.NameTTL {
				s.Ends[day] = 8000
			}
			f.Total.Ends[day] += s.Ends[day]
		}
		f.Rules = append(f.Rules, s)
	}
	return f
}
