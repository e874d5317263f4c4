package stats

import (
	"cmp"
	"strings"

	"decayctl/internal/bounded"
	"decayctl/internal/fact"
	"decayctl/internal/job"
	"decayctl/internal/rule"
)

// forecasting counts what becomes of facts, day by day.
type forecasting struct {
	*Forecast
	judge   *rule.Judge
	rules   bounded.Map[int, Series] // by their place in the set
	places  map[string]int           // of rules, by their names
	groups  bounded.Map[string, GroupSeries]
	changes []rule.Change // of one fact
}

// maxCells bounds the numbers by day that rules, and groups, may have: 5 MB at most.
const maxCells = 300_000

func newForecasting(p Params, judge *rule.Judge) *forecasting {
	days := p.Days + 1
	f := &forecasting{
		Forecast: &Forecast{AsOf: p.AsOf, Days: p.Days, By: p.By, Total: newSeries(days), OwnEnds: make([]int64, days)},
		judge:    judge, places: map[string]int{},
	}
	most := min(maxGroups, maxCells/days)
	f.rules = bounded.Map[int, Series]{
		Most: most, Compare: cmp.Compare[int], Values: map[int]*Series{}, Clone: func(place int) int { return place },
		New: func() *Series { s := newSeries(days); return &s },
		Move: func(from, to *Series) *Series {
			from.move(to)
			return from
		},
	}
	f.groups = bounded.Map[string, GroupSeries]{
		Most: most, Compare: cmp.Compare[string], Values: map[string]*GroupSeries{}, Clone: strings.Clone,
		New: func() *GroupSeries { return &GroupSeries{Series: newSeries(days)} },
		Move: func(from, to *GroupSeries) *GroupSeries {
			to.Live += from.Live
			from.move(&to.Series)
			return &GroupSeries{Series: from.Series}
		},
	}
	for i, name := range p.Rules.Names() {
		f.places[name] = i
	}
	return f
}

func newSeries(days int) Series {
	return Series{Ends: make([]int64, days), Reduces: make([]int64, days)}
}

func (s *Series) add(more Series) {
	for day := range more.Ends {
		s.Ends[day] += more.Ends[day]
		s.Reduces[day] += more.Reduces[day]
	}
}

// move adds the numbers to others, and begins again at 0.
func (s *Series) move(to *Series) {
	to.add(*s)
	clear(s.Ends)
	clear(s.Reduces)
}

func (s *Series) count(change rule.Change) {
	if change.Action == rule.Reduce {
		s.Reduces[change.Day]++
	} else {
		s.Ends[change.Day]++
	}
}

// add counts what becomes of a live fact.
func (f *forecasting) add(c *fact.Candidate) {
	f.Live++
	var group *GroupSeries
	if f.By != "" {
		group = f.groups.At(job.Clip(f.key(c)))
		group.Live++
	}
	f.changes = f.judge.Forecast(c, f.Days, f.changes[:0])
	for _, change := range f.changes {
		if change.Rule == "" {
			f.OwnEnds[change.Day]++
			continue
		}
		f.Total.count(change)
		f.rules.At(f.places[change.Rule]).count(change)
		if group != nil {
			group.count(change)
		}
	}
}

func (f *forecasting) key(c *fact.Candidate) string {
	switch f.By {
	case ByScope:
		return c.Scope
	case ByTenant:
		return c.Tenant
	}
	return c.Relation
}

func (f *forecasting) result() *Forecast {
	forecast := *f.Forecast
	names := make([]string, len(f.places))
	for name, place := range f.places {
		names[place] = name
	}
	for _, place := range f.rules.Keys() {
		forecast.Rules = append(forecast.Rules, RuleSeries{names[place], *f.rules.Values[place]})
	}
	if f.rules.Others != nil {
		forecast.Rules = append(forecast.Rules, RuleSeries{"", *f.rules.Others})
	}
	for _, key := range f.groups.Keys() {
		group := *f.groups.Values[key]
		group.Key = key
		forecast.Groups = append(forecast.Groups, group)
	}
	forecast.Others = f.groups.Others
	return &forecast
}
