package report

import (
	"time"

	"decayctl/internal/fact"
	"decayctl/internal/job"
	"decayctl/internal/rule"
	"decayctl/internal/sweep"
)

// policySet has a policy of every mode.
func policySet() rule.Set {
	hour, month := rule.TTL(3600), rule.TTL(30*86400)
	s := rules("90d", "0.1")
	s.Policies = []rule.Policy{
		{ID: "heartbeats", Relation: "agent:heartbeat", Mode: rule.ModeExpire, TTL: &hour, KeepLast: 1},
		{ID: "context\u202e", Relation: "memory:*", Source: "agent:*", Scope: "team", Tenant: "acme", Mode: rule.ModeConfidence, HalfLife: month, MinConfidence: 0.2, MinStep: 0.01},
		{ID: "roadmap", Relation: "roadmap:*", Entity: "project:*", Mode: rule.ModeRetract, TTL: &month, Exempt: []string{"roadmap:owner", "roadmap:due"}},
		{ID: "trial", Relation: "*", Mode: rule.ModeDryRun, TTL: &month, HalfLife: month, MinStep: 0.01},
	}
	return s
}

func policyCounts() job.Counts {
	return job.Counts{
		Examined: 20000, Selected: 3100, Decayed: 3100, Reduced: 1200, ReducedOnly: 1100,
		ByRule: map[string]int64{rule.NameTTL: 1500, rule.NameFloor: 250, "policy:heartbeats": 300, "policy:context\u202e": 1200, "policy:roadmap": 50},
		Kept:   map[rule.Protection]int64{rule.Exempt: 7, rule.KeptAsNewest: 40, rule.Rel: 3},
		Would:  map[string]job.Would{"trial": {Retract: 2500, Reduce: 800}}, Tenants: map[string]int64{"default": 3100},
		Batches: 2, LongestLock: 40 * time.Millisecond,
	}
}

// sweptByPolicies is a job with everything that policies bring.
func sweptByPolicies() Run {
	r := swept()
	r.Job.Rules, r.Job.Counts = policySet(), policyCounts()
	return r
}

// dryRunByPolicies is the dry run of it, with one policy alone.
func dryRunByPolicies() Run {
	r := dryRun()
	r.Job.Rules = policySet()
	r.Job.Rules.TTL, r.Job.Rules.Floor, r.Job.Rules.Only = nil, nil, "context\u202e"
	r.Preview = &sweep.Result{Total: 20000, Counts: job.Counts{
		Examined: 20000, Selected: 1200, Reduced: 1200, ReducedOnly: 1200, ByRule: map[string]int64{"policy:context\u202e": 1200}, Tenants: map[string]int64{"acme": 1200},
	}, Groups: map[job.GroupKey]*sweep.Group{
		{Tenant: "acme", Scope: "team", Relation: "memory:context"}: {Facts: 1200, ByRule: map[string]int64{"policy:context\u202e": 1200}},
	}}
	r.Notes = nil
	return r
}

// explainedFading is a fact that one policy fades, one is not about, and one only counts.
func explainedFading() Explanation {
	set := policySet()
	c := fact.Candidate{
		Fact: fact.Fact{
			ID: "0193a7f2-5c1e-7b31-9a52-d0b6a1c3e4f5", Entity: "user:\x1b[2Jalice", Relation: "memory:context", Source: "agent:planner", Tenant: "acme", Scope: "team",
			Timestamp: fact.FormatInstant(asOf.AddDate(0, 0, -45)), Confidence: 0.8,
		},
		Context: fact.Context{Override: &fact.Override{Confidence: ptr(0.5), Reason: ptr("decay_policy:context"), UpdatedAt: "2026-11-01T03:17:00+00:00", UpdatedBy: ptr("stigmem:system:decay")}},
	}
	x := sweep.Explained{Fact: c, Explanation: set.Judge(asOf, asOf).Explain(&c)}
	x.Reason = set.Reason(&c, x.Verdict, asOf)
	return Explanation{Target: "sqlite:stigmem.db", AsOf: asOf, Rules: set, Explained: x}
}

// explainedKept is a fact that keep_last keeps, outside of the settings' scope.
func explainedKept() Explanation {
	set := policySet()
	c := fact.Candidate{
		Fact:    fact.Fact{ID: "h", Entity: "agent:7", Relation: "agent:heartbeat", Source: "agent:7", Tenant: "default", Scope: "local", Timestamp: "2026-11-23T12:00:00Z", Confidence: 1},
		Context: fact.Context{Newest: true},
	}
	x := sweep.Explained{Fact: c, Outside: "its scope is not team", NeedsRank: true, Explanation: set.Judge(asOf, asOf).Explain(&c)}
	return Explanation{Target: "sqlite:stigmem.db", AsOf: asOf, Rules: set, Explained: x, Notes: []string{"another process is writing to this store"}}
}

func shownPolicies() Policies {
	return Policies{
		Rules: policySet(), Origin: "--policies", TTLOrigin: "DECAYCTL_TTL",
		Place: func(id string) string { return "policies.yaml:3" },
		Field: func(id, field string) string {
			if field == "relation" || field == "mode" {
				return "policies.yaml:4"
			}
			return ""
		},
	}
}

func checkedPolicies() Checked {
	found := &sweep.Survey{Live: map[string]int64{"team": 1000, "local": 12000}, Policies: map[string]*sweep.Surveyed{
		"heartbeats": {Matched: 11000, Expires: map[string]int64{"local": 10000, "team": 90}, Kept: 110}, "context\u202e": {Matched: 900, Expires: map[string]int64{"team": 800}, Reduces: 95, Kept: 5},
		"roadmap": {Matched: 7, Kept: 2}, "trial": {},
	}}
	return Checked{Target: target, Rules: policySet(), Found: found, Warnings: []Warning{
		{Policy: "context\u202e", Code: "expires_most", Text: "it would expire " + Share(800, 1000) + " live facts in scope team"},
		{Policy: "trial", Code: "matches_nothing", Text: "it matches no live fact in this store"},
	}, Notes: []string{"another process is writing to this store"}}
}

func policyNotices() map[string]writer {
	return map[string]writer{
		"explained": explainedFading(), "explained-kept": explainedKept(), "policies": shownPolicies(), "policies-none": Policies{},
		"forecast": forecastForTwoDays(), "checked": checkedPolicies(), "checked-well": Checked{Rules: policySet(), Notes: []string{"no store was looked at"}},
	}
}
