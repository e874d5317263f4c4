package rule

import (
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"decayctl/internal/fact"
)

var asOf = time.Date(2026, 6, 15, 12, 0, 0, 500_000_000, time.UTC)

func ptr[T any](value T) *T { return &value }

// stale is selected by both rules of oneDayAndHalf.
func stale(change func(*fact.Candidate)) *fact.Candidate {
	c := &fact.Candidate{Fact: fact.Fact{
		ID: "f", Entity: "stigmem://acme/user/1", Relation: "memory:context", Tenant: "default", Scope: "local",
		Timestamp: "2026-06-01T00:00:00.000000+00:00", Confidence: 0.3,
	}}
	change(c)
	return c
}

var oneDayAndHalf = Set{TTL: ptr(TTL(86400)), Floor: ptr(Floor(0.5))}

func TestDecide(t *testing.T) {
	t.Parallel()
	both, age, floor := []string{NameTTL, NameFloor}, []string{NameTTL}, []string{NameFloor}
	override := func(o fact.Override) func(*fact.Candidate) {
		return func(c *fact.Candidate) { c.Override = &o }
	}
	for name, test := range map[string]struct {
		change func(*fact.Candidate)
		action Action
		rules  []string
		kept   Protection
	}{
		"both rules":                  {func(c *fact.Candidate) {}, Expire, both, ""},
		"age alone":                   {func(c *fact.Candidate) { c.Confidence = 0.5 }, Expire, age, ""},
		"floor alone":                 {func(c *fact.Candidate) { c.Timestamp = "2026-06-15T12:00:00Z" }, Expire, floor, ""},
		"neither":                     {func(c *fact.Candidate) { c.Timestamp, c.Confidence = "2026-06-15T12:00:00Z", 0.9 }, Ignore, nil, ""},
		"stamped at the cutoff":       {func(c *fact.Candidate) { c.Timestamp, c.Confidence = "2026-06-14T12:00:00.500000+00:00", 1 }, Expire, age, ""},
		"a microsecond later":         {func(c *fact.Candidate) { c.Timestamp, c.Confidence = "2026-06-14T12:00:00.500001+00:00", 1 }, Ignore, nil, ""},
		"stamped after as-of":         {func(c *fact.Candidate) { c.Timestamp, c.Confidence = "2999-01-01T00:00:00Z", 1 }, Ignore, nil, ""},
		"an offset counts":            {func(c *fact.Candidate) { c.Timestamp, c.Confidence = "2026-06-14T16:00:00+04:00", 1 }, Expire, age, ""},
		"confidence 0 is retracted":   {func(c *fact.Candidate) { c.Confidence = 0 }, Expire, age, ""},
		"expired before":              {func(c *fact.Candidate) { c.ValidUntil = ptr("2026-06-15T12:00:00Z") }, Ignore, nil, ""},
		"expires at as-of":            {func(c *fact.Candidate) { c.ValidUntil = ptr("2026-06-15T12:00:00.5Z") }, Ignore, nil, ""},
		"expires later":               {func(c *fact.Candidate) { c.ValidUntil = ptr("2026-06-15T12:00:00.500001Z") }, Expire, floor, ""},
		"override expired":            {override(fact.Override{ValidUntil: ptr("2026-06-15T00:00:00Z")}), Ignore, nil, ""},
		"override expires later":      {override(fact.Override{ValidUntil: ptr("2027-06-15T00:00:00Z")}), Expire, floor, ""},
		"override rejected":           {override(fact.Override{Confidence: ptr(0.0)}), Expire, age, ""},
		"override raised":             {override(fact.Override{Confidence: ptr(0.9)}), Expire, age, ""},
		"stigmem: entity":             {func(c *fact.Candidate) { c.Entity = "stigmem:node:1" }, Keep, both, System},
		"upper-case stigmem:":         {func(c *fact.Candidate) { c.Relation = "STIGMEM:ttl" }, Keep, both, System},
		"stigmem:// is content":       {func(c *fact.Candidate) { c.Relation = "stigmem://x/y" }, Expire, both, ""},
		"STIGMEM:// too":              {func(c *fact.Candidate) { c.Relation = "STIGMEM://x/y" }, Expire, both, ""},
		"stigmem:/ is not":            {func(c *fact.Candidate) { c.Entity = "stigmem:/x" }, Keep, both, System},
		"a leading blank is content":  {func(c *fact.Candidate) { c.Entity = " stigmem:x" }, Expire, both, ""},
		"stigmemory: is content":      {func(c *fact.Candidate) { c.Entity = "stigmemory:x" }, Expire, both, ""},
		"rel: relation":               {func(c *fact.Candidate) { c.Relation = "rel:knows" }, Keep, both, Rel},
		"rel: entity is content":      {func(c *fact.Candidate) { c.Entity = "rel:x" }, Expire, both, ""},
		"relations: is content":       {func(c *fact.Candidate) { c.Relation = "relations:x" }, Expire, both, ""},
		"legal hold":                  {func(c *fact.Candidate) { c.LegalHold = true }, Keep, both, LegalHold},
		"pending":                     {func(c *fact.Candidate) { c.QuarantinePending = true }, Keep, both, QuarantinePending},
		"the first protection counts": {func(c *fact.Candidate) { c.LegalHold, c.QuarantinePending, c.Relation = true, true, "rel:x" }, Keep, both, Rel},
		"protections of no matter":    {func(c *fact.Candidate) { c.LegalHold, c.Timestamp, c.Confidence = true, "2026-06-15T12:00:00Z", 1 }, Ignore, nil, ""},
		"unreadable stamp":            {func(c *fact.Candidate) { c.Timestamp, c.Confidence = "not a date", 1 }, Keep, nil, UnreadableTimestamp},
		"unreadable, but below":       {func(c *fact.Candidate) { c.Timestamp = "not a date" }, Expire, floor, ""},
		"unreadable, has an expiry":   {func(c *fact.Candidate) { c.Timestamp, c.Confidence, c.ValidUntil = "not a date", 1, ptr("2027-01-01") }, Ignore, nil, ""},
		"unreadable system fact":      {func(c *fact.Candidate) { c.Timestamp, c.Confidence, c.Entity = "not a date", 1, "stigmem:x" }, Keep, nil, System},
		"unreadable expiry":           {func(c *fact.Candidate) { c.ValidUntil = ptr("tomorrow") }, Keep, both, UnreadableValidUntil},
		"unreadable expiry, old":      {func(c *fact.Candidate) { c.ValidUntil, c.Confidence = ptr(""), 1 }, Keep, age, UnreadableValidUntil},
		"unreadable expiry, neither":  {func(c *fact.Candidate) { c.ValidUntil, c.Confidence, c.Timestamp = ptr(""), 1, "2026-06-15" }, Ignore, nil, ""},
		"unreadable both":             {func(c *fact.Candidate) { c.ValidUntil, c.Confidence, c.Timestamp = ptr(""), 1, "x" }, Ignore, nil, ""},
	} {
		got := oneDayAndHalf.Decide(stale(test.change), asOf)
		if got.Action != test.action || got.Kept != test.kept || len(got.Rules) != len(test.rules) || len(got.Rules) > 0 && !reflect.DeepEqual(got.Rules, test.rules) {
			t.Errorf("%s: got %+v, want action %d, rules %v, kept %q", name, got, test.action, test.rules, test.kept)
		}
	}
}

func TestDecideWithOneRule(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		set    Set
		change func(*fact.Candidate)
		want   Verdict
	}{
		"ttl 0 takes what is stamped up to now": {Set{TTL: ptr(TTL(0))}, func(c *fact.Candidate) { c.Timestamp = fact.FormatInstant(asOf) }, Verdict{Action: Expire, Rules: []string{NameTTL}}},
		"ttl 0 leaves what is stamped later":    {Set{TTL: ptr(TTL(0))}, func(c *fact.Candidate) { c.Timestamp = fact.FormatInstant(asOf.Add(time.Microsecond)) }, Verdict{}},
		"a ttl beyond the calendar":             {Set{TTL: ptr(TTL(1e11))}, func(c *fact.Candidate) { c.Timestamp = "0001-01-01" }, Verdict{}},
		"the longest ttl":                       {Set{TTL: ptr(TTL(1<<63 - 1))}, func(c *fact.Candidate) { c.Timestamp = "0001-01-01" }, Verdict{}},
		"equal to the floor":                    {Set{Floor: ptr(Floor(0.7))}, func(c *fact.Candidate) { c.Confidence = 0.7 }, Verdict{}},
		"floor 1 spares certainty":              {Set{Floor: ptr(Floor(1))}, func(c *fact.Candidate) { c.Confidence = 1 }, Verdict{}},
		"no age rule, unreadable stamp":         {Set{Floor: ptr(Floor(0.2))}, func(c *fact.Candidate) { c.Timestamp = "x" }, Verdict{}},
		"no rule":                               {Set{}, func(c *fact.Candidate) {}, Verdict{}},
	} {
		if got := test.set.Decide(stale(test.change), asOf); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: got %+v, want %+v", name, got, test.want)
		}
	}
}

// TestEndedSince: an expiry counts as one from the very instant on, by the clock of now, and never before as-of.
func TestEndedSince(t *testing.T) {
	t.Parallel()
	end := asOf.Add(time.Hour)
	c := stale(func(c *fact.Candidate) { c.ValidUntil = ptr(fact.FormatInstant(end)) })
	for _, test := range []struct {
		now    time.Time
		action Action
		kept   Protection
	}{
		{asOf.Add(-24 * time.Hour), Expire, ""},
		{end.Add(-time.Microsecond), Expire, ""},
		{end, Keep, ChangedMeanwhile},
		{end.Add(time.Hour), Keep, ChangedMeanwhile},
	} {
		j := oneDayAndHalf.Judge(asOf, test.now)
		if v := j.Decide(c); v.Action != test.action || v.Kept != test.kept || j.Live(c) != (test.kept == "") {
			t.Errorf("at %s: %+v", test.now, v)
		}
	}
	if v := oneDayAndHalf.Judge(asOf, end).Decide(stale(func(c *fact.Candidate) { c.ValidUntil = ptr(fact.FormatInstant(asOf)) })); v.Action != Ignore {
		t.Errorf("expired at as-of: %+v", v)
	}
}

func TestRetracts(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(*fact.Candidate)
		want   bool
	}{
		"both":  {func(c *fact.Candidate) {}, true},
		"floor": {func(c *fact.Candidate) { c.Timestamp = "2026-06-15T12:00:00Z" }, true},
		"age":   {func(c *fact.Candidate) { c.Confidence = 1 }, false},
		"kept":  {func(c *fact.Candidate) { c.LegalHold = true }, false},
	} {
		if got := oneDayAndHalf.Decide(stale(test.change), asOf).Retracts(); got != test.want {
			t.Errorf("%s: retracts %v, want %v", name, got, test.want)
		}
	}
}

func TestReason(t *testing.T) {
	t.Parallel()
	c := stale(func(*fact.Candidate) {})
	if got, want := oneDayAndHalf.Reason(c, oneDayAndHalf.Decide(c, asOf), asOf), "14d old, ttl 1d; confidence 0.3 below 0.5"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// anyCandidate draws facts near every edge of the rules.
func anyCandidate(t *rapid.T) *fact.Candidate {
	stamp := rapid.SampledFrom([]string{
		"2026-06-14T12:00:00.500000+00:00", "2026-06-14T12:00:00.500001+00:00", "2026-06-15T12:00:00.500000+00:00",
		"2026-06-15T12:00:00.5Z", "2027-01-01", "2020-01-01T00:00:00+09:00", "", "tomorrow",
	})
	maybe := func(name string) *string {
		if rapid.Bool().Draw(t, name+" null") {
			return nil
		}
		return ptr(stamp.Draw(t, name))
	}
	confidence := rapid.SampledFrom([]float64{0, 0.3, 0.5, 0.7, 1})
	c := &fact.Candidate{Fact: fact.Fact{
		Entity:    rapid.SampledFrom([]string{"a", "stigmem:x", "stigmem://x"}).Draw(t, "entity"),
		Relation:  rapid.SampledFrom([]string{"a", "rel:x", "Stigmem:ttl"}).Draw(t, "relation"),
		Timestamp: stamp.Draw(t, "timestamp"), ValidUntil: maybe("valid_until"), Confidence: confidence.Draw(t, "confidence"),
	}, Context: fact.Context{LegalHold: rapid.Bool().Draw(t, "hold"), QuarantinePending: rapid.Bool().Draw(t, "pending")}}
	if rapid.Bool().Draw(t, "overridden") {
		c.Override = &fact.Override{ValidUntil: maybe("override valid_until")}
		if rapid.Bool().Draw(t, "override confidence") {
			c.Override.Confidence = ptr(confidence.Draw(t, "override confidence"))
		}
	}
	return c
}

func anySet(t *rapid.T) Set {
	var s Set
	if rapid.Bool().Draw(t, "ttl") {
		s.TTL = ptr(rapid.SampledFrom([]TTL{0, 60, 86400, 1e11}).Draw(t, "seconds"))
	}
	if rapid.Bool().Draw(t, "floor") {
		s.Floor = ptr(rapid.SampledFrom([]Floor{0.3, 0.5, 0.7, 1}).Draw(t, "floor"))
	}
	return s
}

func TestDecideDependsOnWhatMattersOnly(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		set, c := anySet(t), anyCandidate(t)
		first := set.Decide(c, asOf)

		other := *c
		other.ID, other.Tenant, other.Scope = rapid.String().Draw(t, "id"), rapid.String().Draw(t, "tenant"), "public"
		if c.Override != nil {
			o := *c.Override
			o.Reason, o.UpdatedAt, o.UpdatedBy = ptr("x"), "y", ptr("z")
			other.Override = &o
		}
		if second := set.Decide(&other, asOf.In(time.FixedZone("", 3600))); !reflect.DeepEqual(first, second) {
			t.Fatalf("%+v, then %+v for the same fact", first, second)
		}

		// An expired fact is of no concern, and neither is a live one that is swept: twice is once.
		if first.Action != Ignore && !Live(c, asOf) {
			t.Fatalf("%+v for an expired fact", first)
		}
		if first.Action == Expire {
			swept := *c
			swept.Override = &fact.Override{ValidUntil: ptr(fact.FormatInstant(asOf))}
			if again := set.Decide(&swept, asOf); again.Action != Ignore {
				t.Fatalf("%+v for a swept fact", again)
			}
		}
	})
}
