package report

import (
	"fmt"
	"io"
	"strings"
	"time"

	"decayctl/internal/fact"
	"decayctl/internal/job"
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
		Total: 19500,
		Counts: job.Counts{
			Examined: 20000, Kept: map[rule.Protection]int64{rule.System: 600, rule.LegalHold: 400, rule.UnreadableTimestamp: 20},
		},
		Groups: map[job.GroupKey]*sweep.Group{
			{Tenant: "default", Scope: "local", Relation: "memory:context"}: both(6000, 2000, 500),
			{Tenant: "default", Scope: "team", Relation: "roadmap:status"}:  both(2000, 700, 300),
			{Tenant: "acme", Scope: "company", Relation: "喜欢"}:              both(300, 0, 0),
		},
		Other:  *both(200, 70, 36),
		Oldest: ptr(time.Date(2025, 10, 19, 3, 12, 0, 0, time.UTC)), Newest: ptr(time.Date(2026, 8, 25, 17, 14, 59, 0, time.UTC)),
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
	sum(result)
	return Run{
		Target: "sqlite:stigmem.db", Preview: result,
		Job:   job.Job{State: job.Done, Rules: rules("90d", "0.4"), AsOf: asOf, Started: asOf, Completed: asOf.Add(310 * time.Millisecond)},
		Notes: []string{"another process is writing to this store"},
		Made:  Made{Version: "1.2.3", Command: "decayctl dry-run --ttl 90d --min-confidence 0.4 --all-tenants -o html"},
	}
}

// manyGroups is a dry run with more groups than the table shows.
func manyGroups() Run {
	r := dryRun()
	for i := range 25 {
		key := job.GroupKey{Tenant: "default", Scope: "local", Relation: fmt.Sprintf("note:%02d", i)}
		r.Preview.Groups[key] = both(20, 5, 1)
	}
	r.Preview.Groups[job.GroupKey{Tenant: "acme", Scope: "public", Relation: strings.Repeat("a very long name ", 6)}] = both(0, 200, 0)
	r.Preview.Other = sweep.Group{}
	sum(r.Preview)
	return r
}

// nothingToExpire is a dry run that found nothing, by a rule that cannot find anything.
func nothingToExpire() Run {
	r := dryRun()
	r.Job.Rules = rules("9999y", "off")
	r.Preview = &sweep.Result{Total: 20000, Counts: job.Counts{Examined: 20001, Kept: map[rule.Protection]int64{rule.Rel: 1}}}
	r.Notes = nil
	return r
}

// sum fills in what the groups say of the whole. The other groups are of the default tenant.
func sum(result *sweep.Result) {
	result.Selected, result.ByRule, result.Tenants = 0, nil, nil
	add := func(tenant string, g *sweep.Group) {
		if g.Facts > 0 {
			result.Add(job.Counts{Selected: g.Facts, ByRule: g.ByRule, Tenants: map[string]int64{tenant: g.Facts}})
		}
	}
	for key, g := range result.Groups {
		add(key.Tenant, g)
	}
	add("default", &result.Other)
}

// tester is what testing and rapid have in common.
type tester interface {
	Helper()
	Fatal(args ...any)
}

// writer is what every document can do.
type writer interface {
	WriteJSON(w io.Writer) error
	WriteText(w io.Writer, s Style) error
}

// asText renders a document for people, and asJSON for programs.
func asText(t tester, d writer, s Style) string {
	t.Helper()
	var b strings.Builder
	if err := d.WriteText(&b, s); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func asJSON(t tester, d writer) string {
	t.Helper()
	var b strings.Builder
	if err := d.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// pageWriter is what a document can do that is also shown as a page.
type pageWriter interface {
	WriteMarkdown(w io.Writer) error
	WriteHTML(w io.Writer) error
}

func asMarkdown(t tester, d pageWriter) string {
	t.Helper()
	var b strings.Builder
	if err := d.WriteMarkdown(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func asHTML(t tester, d pageWriter) string {
	t.Helper()
	var b strings.Builder
	if err := d.WriteHTML(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// pages are what is shown as a page, one of each kind, by the names of their golden files.
func pages() map[string]pageWriter {
	return map[string]pageWriter{
		"dry-run": dryRun(), "pictured": pictured(), "many-groups": manyGroups(), "nothing-to-expire": nothingToExpire(), "policies-sweep": sweptByPolicies(),
		"running": running(), "left-behind": leftBehind(), "failed-facts": failing(12), "undone": undone(), "node-done": nodes(job.Done),
		"unusual": runs()["unusual"], "dry-run-unusual": runs()["dry-run-unusual"], "checked": notices()["checked"].(pageWriter), "checked-well": notices()["checked-well"].(pageWriter),
		"forecast": forecastForTwoDays(), "forecast-30": forecasts()["forecast-30"], "forecast-bounded": forecastBounded(), "forecast-nothing": forecasts()["forecast-nothing"],
		"no-job": notices()["no-job"].(pageWriter), "detached": notices()["detached"].(pageWriter), "undoable": notices()["undoable"].(pageWriter),
	}
}

func asError(t tester, code, message, detail string, exit int) string {
	t.Helper()
	var b strings.Builder
	if err := WriteErrorJSON(&b, code, message, detail, exit); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// stream renders changes in one of their forms.
func stream(t tester, form string, list ...job.Change) string {
	t.Helper()
	var b strings.Builder
	c, err := NewChanges(&b, form)
	if err != nil {
		t.Fatal(err)
	}
	for _, change := range list {
		if err := c.Write(change); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
