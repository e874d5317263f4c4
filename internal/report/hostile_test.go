package report

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"decayctl/internal/fact"
	"decayctl/internal/rule"
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
	})
	return strings.Join(rapid.SliceOfN(rapid.OneOf(nasty, rapid.String()), 0, 6).Draw(t, "parts"), "")
})

func hostileRun(t *rapid.T) Run {
	draw := func(label string) string { return hostile.Draw(t, label) }
	count := func(label string) int64 { return rapid.Int64Range(0, 1e12).Draw(t, label) }
	r := Run{
		Target: draw("target"), Status: rapid.SampledFrom([]string{StatusDone, StatusFailed, StatusPaused}).Draw(t, "status"),
		StopReason: draw("stop reason"), JobID: draw("job"), Notes: []string{draw("note")}, Started: asOf,
		Params: sweep.Params{Rules: rules("90d", "0.4"), AsOf: asOf, Scope: draw("asked scope"), Tenant: draw("asked tenant"), DryRun: rapid.Bool().Draw(t, "dry run")},
	}
	r.Result = &sweep.Result{
		Examined: count("examined"), Selected: count("selected"), Decayed: count("decayed"), FailedCount: 1,
		Kept:   map[rule.Protection]int64{rule.Rel: count("kept"), sweep.ChangedMeanwhile: count("changed")},
		Groups: map[sweep.GroupKey]*sweep.Group{},
		Failed: []sweep.Failure{{FactID: draw("failed id"), Error: draw("error")}},
	}
	for range rapid.IntRange(0, 25).Draw(t, "groups") {
		key := sweep.GroupKey{Tenant: draw("tenant"), Scope: draw("scope"), Relation: draw("relation")}
		r.Result.Groups[key] = both(count("ttl"), count("floor"), 0)
	}
	until := draw("valid until")
	r.Result.Samples = []sweep.Sample{{
		Fact: fact.Candidate{Fact: fact.Fact{
			ID: draw("id"), Entity: draw("entity"), Relation: draw("relation"), Tenant: draw("tenant"), Scope: draw("scope"),
			Timestamp: draw("timestamp"), ValidUntil: &until, Confidence: rapid.Float64().Draw(t, "confidence"),
		}},
		Reason: draw("reason"),
	}}
	return r
}

func assertHarmless(t *rapid.T, what, s string, alsoNewlines bool) {
	t.Helper()
	if !utf8.ValidString(s) {
		t.Fatalf("%s is not UTF-8: %q", what, s)
	}
	for _, r := range s {
		if !unicode.IsPrint(r) && (r != '\n' || !alsoNewlines) {
			t.Fatalf("%s holds %U: %q", what, r, s)
		}
	}
}

func TestCleanIsHarmless(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		in := hostile.Draw(t, "text")
		out := Clean(in)
		assertHarmless(t, "Clean", out, false)
		if Clean(out) != out {
			t.Fatalf("Clean of %q is not clean", in)
		}
	})
}

func TestTextIsHarmless(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		style := Style{Color: rapid.Bool().Draw(t, "color"), Width: rapid.SampledFrom([]int{0, 1, 20, 80, 120}).Draw(t, "width")}
		var b strings.Builder
		if err := hostileRun(t).WriteText(&b, style); err != nil {
			t.Fatal(err)
		}
		out := b.String()
		if style.Color {
			out = strings.NewReplacer("\x1b[1m", "", "\x1b[2m", "", "\x1b[0m", "").Replace(out)
		}
		assertHarmless(t, "text", out, true)
	})
}

func TestJSONIsHarmlessAndTrue(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := hostileRun(t)
		r.Params.DryRun = true
		var b strings.Builder
		if err := r.WriteJSON(&b); err != nil {
			t.Fatal(err)
		}
		assertHarmless(t, "JSON", b.String(), true)

		doc := document{preview: &preview{}}
		if err := json.Unmarshal([]byte(b.String()), &doc); err != nil {
			t.Fatal(err)
		}
		same := func(what, want, got string) {
			if want = string([]rune(want)); got != want { // each invalid byte is U+FFFD in both
				t.Fatalf("%s is %q, not %q", what, got, want)
			}
		}
		f, s := r.Result.Samples[0].Fact, doc.Samples[0]
		same("store", r.Target, doc.Store)
		same("note", r.Notes[0], doc.Notes[0])
		same("failed id", r.Result.Failed[0].FactID, doc.Failed[0].FactID)
		same("error", r.Result.Failed[0].Error, doc.Failed[0].Error)
		same("id", f.ID, s.FactID)
		same("entity", f.Entity, s.Entity)
		same("relation", f.Relation, s.Relation)
		same("tenant", f.Tenant, s.Tenant)
		same("scope", f.Scope, s.Scope)
		same("timestamp", f.Timestamp, s.Timestamp)
		same("valid until", *f.ValidUntil, *s.ValidUntil)
		same("reason", r.Result.Samples[0].Reason, s.Reason)

		want, got := map[sweep.GroupKey]int64{}, map[sweep.GroupKey]int64{}
		for key, g := range r.Result.Groups {
			key = sweep.GroupKey{Tenant: string([]rune(key.Tenant)), Scope: string([]rune(key.Scope)), Relation: string([]rune(key.Relation))}
			if g.Facts > 0 {
				want[key] += g.Facts
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
		message := hostile.Draw(t, "message")
		var b strings.Builder
		if err := WriteErrorJSON(&b, "failed", message, 1); err != nil {
			t.Fatal(err)
		}
		assertHarmless(t, "JSON", b.String(), true)
		var doc struct{ Error struct{ Message string } }
		if err := json.Unmarshal([]byte(b.String()), &doc); err != nil {
			t.Fatal(err)
		}
		if want := string([]rune(message)); doc.Error.Message != want {
			t.Fatalf("message is %q, not %q", doc.Error.Message, want)
		}
	})
}
