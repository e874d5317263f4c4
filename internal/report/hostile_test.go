package report

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	east "github.com/yuin/goldmark/extension/ast"
	"github.com/yuin/goldmark/text"
	"pgregory.net/rapid"

	"decayctl/internal/fact"
	"decayctl/internal/job"
	"decayctl/internal/rule"
	"decayctl/internal/stats"
	"decayctl/internal/sweep"
)

func TestClean(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":                      "",
		"user:alice <喜欢> é \\n": "user:alice <喜欢> é \\n",
		"a\nb\tc\r\x00":         `a\nb\tc\r\x00`,
		"\x1b[2J\x7f":           `\x1b[2J\x7f`,
		"\u009b1m\u0085":        `\u009b1m\u0085`,
		"\u202eevil\u2066":      `\u202eevil\u2066`,
		"zero\u200bwidth\ufeff": `zero\u200bwidth\ufeff`,
		"\u2028\u00a0\u00ad":    `\u2028\u00a0\u00ad`,
		"\U000e0041":            `\U000e0041`,
		"\xff\xc3":              `\xff\xc3`,
		"\ufffd":                "\ufffd",
	} {
		if got := Clean(in); got != want {
			t.Errorf("Clean(%q) = %q, not %q", in, got, want)
		}
	}
}

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
	r.Preview = &sweep.Result{Counts: r.Job.Counts, Groups: map[sweep.GroupKey]*sweep.Group{}}
	for range rapid.IntRange(0, 25).Draw(t, "groups") {
		key := sweep.GroupKey{Tenant: draw("tenant"), Scope: draw("scope"), Relation: draw("relation")}
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
	switch rapid.IntRange(0, 6).Draw(t, "document") {
	case 0:
		return hostileRun(t)
	case 1:
		return hostileDryRun(t)
	case 2:
		return Jobs{Target: hostile.Draw(t, "target"), Each: each(hostileJob(t), hostileJob(t)), Now: asOf}
	case 3:
		return Nothing{Text: hostile.Draw(t, "text")}
	case 4:
		return hostileForecast(t)
	case 5:
		return Pending{Target: hostile.Draw(t, "target"), Job: hostileJob(t)}
	}
	return Undoable{Target: hostile.Draw(t, "target"), Job: hostileJob(t), Count: 1}
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

func TestCleanIsHarmless(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		in := hostile.Draw(t, "text")
		out := Clean(in)
		assertHarmless(t, "Clean", out, "")
		if Clean(out) != out {
			t.Fatalf("Clean of %q is not clean", in)
		}
	})
}

func TestTextIsHarmless(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		style := Style{Color: rapid.Bool().Draw(t, "color"), Width: rapid.SampledFrom([]int{0, 1, 20, 80, 120}).Draw(t, "width")}
		out := asText(t, hostileDocument(t), style)
		if style.Color {
			out = strings.NewReplacer("\x1b[1m", "", "\x1b[2m", "", "\x1b[0m", "").Replace(out)
		}
		assertHarmless(t, "text", out, "\n")
	})
}

// hostilePage draws any document that is also shown as a page.
func hostilePage(t *rapid.T) pageWriter {
	switch rapid.IntRange(0, 5).Draw(t, "page") {
	case 0:
		return hostileRun(t)
	case 1:
		return hostileDryRun(t)
	case 2:
		return Nothing{Text: hostile.Draw(t, "text")}
	case 3:
		return hostileForecast(t)
	case 4:
		return Pending{Target: hostile.Draw(t, "target"), Job: hostileJob(t)}
	}
	return Undoable{Target: hostile.Draw(t, "target"), Job: hostileJob(t), Count: 1}
}

func TestHTMLIsHarmless(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		assertHarmless(t, "HTML", asHTML(t, hostilePage(t)), "\n")
	})
}

// A renderer finds no link, no picture and no HTML in a report but decayctl's own, and no cell too many.
func TestMarkdownIsHarmless(t *testing.T) {
	t.Parallel()
	parser := goldmark.New(goldmark.WithExtensions(extension.GFM)).Parser()
	own := regexp.MustCompile(`^</?(code|sub|details|summary)>$`)
	rapid.Check(t, func(t *rapid.T) {
		out := asMarkdown(t, hostilePage(t))
		assertHarmless(t, "Markdown", out, "\n")
		source := []byte(out)
		cells := 0 // of the table that is being read
		err := ast.Walk(parser.Parse(text.NewReader(source)), func(n ast.Node, entering bool) (ast.WalkStatus, error) {
			if !entering {
				return ast.WalkContinue, nil
			}
			switch n := n.(type) {
			case *ast.Link, *ast.Image, *ast.AutoLink:
				t.Fatalf("%s in\n%s", n.Kind(), out)
			case *ast.RawHTML:
				if tag := string(n.Segments.Value(source)); !own.MatchString(tag) {
					t.Fatalf("%q in\n%s", tag, out)
				}
			case *ast.HTMLBlock:
				if block := string(n.Lines().Value(source)); !strings.HasPrefix(block, "<details><summary>") && block != "</details>\n" {
					t.Fatalf("%q in\n%s", block, out)
				}
			case *east.TableHeader:
				cells = n.ChildCount()
			case *east.TableRow:
				// The parser drops cells beyond those of the header, so the line has to be counted.
				line := string(n.Lines().Value(source))
				if found := strings.Count(line, "|") - 1; n.Lines().Len() > 0 && found != cells {
					t.Fatalf("%d cells, not %d, in %q", found, cells, line)
				}
			}
			return ast.WalkContinue, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.SplitSeq(out, "\n") {
			if strings.HasPrefix(line, "| ") && !strings.HasSuffix(line, " |") {
				t.Fatalf("a row goes on: %q", line)
			}
		}
	})
}

func TestJSONIsHarmless(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		out := asJSON(t, hostileDocument(t))
		assertHarmless(t, "JSON", out, "\n")
		if !json.Valid([]byte(out)) {
			t.Fatalf("no JSON: %s", out)
		}
	})
}

// A line that is there to be copied holds nothing that a shell would act upon.
func TestCommandIsHarmless(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		id := rapid.OneOf(hostile, rapid.String(), rapid.SampledFrom([]string{"$(reboot)", "a;b", "-rf", "a b", "`x`", ""})).Draw(t, "id")
		if out := Command("undo", job.Job{ID: id}); !regexp.MustCompile(`^decayctl jobs undo [0-9A-Za-z_.:/@+][0-9A-Za-z_.:/@+-]{0,7}$`).MatchString(out) {
			t.Fatalf("%q is to be copied", out)
		}
	})
}

func TestJSONIsTrue(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		same := func(what, want, got string) {
			if want = valid(want); got != want {
				t.Fatalf("%s is %q, not %q", what, got, want)
			}
		}
		r := hostileRun(t)
		doc := document{}
		if err := json.Unmarshal([]byte(asJSON(t, r)), &doc); err != nil {
			t.Fatal(err)
		}
		same("store", r.Target, doc.Store)
		same("note", r.Notes[0], doc.Notes[0])
		same("status", string(r.Job.State), string(doc.Status))
		same("host", r.Job.Workers[0].Host, doc.Workers[0].Host)
		same("failed id", r.Job.Counts.Failed[0].FactID, doc.Failed[0].FactID)
		same("error", r.Job.Counts.Failed[0].Error, doc.Failed[0].Error)
		tenants := map[string]int64{}
		for name, n := range r.Job.Counts.Tenants {
			tenants[valid(name)] += n
		}
		if diff := cmp.Diff(tenants, doc.ByTenant); diff != "" {
			t.Fatalf("tenants (-want +got):\n%s", diff)
		}

		r = hostileDryRun(t)
		doc = document{preview: &preview{}}
		if err := json.Unmarshal([]byte(asJSON(t, r)), &doc); err != nil {
			t.Fatal(err)
		}
		f, s := r.Preview.Samples[0].Fact, doc.Samples[0]
		same("id", f.ID, s.FactID)
		same("entity", f.Entity, s.Entity)
		same("relation", f.Relation, s.Relation)
		same("tenant", f.Tenant, s.Tenant)
		same("scope", f.Scope, s.Scope)
		same("timestamp", f.Timestamp, s.Timestamp)
		same("valid until", *f.ValidUntil, *s.ValidUntil)
		same("reason", r.Preview.Samples[0].Reason, s.Reason)

		want, got := map[sweep.GroupKey]int64{}, map[sweep.GroupKey]int64{}
		for key, g := range r.Preview.Groups {
			if g.Facts > 0 {
				want[sweep.GroupKey{Tenant: valid(key.Tenant), Scope: valid(key.Scope), Relation: valid(key.Relation)}] += g.Facts
			}
		}
		for _, g := range doc.Groups {
			got[sweep.GroupKey{Tenant: g.Tenant, Scope: g.Scope, Relation: g.Relation}] += g.Count
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("groups (-want +got):\n%s", diff)
		}
	})
}

// Error documents carry the database's words and the user's.
func TestErrorJSONIsHarmless(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		message, detail := hostile.Draw(t, "message"), hostile.Draw(t, "detail")
		out := asError(t, "failed", message, detail, 1)
		assertHarmless(t, "JSON", out, "\n")
		var doc struct {
			Error struct{ Message, Detail string }
		}
		if err := json.Unmarshal([]byte(out), &doc); err != nil {
			t.Fatal(err)
		}
		if doc.Error.Message != valid(message) || doc.Error.Detail != valid(detail) {
			t.Fatalf("%q and %q are written as %q and %q", message, detail, doc.Error.Message, doc.Error.Detail)
		}
	})
}
