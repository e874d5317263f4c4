package report

import (
	"fmt"
	"time"

	"decayctl/internal/fact"
	"decayctl/internal/rule"
	"decayctl/internal/stats"
)

// forecastOf is a forecast for facts of all ages up to some days, under a rule set.
func forecastOf(set rule.Set, days int, by stats.Dimension) Forecast {
	counted := stats.NewCollector(stats.Params{Rules: set, AsOf: asOf, Now: asOf, Days: days, By: by})
	counted.Begin()
	judge := set.Judge(asOf, asOf)
	relations := []string{"memory:context", "agent:heartbeat", "roadmap:goal", "note"}
	for n := range 4000 {
		c := &fact.Candidate{Fact: fact.Fact{
			ID: fmt.Sprint(n), Entity: "project:x", Relation: relations[n%4], Source: "agent:planner", Scope: "team", Tenant: "acme",
			Timestamp: fact.FormatInstant(asOf.Add(-time.Duration(n) * 53 * time.Minute)), Confidence: 0.3 + float64(n%7)/10,
		}}
		if n%100 == 0 {
			c.ValidUntil = ptr(fact.FormatInstant(asOf.Add(time.Duration(n) * time.Hour)))
		}
		c.Newest = n < 8
		counted.Collect(c, judge.Decide(c))
	}
	return Forecast{Target: target, Rules: set, Tenant: "acme", Forecast: counted.Statistics().Forecast}
}

// forecastForTwoDays is of a few facts, in relations that a stranger named.
func forecastForTwoDays() Forecast {
	set := rules("90d", "0.1")
	set.Policies = policySet().Policies[:1]
	set.Policies[0].ID = "ID"
	counted := stats.NewCollector(stats.Params{Rules: set, AsOf: asOf, Now: asOf, Days: 2, By: stats.ByRelation})
	counted.Begin()
	judge := set.Judge(asOf, asOf)
	for n, age := range []int{100, 89, 88, 87, 80, 10} {
		c := &fact.Candidate{Fact: fact.Fact{Relation: "memory:\x1b[2Jcontext", Timestamp: fact.FormatInstant(asOf.AddDate(0, 0, -age)), Confidence: 0.8}}
		if n == 5 {
			c.Relation, c.ValidUntil = "agent:heartbeat", ptr(fact.FormatInstant(asOf.AddDate(0, 0, 1)))
		}
		counted.Collect(c, judge.Decide(c))
	}
	return Forecast{
		Target: target, Rules: set, Tenant: "default", Forecast: counted.Statistics().Forecast,
		Notes: []string{"another process is writing to this store"},
	}
}

// forecastBounded has more policies, and more relations, than are counted by name.
func forecastBounded() Forecast {
	r := forecastOf(rules("90d", ""), 30, stats.ByRelation)
	f := r.Forecast
	f.Rules = append(f.Rules, stats.RuleSeries{Series: f.Rules[0].Series})
	f.Others = &f.Groups[0]
	for n := range 30 {
		g := f.Groups[n%4]
		g.Key = fmt.Sprint("relation-", n)
		f.Groups = append(f.Groups, g)
	}
	return r
}

// forecasts are shown as text alone: the JSON of a long one is long.
func forecasts() map[string]Forecast {
	return map[string]Forecast{
		"forecast-30": forecastOf(policySet(), 30, stats.ByRelation), "forecast-14": forecastOf(rules("90d", "0.4"), 14, ""),
		"forecast-3660": forecastOf(policySet(), stats.MaxDays, ""), "forecast-nothing": forecastOf(rules("3650d", ""), 30, stats.ByTenant),
		"forecast-bounded": forecastBounded(),
	}
}
