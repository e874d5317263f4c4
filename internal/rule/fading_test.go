package rule

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"decayctl/internal/fact"
)

func fading(id string, halfLife TTL) Policy {
	return Policy{ID: id, Relation: "*", Mode: ModeConfidence, HalfLife: halfLife, MinStep: DefaultMinStep}
}

func TestFaded(t *testing.T) {
	t.Parallel()
	p := fading("p", 3600)
	p.MinConfidence = 0.1
	for name, test := range map[string]struct {
		base, effective float64
		age             time.Duration
		want            float64
	}{
		"two half-lives":         {1, 1, 2 * time.Hour, 0.25},
		"half of one":            {1, 1, 30 * time.Minute, 0.70710677},
		"from the base, not now": {0.8, 0.5, time.Hour, 0.4},
		"never above now":        {0.8, 0.3, time.Hour, 0.3},
		"stops":                  {1, 1, 1000 * time.Hour, 0.1},
		"below where it stops":   {0.05, 0.05, time.Hour, 0.05},
		"new":                    {1, 0.9, 0, 0.9},
		"stamped ahead":          {1, 0.9, -time.Hour, 0.9},
		"nothing to halve":       {0, 0.5, time.Hour, 0.5},
		"retracted stays so":     {1, 0, time.Hour, 0},
		"a fraction of a second": {1, 1, 500 * time.Millisecond, 0.99990374},
		"raised above the base":  {0.5, 0.9, time.Hour, 0.25},
	} {
		if got := p.faded(test.base, test.effective, asOf.Add(-test.age), asOf); got != test.want {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
	endless := fading("p", 1)
	if got := endless.faded(1, 1, time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC), asOf); got <= 0 {
		t.Errorf("after two thousand years: %v, which means retracted", got)
	}
	if got := roundUp(0.123456789012); got < 0.123456789012 || float64(float32(got)) < 0.123456789 {
		t.Errorf("rounded down: %v", got)
	}
}

// TestFadingDoesNotCompound: any number of sweeps in between, at any time, leave what one sweep leaves,
// within the smallest step; and a sweep repeated at one as-of finds nothing to do.
func TestFadingDoesNotCompound(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := fading("p", TTL(rapid.Int64Range(1, 1e7).Draw(t, "half-life")))
		p.MinStep = rapid.SampledFrom([]float64{0, 0.01, 0.2}).Draw(t, "step")
		p.MinConfidence = rapid.SampledFrom([]float64{0, 0.1, 0.123456789}).Draw(t, "least")
		set := Set{Policies: []Policy{p}}
		stamp := asOf.Add(-time.Duration(rapid.Int64Range(0, 1e6).Draw(t, "age")) * time.Second)
		base := roundFloat4(rapid.Float64Range(0.01, 1).Draw(t, "base"))
		fresh := func() *fact.Candidate {
			return stale(func(c *fact.Candidate) { c.Timestamp, c.Confidence = fact.FormatInstant(stamp), base })
		}
		sweep := func(c *fact.Candidate, at time.Time) bool {
			v := set.Decide(c, at)
			if v.Acts() {
				c.Override = &fact.Override{Confidence: v.Confidence}
			}
			return v.Acts()
		}
		end := asOf.Add(1000 * time.Hour)
		often, once := fresh(), fresh()
		var days []int64
		for range rapid.IntRange(0, 5).Draw(t, "sweeps") {
			days = append(days, rapid.Int64Range(0, 999).Draw(t, "hour"))
		}
		slices.Sort(days)
		for _, h := range days {
			at := asOf.Add(time.Duration(h) * time.Hour)
			sweep(often, at)
			if sweep(often, at) {
				t.Fatalf("at one as-of it fades twice, to %v", *often.Override.Confidence)
			}
		}
		sweep(often, end)
		sweep(once, end)
		a, b := often.EffectiveConfidence(), once.EffectiveConfidence()
		if diff := a - b; diff > p.MinStep || -diff > p.MinStep {
			t.Fatalf("%v after many sweeps, %v after one", a, b)
		}
		if b < p.MinConfidence && b < base {
			t.Fatalf("%v is below %v", b, p.MinConfidence)
		}
		if float32(b) != float32(roundFloat4(b)) || p.MinStep == 0 && a != b {
			t.Fatalf("%v and %v", a, b)
		}
	})
}
