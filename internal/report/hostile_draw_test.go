package report

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"

	"decayctl/internal/fact"
	"decayctl/internal/job"
	"decayctl/internal/rule"
	"decayctl/internal/stats"
	"decayctl/internal/sweep"
)

// hostile draws text with more of what must not reach a terminal than chance would bring.
var hostile = rapid.Custom(func(t *rapid.T) string {
	nasty := rapid.SampledFrom([]string{
		"\x1b[31m", "\x1b]0;title\a", "\n", "\r", "\t", "\x00", "\x7f", "\u0085", "\u009b2J", "\u202e", "\u2066", "\u200b", "\u2028",
		"\ufeff", "\u00a0", "\U000e0041", "\U0001f600", "\xff", "\xed\xa0\x80", "喜", "e\u0301", "\\", `"`, "<&>",
		"<script>", "</code>", "<!--", "[a](https://x.example)", "![a](https://x.example)", "](javascript:x)", "![", "|", "`", "``", "**", "@all", "#1", "https://x.example", "www.x.example", "&lt;", "- ", "> ",
	})
	return strings.Join(rapid.SliceOfN(rapid.OneOf(nasty, rapid.String()), 0, 6).Draw(t, "parts"), "")
})

func drawer(t *rapid.T) (draw func(label string) string, count func(label string) int64) {
	return func(label string) string { return hostile.Draw(t, label) },
		func(label string) int64 { return rapid.Int64Range(0, 1e12).Draw(t, label) }
}

func hostileJob(t *rapid.T) job.Job {
	draw, count := drawer(t)
	j := job.Job{
		ID: draw("job"), Node: rapid.Bool().Draw(t, "node"), Rules: rules("90d", "0.4"), AsOf: asOf, Created: asOf,
		State: rapid.OneOf(rapid.SampledFrom(job.States), rapid.Map(hostile, func(s string) job.State { return job.State(s) })).Draw(t, "state"),
		Scope: draw("asked scope"), Tenant: draw("asked tenant"), StopReason: draw("stop reason"),
		Workers: []job.Worker{{Owner: job.Owner{Host: draw("host"), PID: 1}, Live: rapid.Bool().Draw(t, "live")}},
		Counts: job.Counts{
			Examined: count("examined"), Selected: count("selected"), Decayed: count("decayed"), Restored: count("restored"), FailedCount: 1,
			Kept:    map[rule.Protection]int64{rule.Rel: count("kept"), rule.ChangedMeanwhile: count("changed")},
			Failed:  []job.Failure{{FactID: draw("failed id"), Error: draw("error")}},
			Tenants: map[string]int64{},
		},
	}
	for range rapid.IntRange(0, 25).Draw(t, "tenants") {
		j.Counts.Tenants[draw("tenant")] += count("facts")
	}
	return j
}

func hostileRun(t *rapid.T) Run {
	return Run{Target: hostile.Draw(t, "target"), Job: hostileJob(t), Notes: []string{hostile.Draw(t, "note")}, Now: asOf}
}

func hostileDryRun(t *rapid.T) Run {
	draw, count := drawer(t)
	r := hostileRun(t)
	r.Job.ID, r.Job.Node, r.Job.State, r.Job.Workers = "", false, job.Done, nil
	r.Preview = &sweep.Result{Counts: r.Job.Counts, Groups: map[job.GroupKey]*sweep.Group{}}
	for range rapid.IntRange(0, 25).Draw(t, "groups") {
		key := job.GroupKey{Tenant: draw("tenant"), Scope: draw("scope"), Relation: draw("relation")}
		r.Preview.Groups[key] = both(count("ttl"), count("floor"), 0)
	}
	if rapid.Bool().Draw(t, "pictures") {
		r.Stats = statistics()
		r.Stats.Groups = append(r.Stats.Groups, stats.Group{Tenant: draw("tenant"), Scope: draw("scope"), Relation: draw("relation"), Counts: stats.Counts{stats.Live: 1}})
		r.Stats.Forecast.Rules = append(r.Stats.Forecast.Rules, stats.RuleSeries{Rule: rule.NamePolicy + draw("policy"), Series: r.Stats.Forecast.Total})
	}
	until := draw("valid until")
	r.Preview.Samples = []sweep.Sample{{
		Fact: fact.Candidate{Fact: fact.Fact{
			ID: draw("id"), Entity: draw("entity"), Relation: draw("relation"), Tenant: draw("tenant"), Scope: draw("scope"),
			Timestamp: draw("timestamp"), ValidUntil: &until, Confidence: rapid.Float64().Draw(t, "confidence"),
		}},
		Reason: draw("reason"),
	}}
	return r
}

func hostileForecast(t *rapid.T) Forecast {
	draw, count := drawer(t)
	r := Forecast{Target: draw("target"), Rules: rules("90d", "0.4"), Scope: draw("asked scope"), Tenant: draw("asked tenant"), Notes: []string{draw("note")}}
	r.Forecast = forecast(30)
	r.Forecast.By = stats.ByRelation
	r.Forecast.Rules = append(r.Forecast.Rules, stats.RuleSeries{Rule: rule.NamePolicy + draw("policy"), Series: r.Forecast.Total})
	for range rapid.IntRange(0, 25).Draw(t, "groups") {
		r.Forecast.Groups = append(r.Forecast.Groups, stats.GroupSeries{Key: draw("relation"), Live: count("live"), Series: r.Forecast.Total})
	}
	return r
}

// hostileDocument draws any document there is.
func hostileDocument(t *rapid.T) writer {
	if rapid.IntRange(0, 6).Draw(t, "document") == 0 {
		return Jobs{Target: hostile.Draw(t, "target"), Each: each(hostileJob(t), hostileJob(t)), Now: asOf}
	}
	return hostilePage(t)
}

func hostileChange(t *rapid.T) job.Change {
	draw, _ := drawer(t)
	text := func(label string) *string {
		if rapid.Bool().Draw(t, label+" is null") {
			return nil
		}
		s := draw(label)
		return &s
	}
	override := func() fact.Override {
		confidence := rapid.Float64().Draw(t, "confidence")
		return fact.Override{ValidUntil: text("valid until"), Confidence: &confidence, Reason: text("reason"), UpdatedAt: draw("updated at"), UpdatedBy: text("updated by")}
	}
	before := override()
	return job.Change{
		FactID: draw("fact"), After: override(), Before: &before, Retraction: draw("retraction"), Edge: &fact.Edge{ValidUntil: text("edge")},
	}
}

func assertHarmless(t *rapid.T, what, s string, also string) {
	t.Helper()
	if !utf8.ValidString(s) {
		t.Fatalf("%s is not UTF-8: %q", what, s)
	}
	for _, r := range s {
		if !unicode.IsPrint(r) && !strings.ContainsRune(also, r) {
			t.Fatalf("%s holds %U: %q", what, r, s)
		}
	}
}

// valid is what becomes of bytes that are not UTF-8: each is U+FFFD.
func valid(s string) string { return string([]rune(s)) }
