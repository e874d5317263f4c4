package report

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	east "github.com/yuin/goldmark/extension/ast"
	"github.com/yuin/goldmark/text"
	"pgregory.net/rapid"

	"decayctl/internal/job"
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
func hostilePage(t *rapid.T) interface {
	writer
	pageWriter
} {
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

		want, got := map[job.GroupKey]int64{}, map[job.GroupKey]int64{}
		for key, g := range r.Preview.Groups {
			if g.Facts > 0 {
				want[job.GroupKey{Tenant: valid(key.Tenant), Scope: valid(key.Scope), Relation: valid(key.Relation)}] += g.Facts
			}
		}
		for _, g := range doc.Groups {
			got[job.GroupKey{Tenant: g.Tenant, Scope: g.Scope, Relation: g.Relation}] += g.Count
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
