package rule

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"decayctl/internal/fact"
)

// anyPolicies draws policies near every edge, in their order.
func anyPolicies(t *rapid.T) []Policy {
	var policies []Policy
	for i := range rapid.IntRange(0, 5).Draw(t, "policies") {
		p := Policy{
			ID:       fmt.Sprint("p", i),
			Relation: rapid.SampledFrom([]string{"a", "*", "a*", "*x", "rel:*", "Stigmem:ttl", "b"}).Draw(t, "relation"),
			Entity:   rapid.SampledFrom([]string{"", "", "a", "stig*"}).Draw(t, "entity"),
			Source:   rapid.SampledFrom([]string{"", "", "s", "t*"}).Draw(t, "source"),
			Scope:    rapid.SampledFrom([]string{"", "", "local", "team"}).Draw(t, "scope"),
			Tenant:   rapid.SampledFrom([]string{"", "", "default", "acme"}).Draw(t, "tenant"),
			Mode:     rapid.SampledFrom(Modes).Draw(t, "mode"),
			KeepLast: rapid.SampledFrom([]int{0, 0, 1, 2}).Draw(t, "keep"),
			Exempt:   rapid.SampledFrom([][]string{nil, nil, {"a"}, {"x", "*x"}}).Draw(t, "exempt"),
		}
		if p.Mode != ModeConfidence && (p.Mode != ModeDryRun || rapid.Bool().Draw(t, "ttl")) {
			p.TTL = ptr(rapid.SampledFrom([]TTL{1, 86400, 1e11}).Draw(t, "seconds"))
		}
		if p.Mode == ModeConfidence || p.Mode == ModeDryRun && (p.TTL == nil || rapid.Bool().Draw(t, "half-life")) {
			p.HalfLife = rapid.SampledFrom([]TTL{1, 86400, 1e11}).Draw(t, "half-life seconds")
			p.MinConfidence = rapid.SampledFrom([]float64{0, 0.3, 0.31}).Draw(t, "least")
			p.MinStep = rapid.SampledFrom([]float64{0, 0.01, 0.4}).Draw(t, "step")
		}
		if err := p.Check(); err != nil {
			t.Fatal(err)
		}
		policies = append(policies, p)
	}
	Order(policies)
	return policies
}

func anyPolicySet(t *rapid.T) Set {
	s := anySet(t)
	s.Policies = anyPolicies(t)
	if len(s.Policies) > 0 && rapid.IntRange(0, 3).Draw(t, "only") == 0 {
		s.Only, s.TTL, s.Floor = rapid.SampledFrom(s.Policies).Draw(t, "the one").ID, nil, nil
	}
	return s
}

func anyPlacedCandidate(t *rapid.T) *fact.Candidate {
	c := anyCandidate(t)
	c.Scope = rapid.SampledFrom([]string{"local", "team"}).Draw(t, "scope of the fact")
	c.Tenant = rapid.SampledFrom([]string{"default", "acme"}).Draw(t, "tenant of the fact")
	c.Source = rapid.SampledFrom([]string{"s", "t:1"}).Draw(t, "source of the fact")
	c.Newest, c.NewestShadow = rapid.Bool().Draw(t, "newest"), rapid.Bool().Draw(t, "newest shadow")
	return c
}

func TestPolicySetsSurviveTheirText(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := anyPolicySet(t)
		for i := range s.Policies {
			s.Policies[i].ID += rapid.SampledFrom([]string{"", ", policy {}", `"quoted"`, "é", "<b>", `\`}).Draw(t, "suffix")
		}
		if s.Only != "" {
			s.Only = rapid.SampledFrom(s.Policies).Draw(t, "the one").ID
		}
		if s.Empty() {
			return
		}
		again, err := ParseSet(s.String())
		if err != nil || !reflect.DeepEqual(s, again) {
			t.Fatalf("%s reads as %s, %v", s, again, err)
		}
	})
	const ok = `policy {"id":"a","relation":"x","mode":"expire","ttl":"1d"}`
	for _, text := range []string{
		ok + ", " + ok, ok + ",", ok + ", ", ok + "x", "ttl 1d " + ok, `only "a"`, ok + `, only "b"`, ok + `, only a`, ok + `, only "a", ttl 1d`,
		`policy {"id":"a","relation":"x","mode":"expire"}`, `policy {"id":"a","relation":"x","mode":"expire","ttl":"1d","new":1}`, "policy ", "policy []",
	} {
		if s, err := ParseSet(text); err == nil {
			t.Errorf("%q reads as %q", text, s)
		}
	}
}

func TestWords(t *testing.T) {
	t.Parallel()
	p := []Policy{expire("a", "a", ""), expire("b", "b", "")}
	for want, s := range map[string]Set{
		"ttl 1d, min_confidence 0.5": oneDayAndHalf, "2 policies": {Policies: p}, "ttl 1d, 1 policy": {TTL: ptr(TTL(86400)), Policies: p[:1]},
	} {
		if got := s.Words(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	set := Set{Floor: ptr(Floor(0.2)), Policies: []Policy{{ID: "f", Relation: "*", Mode: ModeConfidence, HalfLife: 14*86400 + 43200}}}
	c := stale(func(c *fact.Candidate) { c.Timestamp = "2026-06-01T00:00:00.5Z" })
	if got, want := set.Reason(c, set.Decide(c, asOf), asOf), "policy f: 14d old, half-life 14d12h, confidence 0.3 to 0.15; confidence 0.15 below 0.2"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if names := strings.Join((Set{TTL: ptr(TTL(1)), Policies: p, Only: "b"}).Names(), " "); names != "ttl policy:b" {
		t.Errorf("names %s", names)
	}
}
