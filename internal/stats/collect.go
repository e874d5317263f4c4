package stats

import (
	"time"

	"decayctl/internal/bounded"
	"decayctl/internal/fact"
	"decayctl/internal/job"
	"decayctl/internal/rule"
)

// Params say what is counted, and how facts are judged.
type Params struct {
	Rules rule.Set
	AsOf  time.Time
	Now   time.Time // by the store's clock: facts that have expired by then are not live
	Days  int       // to forecast, up to MaxDays; 0 is no forecast
	By    Dimension // to break the forecast down by; "" is none
}

// Collector counts facts one by one, in any order, in one goroutine. It is a sweep.Collector.
type Collector struct {
	params      Params
	judge       *rule.Judge
	standing    Standing
	ages        ageCounts
	confidences confidenceCounts
	groups      bounded.Map[job.GroupKey, Counts]
	forecast    *forecasting
}

// NewCollector makes a collector. Begin must be called before Collect.
func NewCollector(p Params) *Collector { return &Collector{params: p} }

// Begin sets all counts to 0. It is called again if a scan is repeated.
func (s *Collector) Begin() {
	s.judge = s.params.Rules.Judge(s.params.AsOf, s.params.Now)
	s.standing = Standing{Protected: map[rule.Protection]int64{}, Policies: map[string]int64{}}
	s.ages = newAgeCounts(s.params)
	s.confidences = confidenceCounts{}
	s.groups = bounded.Map[job.GroupKey, Counts]{
		Most: maxGroups, Compare: job.GroupKey.Compare, Values: map[job.GroupKey]*Counts{}, Clone: job.GroupKey.Clone,
		New: func() *Counts { return &Counts{} },
		Move: func(from, to *Counts) *Counts {
			to.Add(*from)
			*from = Counts{}
			return from
		},
	}
	if s.params.Days > 0 {
		s.forecast = newForecasting(s.params, s.judge)
	}
}

// Collect counts one fact and its verdict. A fact that is not live is not counted.
func (s *Collector) Collect(c *fact.Candidate, v rule.Verdict) {
	if !s.judge.Live(c) || v.Kept == rule.ChangedMeanwhile {
		return
	}
	at := categoryOf(v)
	s.standing.Counts[at]++
	switch at {
	case Protected:
		s.standing.Protected[v.Kept]++
	case ByPolicy:
		s.standing.Policies[v.Policy]++
	}
	s.ages.add(c.Timestamp, at)
	s.confidences.add(c.EffectiveConfidence(), at)
	s.groups.At(job.GroupKeyOf(c))[at]++
	if s.forecast != nil {
		s.forecast.add(c)
	}
}

func categoryOf(v rule.Verdict) Category {
	if v.Action == rule.Keep {
		return Protected
	}
	if v.Action == rule.Reduce {
		return Reduced
	}
	switch v.By() {
	case "":
		return Live
	case rule.NameTTL:
		return ByTTL
	case rule.NameFloor:
		return ByFloor
	}
	return ByPolicy
}

// Statistics are what was counted since Begin.
func (s *Collector) Statistics() *Statistics {
	all := &Statistics{
		AsOf: s.params.AsOf, Standing: s.standing,
		Ages: s.ages.histogram(), Confidences: s.confidences.histogram(s.params.Rules),
	}
	for _, key := range s.groups.Keys() {
		all.Groups = append(all.Groups, Group{key.Tenant, key.Scope, key.Relation, *s.groups.Values[key]})
	}
	if s.groups.Others != nil {
		all.Others = *s.groups.Others
	}
	if s.forecast != nil {
		all.Forecast = s.forecast.result()
	}
	return all
}

// CountExpired derives the number of expired facts, which a store does not hand over. examined is the number of all facts
// of the tenant and scope.
func (s *Statistics) CountExpired(examined int64) {
	s.Standing.Counts[Expired] = max(0, examined-s.Standing.Live())
	s.Standing.KnowsExpired = true
}

const maxGroups = 1000
