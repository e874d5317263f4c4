package rule

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"decayctl/internal/fact"
)

func TestGlob(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		pattern, text string
		want          bool
	}{
		{"*", "", true}, {"", "x", true}, {"**", "x", true},
		{"memory:*", "memory:context", true}, {"memory:*", "memory:", true}, {"memory:*", "memory", false}, {"memory:*", "Memory:x", false},
		{"a", "a", true}, {"a", "ab", false}, {"*b", "ab", true}, {"*b", "ba", false},
		{"a*b*c", "abc", true}, {"a*b*c", "axxbyybzc", true}, {"a*b*c", "acb", false}, {"a*a", "a", false}, {"a*a", "aa", true},
		{"*ab*", "xaxaby", true}, {"a?c", "abc", false}, {"a[b]", "a[b]", true}, {"%_", "ab", false}, {"日*", "日本", true},
	} {
		if got := glob(test.pattern).matches(test.text); got != test.want {
			t.Errorf("%q matches %q: %v", test.pattern, test.text, got)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		few := rapid.StringMatching(`[ab*]{0,6}`)
		p, q, text := glob(few.Draw(t, "p")), glob(few.Draw(t, "q")), rapid.StringMatching(`[ab]{0,8}`).Draw(t, "text")
		if got, want := p.matches(text), slowGlob(string(p), text) || p == ""; got != want {
			t.Fatalf("%q matches %q: %v, want %v", p, text, got, want)
		}
		if p.covers(q) && q.matches(text) && !p.matches(text) {
			t.Fatalf("%q covers %q, and does not match its %q", p, q, text)
		}
	})
}

// slowGlob tries every run for every star.
func slowGlob(pattern, text string) bool {
	switch {
	case pattern == "":
		return text == ""
	case pattern[0] == '*':
		return slowGlob(pattern[1:], text) || text != "" && slowGlob(pattern, text[1:])
	}
	return text != "" && text[0] == pattern[0] && slowGlob(pattern[1:], text[1:])
}

func expire(id, relation, scope string) Policy {
	return Policy{ID: id, Relation: relation, Scope: scope, Mode: ModeExpire, TTL: ptr(TTL(86400))}
}

func TestOrder(t *testing.T) {
	t.Parallel()
	policies := []Policy{
		expire("any", "*", ""), expire("any here", "*", "local"), expire("short", "mem*", ""), expire("long", "memory:*", ""),
		expire("short here", "mem*", "team"), expire("exact", "memory:context", ""), expire("exact too", "a", ""),
		expire("exact here", "a", "local"), expire("middle", "*:context", ""), expire("again", "*", ""),
	}
	Order(policies)
	var ids []string
	for _, p := range policies {
		ids = append(ids, p.ID)
	}
	want := []string{"exact here", "exact", "exact too", "short here", "long", "short", "middle", "any here", "any", "again"}
	if !slices.Equal(ids, want) {
		t.Errorf("got  %q\nwant %q", ids, want)
	}
}

// TestPoliciesAreTriedAsTheyStand: a set keeps the order it was given, whatever Order would make of it.
func TestPoliciesAreTriedAsTheyStand(t *testing.T) {
	t.Parallel()
	first, all, last := expire("first", "a", "team"), expire("all", "*", "local"), expire("last", "a", "")
	j := Set{Policies: []Policy{first, all, last}}.Judge(asOf, asOf)
	for scope, want := range map[string]string{"team": "first", "local": "all", "company": "last"} {
		c := stale(func(c *fact.Candidate) { c.Relation, c.Scope = "a", scope })
		if got, _ := j.Policy(c); got == nil || got.ID != want {
			t.Errorf("in %s: got %v, want %s", scope, got, want)
		}
	}
}

func TestUnreachable(t *testing.T) {
	t.Parallel()
	dry := expire("dry", "*", "")
	dry.Mode = ModeDryRun
	byEntity := expire("by entity", "a", "")
	byEntity.Entity = "user:*"
	s := Set{Policies: []Policy{byEntity, expire("a", "a", ""), expire("a again", "a", ""), expire("b", "b*", ""), expire("b again", "b*c", ""), expire("all", "*", ""), dry}}
	unreachable := func() map[string]string {
		got := map[string]string{}
		for i, by := range s.Unreachable() {
			got[s.Policies[i].ID] = by.ID
		}
		return got
	}
	Order(s.Policies)
	if got, want := unreachable(), map[string]string{"a again": "a", "b again": "b"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v", got)
	}
	slices.Reverse(s.Policies)
	if got, want := unreachable(), map[string]string{"b again": "all", "b": "all", "a again": "all", "a": "a again", "by entity": "a again"}; !reflect.DeepEqual(got, want) {
		t.Errorf("in reverse: %v", got)
	}
	for relation, idle := range map[string]bool{
		"rel:*": true, "REL:x": true, "rel*": false, "stigmem:ttl": true, "stigmem:t*": true, "stigmem:*": false, "stigmem://*": false,
		"stigmem:": true, "stigmem:/x": true, "*": false, "memory:*": false,
	} {
		if p := expire("p", relation, ""); (p.Idle() != "") != idle {
			t.Errorf("%s: idle is %q", relation, p.Idle())
		}
	}
	exempt := expire("p", "memory:x*", "")
	exempt.Exempt = []string{"memory:*"}
	if exempt.Idle() == "" {
		t.Error("a policy that exempts all it matches")
	}
}

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

// TestDecideByPolicies: the fact is 14 days and a half old, and of confidence 0.3.
func TestDecideByPolicies(t *testing.T) {
	t.Parallel()
	retract := Policy{ID: "r", Relation: "memory:*", Mode: ModeRetract, TTL: ptr(TTL(86400))}
	late := Policy{ID: "late", Relation: "memory:*", Mode: ModeRetract, TTL: ptr(TTL(86400 * 365))}
	fade := Policy{ID: "f", Relation: "memory:context", Mode: ModeConfidence, HalfLife: 14*86400 + 43200, MinStep: 0.01}
	coarse := fade
	coarse.MinStep = 0.5
	dry := Policy{ID: "d", Relation: "*", Mode: ModeDryRun, TTL: ptr(TTL(1)), HalfLife: 86400, MinStep: 0.01}
	exempt := retract
	exempt.Exempt = []string{"*:context"}
	keeping, keepingFade := retract, fade
	keeping.KeepLast, keepingFade.KeepLast = 1, 1
	ttl, floor := ptr(TTL(86400)), ptr(Floor(0.2))
	zero, half := ptr(0.0), ptr(0.15)
	same := func(*fact.Candidate) {}
	newest := func(c *fact.Candidate) { c.Newest = true }
	for name, test := range map[string]struct {
		set    Set
		change func(*fact.Candidate)
		want   Verdict
	}{
		"retracts":                    {Set{Policies: []Policy{retract}}, same, Verdict{Action: Retract, Rules: []string{"policy:r"}, Policy: "r", Confidence: zero}},
		"takes the place of the ttl":  {Set{TTL: ttl, Policies: []Policy{late}}, same, Verdict{}},
		"not of the floor":            {Set{TTL: ttl, Floor: ptr(Floor(0.5)), Policies: []Policy{late}}, same, Verdict{Action: Expire, Rules: []string{NameFloor}}},
		"retracts below the floor":    {Set{Floor: ptr(Floor(0.5)), Policies: []Policy{retract}}, same, Verdict{Action: Retract, Rules: []string{"policy:r", NameFloor}, Policy: "r", Confidence: zero}},
		"has an expiry":               {Set{Policies: []Policy{retract}}, func(c *fact.Candidate) { c.ValidUntil = ptr("2027-01-01") }, Verdict{}},
		"expired":                     {Set{Policies: []Policy{retract, dry}}, func(c *fact.Candidate) { c.ValidUntil = ptr("2026-01-01") }, Verdict{}},
		"fades":                       {Set{Policies: []Policy{fade}}, same, Verdict{Action: Reduce, Rules: []string{"policy:f"}, Policy: "f", Confidence: half}},
		"fades with an expiry":        {Set{Policies: []Policy{fade}}, func(c *fact.Candidate) { c.ValidUntil = ptr("2027-01-01") }, Verdict{Action: Reduce, Rules: []string{"policy:f"}, Policy: "f", Confidence: half}},
		"fades and expires":           {Set{Floor: floor, Policies: []Policy{fade}}, same, Verdict{Action: Expire, Rules: []string{"policy:f", NameFloor}, Policy: "f", Confidence: half}},
		"fades unwritten and expires": {Set{Floor: floor, Policies: []Policy{coarse}}, same, Verdict{Action: Expire, Rules: []string{NameFloor}}},
		"too small a step":            {Set{Policies: []Policy{coarse}}, same, Verdict{}},
		"the first wins":              {Set{Policies: []Policy{fade, retract}}, same, Verdict{Action: Reduce, Rules: []string{"policy:f"}, Policy: "f", Confidence: half}},
		"shadow":                      {Set{Policies: []Policy{dry, late}}, same, Verdict{Shadow: Shadow{Policy: "d", Retract: true, Reduce: true}}},
		"shadow beside a real one":    {Set{Policies: []Policy{retract, dry}}, same, Verdict{Action: Retract, Rules: []string{"policy:r"}, Policy: "r", Confidence: zero, Shadow: Shadow{Policy: "d", Retract: true, Reduce: true}}},
		"shadow counts no protected":  {Set{Policies: []Policy{dry}}, func(c *fact.Candidate) { c.LegalHold = true }, Verdict{}},
		"only one":                    {Set{TTL: ttl, Floor: ptr(Floor(0.5)), Policies: []Policy{fade, retract}, Only: "r"}, same, Verdict{}},
		"only the one that decides":   {Set{TTL: ttl, Floor: floor, Policies: []Policy{fade, retract}, Only: "f"}, same, Verdict{Action: Reduce, Rules: []string{"policy:f"}, Policy: "f", Confidence: half}},
		"only, and none decides":      {Set{TTL: ttl, Policies: []Policy{expire("o", "other", "")}, Only: "o"}, same, Verdict{}},
		"exempt":                      {Set{Policies: []Policy{exempt}}, same, Verdict{Action: Keep, Rules: []string{"policy:r"}, Kept: Exempt}},
		"exempt of the floor too":     {Set{Floor: ptr(Floor(0.5)), Policies: []Policy{exempt}}, func(c *fact.Candidate) { c.Timestamp = "2026-06-15" }, Verdict{Action: Keep, Rules: []string{NameFloor}, Kept: Exempt}},
		"exempt, and nothing selects": {Set{Policies: []Policy{exempt}}, func(c *fact.Candidate) { c.Timestamp = "2026-06-15" }, Verdict{}},
		"held before exempt":          {Set{Policies: []Policy{exempt}}, func(c *fact.Candidate) { c.LegalHold = true }, Verdict{Action: Keep, Rules: []string{"policy:r"}, Kept: LegalHold}},
		"ranked":                      {Set{Policies: []Policy{keeping}}, same, Verdict{Action: Retract, Rules: []string{"policy:r"}, Policy: "r", Confidence: zero, NeedsRank: true}},
		"kept as newest":              {Set{Policies: []Policy{keeping}}, newest, Verdict{Action: Keep, Rules: []string{"policy:r"}, Kept: KeptAsNewest, NeedsRank: true}},
		"kept, and fades":             {Set{Floor: floor, Policies: []Policy{keepingFade}}, newest, Verdict{Action: Reduce, Rules: []string{"policy:f"}, Policy: "f", Confidence: half, Kept: KeptAsNewest, NeedsRank: true}},
		"fades, and is not ranked":    {Set{Policies: []Policy{keepingFade}}, newest, Verdict{Action: Reduce, Rules: []string{"policy:f"}, Policy: "f", Confidence: half}},
		"no stamp to fade by":         {Set{Policies: []Policy{fade}}, func(c *fact.Candidate) { c.Timestamp = "x" }, Verdict{Action: Keep, Kept: UnreadableTimestamp}},
		"no stamp, below the floor":   {Set{Floor: ptr(Floor(0.5)), Policies: []Policy{fade}}, func(c *fact.Candidate) { c.Timestamp = "x" }, Verdict{Action: Expire, Rules: []string{NameFloor}}},
		"no readable expiry":          {Set{Policies: []Policy{fade}}, func(c *fact.Candidate) { c.ValidUntil = ptr("x") }, Verdict{Action: Keep, Rules: []string{"policy:f"}, Kept: UnreadableValidUntil}},
	} {
		c := stale(func(c *fact.Candidate) { c.Timestamp = "2026-06-01T00:00:00.5Z" })
		test.change(c)
		if got := test.set.Decide(c, asOf); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s:\ngot  %+v\nwant %+v", name, got, test.want)
		}
	}
}

func TestDecideAllocatesNothing(t *testing.T) {
	set := Set{TTL: ptr(TTL(86400 * 365)), Floor: ptr(Floor(0.01)), Policies: []Policy{
		{ID: "f", Relation: "memory:*", Mode: ModeConfidence, HalfLife: 86400 * 900, MinStep: 0.5},
		{ID: "d", Relation: "*", Entity: "stigmem://*", Mode: ModeDryRun, TTL: ptr(TTL(86400 * 300))},
	}}
	j, c := set.Judge(asOf, asOf), stale(func(*fact.Candidate) {})
	j.Decide(c)
	if n := testing.AllocsPerRun(100, func() { j.Decide(c) }); n != 0 {
		t.Errorf("%v allocations for a fact that nothing becomes of", n)
	}
}

// TestPlacesAreBounded: the names of facts are hostile text. What a Judge remembers follows neither their number nor
// their length, and it decides the same where it remembers nothing.
func TestPlacesAreBounded(t *testing.T) {
	t.Parallel()
	j := Set{Policies: []Policy{expire("p", "*", "")}}.Judge(asOf, asOf)
	long := strings.Repeat("x", maxCached*maxCachedText/4)
	for i := range 2 * maxCached {
		name := strconv.Itoa(i)
		c := stale(func(c *fact.Candidate) { c.Relation = name })
		switch left := 2*maxCached - i; {
		case left <= 4:
			c.Relation = long + name
		case left <= 8:
			c.Tenant = long + name
		}
		if v := j.Decide(c); v.Policy != "p" {
			t.Fatalf("%.50s of %.50s: %+v", c.Relation, c.Tenant, v)
		}
	}
	text := 0
	for at := range j.cache {
		text += len(at.relation) + len(at.scope) + len(at.tenant)
	}
	if len(j.cache) > maxCached || len(j.cache) < maxCached/2 || text > maxCached*maxCachedText {
		t.Errorf("%d keys of %d bytes", len(j.cache), text)
	}
}

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
