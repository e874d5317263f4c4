package sweep_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"decayctl/internal/fact"
	"decayctl/internal/rule"
	"decayctl/internal/stats"
	"decayctl/internal/store"
	"decayctl/internal/store/storetest"
	"decayctl/internal/sweep"
)

// TestForecastIsSwept forecasts some days, and sweeps once a day: each sweep does what was forecast for its day. A forecast
// writes nothing, and it adds up what explain says of each fact.
func TestForecastIsSwept(t *testing.T) {
	t.Parallel()
	ttl, floor := ptr(rule.TTL(20*86400)), ptr(rule.Floor(0.3))
	policies := []rule.Policy{
		{ID: "beats", Relation: "beats", Mode: rule.ModeExpire, TTL: ptr(rule.TTL(3 * 86400)), KeepLast: 2},
		{ID: "fades", Relation: "fades", Mode: rule.ModeConfidence, HalfLife: 10 * 86400, MinStep: 0.05},
		{ID: "roadmap", Relation: "roadmap", Mode: rule.ModeRetract, TTL: ptr(rule.TTL(10 * 86400)), Exempt: []string{"roadmap:due"}},
		{ID: "kept", Relation: "kept", Mode: rule.ModeConfidence, HalfLife: 5 * 86400, KeepLast: 1, MinConfidence: 0.1},
		{ID: "trial", Relation: "*", Mode: rule.ModeDryRun, TTL: ptr(rule.TTL(86400)), KeepLast: 1},
	}
	for name, rules := range map[string]rule.Set{
		"ttl and floor": {TTL: ttl, Floor: floor},
		"policies":      {TTL: ttl, Floor: floor, Policies: policies},
		"one policy":    {Policies: policies, Only: "kept"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onEach(t, func(t *testing.T, d storetest.Database) {
				d.Insert(t, manyFacts()...)
				sweepDaily(t, d, rules)
			})
		})
	}
}

const forecastDays = 5

func sweepDaily(t *testing.T, d storetest.Database, rules rule.Set) {
	t.Helper()
	ctx, before := context.Background(), d.Touched(t)
	s, err := d.Open(store.OpenParams{ReadOnly: true, LockTimeout: time.Minute, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	forecast := forecastOf(t, storetest.Engine(s), rules)
	if diff := cmp.Diff(before, d.Touched(t)); diff != "" {
		t.Errorf("the forecast wrote:\n%s", diff)
	}
	if explained := forecastExplained(t, storetest.Engine(s), d, rules); !cmp.Equal(explained, forecast.Total) {
		t.Errorf("(-explained +forecast):\n%s", cmp.Diff(explained, forecast.Total))
	}
	swept := stats.Series{}
	e := engineOf(t, d)
	for day := range forecastDays + 1 {
		j, err := storetest.Sweep(ctx, e, store.StartParams{Rules: rules, AsOf: forecast.Day(day)}, sweep.Work{BatchSize: 50})
		if err != nil {
			t.Fatal(err)
		}
		swept.Ends = append(swept.Ends, j.Counts.Expired())
		swept.Reduces = append(swept.Reduces, j.Counts.ReducedOnly)
	}
	if diff := cmp.Diff(swept, forecast.Total); diff != "" {
		t.Errorf("(-swept +forecast):\n%s", diff)
	}
	if stats.Sum(swept.Ends[1:])+stats.Sum(swept.Reduces[1:]) == 0 {
		t.Error("nothing was to be forecast")
	}
}

func forecastOf(t *testing.T, e *sweep.Engine, rules rule.Set) *stats.Forecast {
	t.Helper()
	p, err := e.Clocked(context.Background(), sweep.Params{Rules: rules, AsOf: asOf, Live: true, Ahead: forecastDays})
	if err != nil {
		t.Fatal(err)
	}
	counted := stats.NewCollector(stats.Params{Rules: rules, AsOf: p.AsOf, Now: p.Now, Days: forecastDays})
	if _, err := e.Preview(context.Background(), p, counted); err != nil {
		t.Fatal(err)
	}
	return counted.Statistics().Forecast
}

// forecastExplained adds up the facts one by one, as explain reads and ranks each.
func forecastExplained(t *testing.T, e *sweep.Engine, d storetest.Database, rules rule.Set) stats.Series {
	t.Helper()
	sum := stats.Series{Ends: make([]int64, forecastDays+1), Reduces: make([]int64, forecastDays+1)}
	p, err := e.Clocked(context.Background(), sweep.Params{Rules: rules, AsOf: asOf})
	if err != nil {
		t.Fatal(err)
	}
	judge := rules.Judge(p.AsOf, p.Now)
	for _, x := range explainAll(t, e, d, p) {
		for _, change := range judge.Forecast(&x.Fact, forecastDays, nil) {
			switch {
			case change.Action == rule.Reduce:
				sum.Reduces[change.Day]++
			case change.Rule != "":
				sum.Ends[change.Day]++
			}
		}
	}
	return sum
}

// manyFacts are of all kinds that a forecast tells apart. Those that keep_last ranks have no expiry of their own: it would
// let others take their places.
func manyFacts() (facts []fact.Candidate) {
	random := rand.New(rand.NewPCG(1, 2))
	relations := []string{"beats", "kept", "fades", "roadmap", "roadmap:due", "memory:x", "rel:x"}
	for n := range 150 {
		facts = append(facts, storetest.Fact(fmt.Sprintf("%03d", n), func(c *fact.Candidate) {
			c.Entity, c.Relation = fmt.Sprint("e", random.IntN(4)), relations[random.IntN(len(relations))]
			c.Timestamp = fact.FormatInstant(asOf.Add(-time.Duration(random.IntN(30*24*3600)-24*3600) * time.Second))
			c.Confidence = []float64{0, 0.25, 0.35, 0.5, 0.8, 1}[random.IntN(6)]
			switch random.IntN(12) {
			case 0:
				c.Timestamp = "no date"
			case 1:
				c.LegalHold, c.Entity = true, "held" // a hold is on all facts of the entity
			case 2:
				c.QuarantinePending = true
			case 3:
				c.Override = &fact.Override{Confidence: ptr(0.4), UpdatedAt: "x"}
			case 4, 5:
				if c.Relation != "beats" && c.Relation != "kept" {
					c.ValidUntil = ptr(fact.FormatInstant(asOf.Add(time.Duration(random.IntN(12*24)-24) * time.Hour)))
				}
			}
		}))
	}
	return facts
}
