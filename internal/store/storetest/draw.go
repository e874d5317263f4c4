package storetest

import (
	"fmt"

	"pgregory.net/rapid"

	"decayctl/internal/fact"
	"decayctl/internal/rule"
	"decayctl/internal/store"
)

// stamps are stamps near every limit of a prefilter, in all forms.
var stamps = []string{
	asOfText, "2026-11-23T12:00:00.123457+00:00", "2026-11-23T12:00:00.123455+00:00", "2026-11-23T12:00:00+00:00",
	"2026-11-22T12:00:00.123456+00:00", "2026-11-22T12:00:00.123457+00:00", "2026-11-22T12:00:00+00:00", "2026-11-22T12:00:01+00:00",
	"2026-11-23T12:00:00.123456Z", "2026-11-23T12:00:00.1Z", "2026-11-23T21:00:00+09:00", "2026-11-23T06:00:00-05:00",
	"2026-11-24T01:00:00.000000+14:00", "2026-11-22T01:00:00-12:00", "2026-11-23", "2026-11-23 23:00:00+00:00", "2026-11-24t00:00:00z",
	"20261123T000000Z", "2999-01-01T00:00:00.000000+00:00", "1970-01-01T00:00:00.000000+00:00", "0000-01-01T00:00:00.000000+00:00",
	"2026-02-30T00:00:00.000000+00:00", "2027-02-30T00:00:00.000000+00:00", "2028-02-29T00:00:00.000000+00:00", "2027-02-29T00:00:00.000000+00:00",
	"2027-04-31T00:00:00.000000+00:00", "2027-13-01T00:00:00.000000+00:00", "2027-00-10T00:00:00.000000+00:00", "2027-01-01T24:00:00.000000+00:00",
	"2027-01-01T00:60:00.000000+00:00", "2027-01-01T00:00:60.000000+00:00", "2027-12-31T23:59:59.999999+00:00", "2026-11-23T12:00:00.12345+00:00",
	"２027-01-01T00:00:00.000000+00:00", "2027-01-01T00:00:00.000000+00:00 ", "2027-01-01T00:00:00.000000+00:00\n", " 2027-01-01T00:00:00.000000+00:00",
	"2027-01-01T00:00:00.000000-00:00", "2027-01-01T00:00:00.000000+01:00", "4102444800", "1781524800000", "", "tomorrow", "not a date",
}

var confidences = []float64{0, 0.05, 0.1, 0.3, 0.35, 0.5, 0.6, 0.7, 0.9, 0.95, 1}

// Draw draws a fact near the limits of the rules.
func Draw(t *rapid.T, id string) fact.Candidate {
	maybe := func(name string) *string {
		if rapid.Bool().Draw(t, name+" null") {
			return nil
		}
		return ptr(rapid.SampledFrom(stamps).Draw(t, name))
	}
	return Fact(id, func(c *fact.Candidate) {
		c.Timestamp, c.ValidUntil = rapid.SampledFrom(stamps).Draw(t, "timestamp"), maybe("valid_until")
		c.Confidence = rapid.SampledFrom(confidences).Draw(t, "confidence")
		c.Relation = rapid.SampledFrom([]string{"a", "rel:b", "STIGMEM:c"}).Draw(t, "relation")
		if rapid.Bool().Draw(t, "overridden") {
			o := fact.Override{ValidUntil: maybe("override valid_until"), UpdatedAt: "x"}
			if rapid.Bool().Draw(t, "override confidence") {
				o.Confidence = ptr(rapid.SampledFrom(confidences).Draw(t, "override confidence"))
			}
			c.Override = &o
		}
	})
}

// DrawRules draws a set of at least one rule, and its prefilter.
func DrawRules(t *rapid.T) (rule.Set, store.Prefilter) {
	var rules rule.Set
	var prefilter store.Prefilter
	if rapid.Bool().Draw(t, "ttl rule") {
		rules.TTL = ptr(rapid.SampledFrom([]rule.TTL{0, 1, 86400, 1e11}).Draw(t, "ttl"))
		prefilter.Age = true
		if cutoff, possible := rules.Cutoff(AsOf); possible {
			prefilter.Before = cutoff
		}
	}
	if rules.TTL == nil || rapid.Bool().Draw(t, "floor rule") {
		floor := rapid.SampledFrom([]float64{0.05, 0.1, 0.35, 0.6, 0.60000001, 0.59999999, 0.7, 0.9, 0.95, 1}).Draw(t, "floor")
		rules.Floor = ptr(rule.Floor(floor))
		prefilter.Below = &floor
	}
	return rules, prefilter
}

// DrawPolicies draws policies for the facts that Draw draws.
func DrawPolicies(t *rapid.T) rule.Set {
	rules, _ := DrawRules(t)
	var list []rule.Policy
	for i := range rapid.IntRange(0, 4).Draw(t, "policies") {
		p := rule.Policy{
			ID:       fmt.Sprint("p", i),
			Relation: rapid.SampledFrom([]string{"a", "*", "a*", "re*", "S*c", "*b"}).Draw(t, "policy relation"),
			Entity:   rapid.SampledFrom([]string{"", "", "e1", "stigmem://*"}).Draw(t, "policy entity"),
			Source:   rapid.SampledFrom([]string{"", "", "*agent/1", "none"}).Draw(t, "policy source"),
			Mode:     rapid.SampledFrom(rule.Modes).Draw(t, "mode"),
			KeepLast: rapid.SampledFrom([]int{0, 0, 1, 2}).Draw(t, "keep last"),
			Exempt:   rapid.SampledFrom([][]string{nil, nil, nil, {"a"}}).Draw(t, "exempt"),
		}
		if p.Mode != rule.ModeConfidence {
			p.TTL = ptr(rapid.SampledFrom([]rule.TTL{1, 86400, 1e11}).Draw(t, "policy ttl"))
		}
		if p.Mode == rule.ModeConfidence || p.Mode == rule.ModeDryRun {
			p.HalfLife = rapid.SampledFrom([]rule.TTL{3600, 86400 * 30, 1e11}).Draw(t, "half-life")
			p.MinConfidence = rapid.SampledFrom([]float64{0, 0.1, 0.3}).Draw(t, "least")
			p.MinStep = rapid.SampledFrom([]float64{0, 0.01, 0.2}).Draw(t, "step")
		}
		list = append(list, p)
	}
	rule.Order(list)
	rules.Policies = list
	if len(list) > 0 && rapid.IntRange(0, 4).Draw(t, "only") == 0 {
		rules.Only, rules.TTL, rules.Floor = list[0].ID, nil, nil
	}
	return rules
}
