package rule

import (
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

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

// TestGlobsMeet tries all texts that are long enough for both patterns, one after the other.
func TestGlobsMeet(t *testing.T) {
	t.Parallel()
	texts := []string{""}
	for i := 0; len(texts[i]) < 8; i++ {
		texts = append(texts, texts[i]+"a", texts[i]+"b")
	}
	rapid.Check(t, func(t *rapid.T) {
		few := rapid.StringMatching(`[ab*]{1,4}`)
		p, q := glob(few.Draw(t, "p")), glob(few.Draw(t, "q"))
		want := slices.ContainsFunc(texts, func(text string) bool { return slowGlob(string(p), text) && slowGlob(string(q), text) })
		if got := p.meets(q); got != want {
			t.Fatalf("%q and %q match a text: %v, want %v", p, q, got, want)
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
