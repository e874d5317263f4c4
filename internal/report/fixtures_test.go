package report

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"decayctl/internal/fact"
	"decayctl/internal/rule"
	"decayctl/internal/sweep"
)

var asOf = time.Date(2026, 11, 23, 17, 15, 0, 123456000, time.UTC)

func ptr[T any](v T) *T { return &v }

func rules(ttl, floor string) rule.Set {
	var s rule.Set
	s.TTL, _ = rule.ParseTTL(ttl)
	s.Floor, _ = rule.ParseFloor(floor)
	return s
}

// both is a group of facts: by ttl, by floor, and how many of them by both.
func both(ttl, floor, both int64) *sweep.Group {
	g := &sweep.Group{Facts: ttl + floor - both, ByRule: map[string]int64{}}
	if ttl > 0 {
		g.ByRule[rule.NameTTL] = ttl
	}
	if floor > 0 {
		g.ByRule[rule.NameFloor] = floor
	}
	return g
}

func dryRun() Run {
	result := &sweep.Result{
		Total: 19500, Examined: 20000,
		Kept: map[rule.Protection]int64{rule.System: 600, rule.LegalHold: 400, rule.UnreadableTimestamp: 20},
		Groups: map[sweep.GroupKey]*sweep.Group{
			{Tenant: "default", Scope: "local", Relation: "memory:context"}: both(6000, 2000, 500),
			{Tenant: "default", Scope: "team", Relation: "roadmap:status"}:  both(2000, 700, 300),
			{Tenant: "acme", Scope: "company", Relation: "喜欢"}:              both(300, 0, 0),
		},
		Other:  *both(200, 70, 36),
		Oldest: time.Date(2025, 10, 19, 3, 12, 0, 0, time.UTC), Newest: time.Date(2026, 8, 25, 17, 14, 59, 0, time.UTC),
		Samples: []sweep.Sample{
			{
				Fact: fact.Candidate{Fact: fact.Fact{
					ID: "0193a7f2-5c1e-7b31-9a52-d0b6a1c3e4f5", Entity: "user:alice", Relation: "memory:context", Tenant: "default",
					Scope: "local", Timestamp: "2025-10-19T03:12:00.000000+00:00", Confidence: 0.3,
				}},
				Rules: []string{rule.NameTTL, rule.NameFloor}, Reason: "400d old, ttl 90d; confidence 0.3 below 0.4",
			},
			{
				Fact: fact.Candidate{
					Fact: fact.Fact{
						ID: "imported\x1b[2J-7", Entity: "user:bob", Relation: "roadmap:status", Tenant: "acme",
						Scope: "team", Timestamp: "2026-11-01", Confidence: 0.9,
					},
					Context: fact.Context{Override: &fact.Override{ValidUntil: ptr("2027-01-01T00:00:00Z"), Confidence: ptr(0.25)}},
				},
				Rules: []string{rule.NameFloor}, Reason: "confidence 0.25 below 0.4",
			},
		},
	}
	result.ByRule, result.Selected = sums(result)
	return Run{
		Target: "sqlite:stigmem.db", Status: StatusDone, Result: result,
		Params:  sweep.Params{Rules: rules("90d", "0.4"), AsOf: asOf, DryRun: true, Samples: 2},
		Started: asOf, Completed: asOf.Add(310 * time.Millisecond),
		Notes: []string{"another process is writing to this store"},
	}
}

// manyGroups is a dry run with more groups than the table shows.
func manyGroups() Run {
	r := dryRun()
	for i := range 25 {
		key := sweep.GroupKey{Tenant: "default", Scope: "local", Relation: fmt.Sprintf("note:%02d", i)}
		r.Result.Groups[key] = both(20, 5, 1)
	}
	r.Result.Groups[sweep.GroupKey{Tenant: "acme", Scope: "public", Relation: strings.Repeat("a very long name ", 6)}] = both(0, 200, 0)
	r.Result.Other = sweep.Group{}
	r.Result.ByRule, r.Result.Selected = sums(r.Result)
	return r
}

// sums are what the groups say of the whole. They fill in the tenants, too; the other groups are of
// the default one.
func sums(result *sweep.Result) (byRule map[string]int64, facts int64) {
	byRule, result.Tenants = map[string]int64{}, map[string]*sweep.Group{}
	add := func(name string, g *sweep.Group) {
		if g.Facts == 0 {
			return
		}
		tenant := result.Tenants[name]
		if tenant == nil {
			tenant = &sweep.Group{ByRule: map[string]int64{}}
			result.Tenants[name] = tenant
		}
		facts += g.Facts
		tenant.Facts += g.Facts
		for name, n := range g.ByRule {
			byRule[name] += n
			tenant.ByRule[name] += n
		}
	}
	for key, g := range result.Groups {
		add(key.Tenant, g)
	}
	add("default", &result.Other)
	return byRule, facts
}

func swept() Run {
	r := Run{
		Target: "postgres://stigmem:xxxxx@db.example.com:5432/stigmem", Status: StatusDone,
		Params:  sweep.Params{Rules: rules("90d", "0.4"), AsOf: asOf},
		Started: asOf, Completed: asOf.Add(7410 * time.Millisecond),
		Result: &sweep.Result{
			Total: 19500, Examined: 20000, Selected: 11234, Decayed: 11202,
			ByRule: map[string]int64{rule.NameTTL: 9000, rule.NameFloor: 3068},
			Kept: map[rule.Protection]int64{
				rule.System: 600, rule.Rel: 12, rule.LegalHold: 400, rule.QuarantinePending: 3, rule.UnreadableTimestamp: 20,
				rule.UnreadableValidUntil: 1, sweep.ChangedMeanwhile: 31,
			},
			Groups: map[sweep.GroupKey]*sweep.Group{
				{Tenant: "default", Scope: "local", Relation: "memory:context"}: both(7999, 2757, 857),
				{Tenant: "default", Scope: "team", Relation: "roadmap:status"}:  both(700, 300, 9),
				{Tenant: "acme", Scope: "team", Relation: "roadmap:status"}:     both(344, 0, 0),
			},
			FailedCount: 1, Batches: 12, LongestLock: 85*time.Millisecond + 400*time.Microsecond, Retries: 2,
		},
	}
	_, _ = sums(r.Result)
	r.Result.Failed = []sweep.Failure{{FactID: "0193a7f2-77aa-7d40-8c15-5e1f0a9b2c3d", Error: "the database refuses it: index row size exceeds maximum"}}
	return r
}

// manyFailures is a sweep with more failed facts than the text shows.
func manyFailures() Run {
	r := swept()
	for i := range 11 {
		r.Result.Failed = append(r.Result.Failed, sweep.Failure{FactID: fmt.Sprintf("fact-%02d", i), Error: "value too long\nfor index"})
	}
	r.Result.FailedCount, r.Result.Decayed = 12, r.Result.Decayed-11
	r.Result.ByRule[rule.NameTTL] -= 11
	return r
}

func interrupted() Run {
	r := swept()
	r.Status, r.StopReason, r.Completed = StatusPaused, "interrupted by a signal", time.Time{}
	r.Params.Rules, r.Params.Scope, r.Params.Tenant = rules("12h", "0"), "team", "acme"
	r.Result = &sweep.Result{
		Total: 50000, Examined: 20000, Selected: 5000, Decayed: 5000, ByRule: map[string]int64{rule.NameTTL: 5000},
		Kept: map[rule.Protection]int64{}, Batches: 1, LongestLock: 1200 * time.Millisecond,
		Groups: map[sweep.GroupKey]*sweep.Group{{Tenant: "acme", Scope: "team", Relation: "a"}: {Facts: 5000, ByRule: map[string]int64{rule.NameTTL: 5000}}},
	}
	_, _ = sums(r.Result)
	return r
}

func nothingToDo() Run {
	r := swept()
	r.Params.Rules = rules("off", "0.4")
	r.Result = &sweep.Result{Total: 1, Examined: 1, ByRule: map[string]int64{rule.NameFloor: 0}, Kept: map[rule.Protection]int64{}}
	return r
}

func failedDryRun() Run {
	r := dryRun()
	r.Status, r.StopReason = StatusFailed, "the connection was lost"
	r.Params.Rules = rules("9999y", "0.4")
	r.Result = &sweep.Result{Total: 20000, ByRule: map[string]int64{}, Kept: map[rule.Protection]int64{rule.Rel: 1}}
	r.Notes = nil
	return r
}

func render(t *testing.T, r Run, s Style) string {
	t.Helper()
	var b strings.Builder
	if err := r.WriteText(&b, s); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
