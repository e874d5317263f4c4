package rule

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"decayctl/internal/fact"
)

// TestForecastIsWhatDailySweepsDo: a forecast has every change that a sweep at as-of, and one on each day after it, makes.
func TestForecastIsWhatDailySweepsDo(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s, c := anyDatedSet(t), anyDatedCandidate(t)
		days := rapid.IntRange(1, 40).Draw(t, "days")
		now := asOf.Add(rapid.SampledFrom([]time.Duration{0, 0, 36 * time.Hour}).Draw(t, "since as-of"))
		forecast := s.Judge(asOf, now).Forecast(c, days, nil)
		if swept := dailySweeps(s, c, now, days); !slices.Equal(forecast, swept) {
			t.Fatalf("%s\n%+v, override %+v\nforecast %v\nswept    %v", s, c.Fact, c.Override, forecast, swept)
		}
		ends := slices.ContainsFunc(forecast, func(c Change) bool { return c.Action != Reduce && c.Rule != "" })
		if p, _ := s.Judge(asOf, now).Policy(c); p != nil && p.KeepLast > 0 && ends && !s.Judge(asOf, now).NeedsRank(c, days) {
			t.Fatalf("%s\n%+v\n%v turns on no rank", s, c.Fact, forecast)
		}
	})
}

// TestForecast has the days of facts one by one, ties among them.
func TestForecast(t *testing.T) {
	t.Parallel()
	set := Set{TTL: ptr(TTL(30 * 86400)), Floor: ptr(Floor(0.3)), Policies: []Policy{
		{ID: "fades", Relation: "fades", Mode: ModeConfidence, HalfLife: 10 * 86400, MinStep: 0.05, KeepLast: 1},
		{ID: "retracts", Relation: "retracts", Mode: ModeRetract, TTL: ptr(TTL(10 * 86400)), Exempt: []string{"retracts"}},
		{ID: "beats", Relation: "beats", Mode: ModeRetract, TTL: ptr(TTL(10 * 86400)), KeepLast: 1},
	}}
	at := func(days int) string { return fact.FormatInstant(asOf.AddDate(0, 0, days)) }
	// By 0.05 and more, 0.6 falls to 0.52, 0.45, 0.4 and 0.34. On day 10 it is 0.3, which is not below the floor.
	fades := []Change{{2, Reduce, "policy:fades"}, {4, Reduce, "policy:fades"}, {6, Reduce, "policy:fades"}, {8, Reduce, "policy:fades"}}
	for name, test := range map[string]struct {
		change func(*fact.Candidate)
		want   []Change
	}{
		"by ttl":              {func(c *fact.Candidate) {}, []Change{{30, Expire, NameTTL}}},
		"at the very instant": {func(c *fact.Candidate) { c.Timestamp = at(-25) }, []Change{{5, Expire, NameTTL}}},
		"a microsecond later": {func(c *fact.Candidate) {
			c.Timestamp = fact.FormatInstant(asOf.AddDate(0, 0, -25).Add(time.Microsecond))
		}, []Change{{6, Expire, NameTTL}}},
		"now":                  {func(c *fact.Candidate) { c.Timestamp = at(-30) }, []Change{{0, Expire, NameTTL}}},
		"now by both":          {func(c *fact.Candidate) { c.Timestamp, c.Confidence = at(-30), 0.1 }, []Change{{0, Expire, NameTTL}}},
		"now by the floor":     {func(c *fact.Candidate) { c.Confidence = 0.1 }, []Change{{0, Expire, NameFloor}}},
		"beyond the days":      {func(c *fact.Candidate) { c.Timestamp = at(20) }, nil},
		"confidence 0":         {func(c *fact.Candidate) { c.Confidence = 0 }, []Change{{30, Expire, NameTTL}}},
		"by itself":            {func(c *fact.Candidate) { c.ValidUntil = ptr(at(5)) }, []Change{{5, Expire, ""}}},
		"an expiry far ahead":  {func(c *fact.Candidate) { c.ValidUntil = ptr("9999-01-01") }, nil},
		"an unreadable expiry": {func(c *fact.Candidate) { c.ValidUntil = ptr("tomorrow") }, nil},
		"expired":              {func(c *fact.Candidate) { c.ValidUntil = ptr(at(0)) }, nil},
		"no date":              {func(c *fact.Candidate) { c.Timestamp = "x" }, nil},
		"an override of the floor": {func(c *fact.Candidate) { c.Override = &fact.Override{Confidence: ptr(0.2)} },
			[]Change{{0, Expire, NameFloor}}},
		"held":         {func(c *fact.Candidate) { c.LegalHold = true }, nil},
		"held, ending": {func(c *fact.Candidate) { c.LegalHold, c.ValidUntil = true, ptr(at(5)) }, []Change{{5, Expire, ""}}},
		"exempt":       {func(c *fact.Candidate) { c.Relation = "retracts" }, nil},
		"retracts":     {func(c *fact.Candidate) { c.Relation = "beats" }, []Change{{10, Retract, "policy:beats"}}},
		"the newest":   {func(c *fact.Candidate) { c.Relation, c.Newest = "beats", true }, nil},
		"fades":        {func(c *fact.Candidate) { c.Relation = "fades" }, append(slices.Clone(fades), Change{11, Expire, NameFloor})},
		"fades, and ends by itself on the day of a step": {func(c *fact.Candidate) { c.Relation, c.ValidUntil = "fades", ptr(at(6)) },
			append(slices.Clone(fades[:2]), Change{6, Expire, ""})},
		"ends by itself on the day of the floor": {func(c *fact.Candidate) { c.Relation, c.ValidUntil = "fades", ptr(at(11)) },
			append(slices.Clone(fades), Change{11, Expire, ""})},
		"the newest fades on": {func(c *fact.Candidate) { c.Relation, c.Newest = "fades", true },
			append(slices.Clone(fades), Change{11, Reduce, "policy:fades"}, Change{14, Reduce, "policy:fades"}, Change{18, Reduce, "policy:fades"}, Change{23, Reduce, "policy:fades"}, Change{31, Reduce, "policy:fades"})},
	} {
		c := stale(func(c *fact.Candidate) { c.Relation, c.Timestamp, c.Confidence = "x", at(0), 0.6 })
		test.change(c)
		if got := set.Judge(asOf, asOf).Forecast(c, 40, nil); !slices.Equal(got, test.want) {
			t.Errorf("%s: got %v, want %v", name, got, test.want)
		}
		if swept := dailySweeps(set, c, asOf, 40); !slices.Equal(swept, test.want) {
			t.Errorf("%s: sweeps do %v, want %v", name, swept, test.want)
		}
	}
}

// dailySweeps judges a fact day by day, and writes to it what a sweep would.
func dailySweeps(s Set, c *fact.Candidate, now time.Time, days int) (changes []Change) {
	swept := c.Clone()
	if !Live(c, now) {
		return nil
	}
	for day := range days + 1 {
		at := asOf.AddDate(0, 0, day)
		if !Live(&swept, at) {
			return append(changes, Change{day, Expire, ""})
		}
		v := s.Judge(at, now).Decide(&swept)
		if !v.Acts() {
			continue
		}
		changes = append(changes, Change{day, v.Action, v.By()})
		if v.Expires() {
			return changes
		}
		after := fact.Override{Confidence: v.Confidence}
		if swept.Override != nil {
			after.ValidUntil = swept.Override.ValidUntil
		}
		swept.Override = &after
	}
	return changes
}

// TestForecastAgreesWithExplain: what explain says of a fact tells on which day it ends, and by which rule.
func TestForecastAgreesWithExplain(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s, c := anyDatedSet(t), anyDatedCandidate(t)
		const days = 40
		j := s.Judge(asOf, asOf)
		e := j.Explain(c)
		want := Change{Day: days + 1}
		end := func(at time.Time, action Action, rule string) {
			if day := int((at.Sub(asOf) + 24*time.Hour - 1) / (24 * time.Hour)); !at.IsZero() && max(0, day) < want.Day {
				want = Change{max(0, day), action, rule}
			}
		}
		switch until := c.EffectiveValidUntil(); {
		case !Live(c, asOf):
			want = Change{Day: days + 1}
		case e.Verdict.Expires():
			want = Change{0, e.Verdict.Action, e.Verdict.By()}
		default:
			if until != nil {
				if at, err := fact.ParseInstant(*until); err == nil {
					end(at, Expire, "")
				}
			}
			action := Expire
			if p, _ := j.Policy(c); p != nil && p.Mode == ModeRetract {
				action = Retract
			}
			end(e.Outlook.Expires, action, e.Outlook.By)
			if p, _ := j.policies(c); p != nil && !p.keeps(c) {
				end(e.Outlook.Crosses, Expire, NameFloor)
			}
		}
		got := Change{Day: days + 1}
		for _, change := range j.Forecast(c, days, nil) {
			if change.Action != Reduce {
				got = change
			} else if change.Day == 0 && (e.Verdict.Action != Reduce || e.Verdict.By() != change.Rule) {
				t.Fatalf("%s\n%+v\n%+v today, explained as %+v", s, c.Fact, change, e.Verdict)
			}
		}
		// Explain tells the second: the sweep of a day may come within it.
		early := e.Outlook.Crosses.Sub(asOf.AddDate(0, 0, got.Day))
		within := got.Rule == NameFloor && early > 0 && early < time.Second
		if got != want && !within {
			t.Fatalf("%s\n%+v, override %+v\nforecast  %v\nexplained %v: %+v", s, c.Fact, c.Override, got, want, e.Outlook)
		}
	})
}

// anyDatedSet has rules that take facts of anyDatedCandidate on days to come.
func anyDatedSet(t *rapid.T) Set {
	days := func(name string) TTL { return TTL(rapid.Int64Range(1, 60*86400).Draw(t, name)) }
	var s Set
	if rapid.Bool().Draw(t, "ttl on") {
		s.TTL = ptr(days("ttl"))
	}
	if rapid.Bool().Draw(t, "floor on") {
		s.Floor = ptr(Floor(rapid.SampledFrom([]float64{0.1, 0.25, 0.333, 0.5}).Draw(t, "floor")))
	}
	for _, relation := range []string{"fades", "a", "*"} {
		p := Policy{ID: relation, Relation: relation, KeepLast: rapid.IntRange(0, 1).Draw(t, "keep_last")}
		if rapid.IntRange(0, 3).Draw(t, "exempt") == 0 {
			p.Exempt = []string{"a"}
		}
		switch p.Mode = rapid.SampledFrom(append([]Mode{""}, Modes...)).Draw(t, "mode"); p.Mode {
		case "":
			continue
		case ModeConfidence:
			p.HalfLife = TTL(rapid.SampledFrom([]int64{3600, 86400, 10 * 86400, 90 * 86400, 1e9, 1e14}).Draw(t, "half-life"))
			p.MinConfidence = rapid.SampledFrom([]float64{0, 0.05, 0.25, 0.3}).Draw(t, "min_confidence")
			p.MinStep = rapid.SampledFrom([]float64{0, 0, 0.01, 0.05, 1}).Draw(t, "min_step")
		default:
			p.TTL = ptr(days("ttl of the policy"))
		}
		s.Policies = append(s.Policies, p)
	}
	if len(s.Policies) > 0 && rapid.IntRange(0, 5).Draw(t, "only") == 0 {
		s.Only = s.Policies[0].ID
	}
	return s
}

// anyDatedCandidate is stamped some days before as-of, or after it.
func anyDatedCandidate(t *rapid.T) *fact.Candidate {
	confidence := rapid.OneOf(rapid.SampledFrom([]float64{0, 0.1, 0.25, 0.5, 0.8, 1}), rapid.Float64Range(0, 1))
	stamp := func(name string, from, to int64) string {
		day := 86400 * rapid.Int64Range(from, to).Draw(t, name+" days")
		rest := rapid.SampledFrom([]time.Duration{0, 0, 1000, -1000, time.Second, 5 * time.Hour}).Draw(t, name+" rest")
		return fact.FormatInstant(asOf.Add(time.Duration(day)*time.Second + rest))
	}
	maybe := func(name string) *string {
		switch rapid.IntRange(0, 9).Draw(t, name) {
		case 0:
			return ptr("tomorrow")
		case 1, 2:
			return ptr(stamp(name, -1, 40))
		}
		return nil
	}
	c := &fact.Candidate{Fact: fact.Fact{
		Entity: "e", Relation: rapid.SampledFrom([]string{"fades", "fades", "a", "b", "rel:x"}).Draw(t, "relation"), Scope: "local", Tenant: "default",
		Timestamp: stamp("timestamp", -80, 10), ValidUntil: maybe("valid_until"), Confidence: confidence.Draw(t, "confidence"),
	}}
	if rapid.IntRange(0, 9).Draw(t, "undated") == 0 {
		c.Timestamp = "x"
	}
	c.LegalHold, c.Newest = rapid.IntRange(0, 9).Draw(t, "hold") == 0, rapid.Bool().Draw(t, "newest")
	if rapid.Bool().Draw(t, "overridden") {
		c.Override = &fact.Override{ValidUntil: maybe("override valid_until")}
		if rapid.Bool().Draw(t, "override confidence on") {
			c.Override.Confidence = ptr(confidence.Draw(t, "override confidence"))
		}
	}
	return c
}

// TestEarliest finds what sort.Search would, from any guess.
func TestEarliest(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		from := rapid.IntRange(-3, 10).Draw(t, "from")
		to := from + rapid.IntRange(-1, 50).Draw(t, "length")
		begins := rapid.IntRange(-5, 80).Draw(t, "begins")
		asked := 0
		n, found := earliest(from, to, rapid.IntRange(-10, 100).Draw(t, "guess"), func(n int) bool {
			if asked++; n < from || n > to {
				t.Fatalf("asked for %d, not from %d to %d", n, from, to)
			}
			return n >= begins
		})
		if want := max(from, begins); found != (want <= to) || found && n != want || asked > 20 {
			t.Fatalf("from %d to %d, holds from %d: %d, %v after %d questions", from, to, begins, n, found, asked)
		}
	})
}
