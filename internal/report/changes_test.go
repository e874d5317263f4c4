package report

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"decayctl/internal/fact"
	"decayctl/internal/job"
)

func TestChangesForm(t *testing.T) {
	t.Parallel()
	if _, err := NewChanges(&strings.Builder{}, "xml"); err == nil || !strings.Contains(err.Error(), `"xml"`) || !strings.Contains(err.Error(), "text, csv, ndjson") {
		t.Errorf("xml: %v", err)
	}
	if got, want := stream(t, "", changes()...), stream(t, "text", changes()...); got != want {
		t.Errorf("no form is\n%s, not text\n%s", got, want)
	}
}

// The names are typed again here on purpose: none can appear or vanish unnoticed.
func TestChangesFields(t *testing.T) {
	t.Parallel()
	want := "fact_id,rule,before_valid_until,before_confidence,before_reason,before_updated_at,before_updated_by," +
		"valid_until,confidence,reason,updated_at,updated_by,retraction_id,edge_before_valid_until,edge_before_decay_epoch,edge_before_confidence\n"
	if got := stream(t, "csv"); got != want {
		t.Errorf("the header is %q, not %q", got, want)
	}
	override := []string{"valid_until", "confidence", "reason", "updated_at", "updated_by"}
	for _, line := range strings.Split(strings.TrimSpace(stream(t, "ndjson", changes()...)), "\n") {
		var doc map[string]any
		if err := json.Unmarshal([]byte(line), &doc); err != nil {
			t.Fatal(err)
		}
		sameKeys(t, "change", doc, slices.Concat([]string{"fact_id", "rule", "before", "retraction_id", "edge_before"}, override))
		if doc["before"] != nil {
			sameKeys(t, "before", doc["before"], override)
		}
		if doc["edge_before"] != nil {
			sameKeys(t, "edge_before", doc["edge_before"], []string{"valid_until", "decay_epoch", "confidence"})
		}
	}
}

// Every change is one line, whatever is in it, and a program gets back what the store holds.
func TestChangesAreHarmlessAndTrue(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		list := rapid.SliceOfN(rapid.Custom(hostileChange), 0, 5).Draw(t, "changes")
		lines := func(form, allowed string) []string {
			out := stream(t, form, list...)
			assertHarmless(t, form, out, allowed)
			return strings.Split(strings.TrimSuffix(out, "\n"), "\n")
		}
		if len(list) == 0 {
			return
		}
		for i, line := range lines("text", "\n\t") {
			cells := strings.Split(line, "\t")
			if len(cells) != 3 || cells[0] != Clean(list[i].FactID) {
				t.Fatalf("%q is no line for %q", line, list[i].FactID)
			}
		}
		for i, line := range lines("ndjson", "\n") {
			var got changeLine
			if err := json.Unmarshal([]byte(line), &got); err != nil {
				t.Fatal(err)
			}
			if want := valid(list[i].FactID); got.FactID != want {
				t.Fatalf("the id is %q, not %q", got.FactID, want)
			}
			if want := list[i].Before.Reason; (want == nil) != (got.Before.Reason == nil) || want != nil && *got.Before.Reason != valid(*want) {
				t.Fatalf("the reason is %v, not %v", got.Before.Reason, want)
			}
		}
		if n := len(lines("csv", "\n")); n != len(list)+1 {
			t.Fatalf("%d lines for %d changes and a header", n, len(list))
		}
		rows, err := csv.NewReader(strings.NewReader(stream(t, "csv", list...))).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		for i, row := range rows[1:] {
			if want := escape(list[i].FactID, ""); row[0] != want {
				t.Fatalf("the id is %q, not %q", row[0], want)
			}
		}
	})
}

// Text that a spreadsheet would take for a formula stays what it is: this is data, not a spreadsheet.
func TestChangesKeepFormulas(t *testing.T) {
	t.Parallel()
	out := stream(t, "csv", job.Change{FactID: "=1+1", After: fact.Override{Reason: ptr("@SUM(A1)")}})
	if !strings.Contains(out, "\n=1+1,ttl,") || !strings.Contains(out, ",@SUM(A1),") {
		t.Errorf("changed: %s", out)
	}
}

func TestChangesConfidence(t *testing.T) {
	t.Parallel()
	for n, want := range map[float64]string{math.NaN(): "NaN", math.Inf(1): "+Inf", 0.1: "0.1", 0: "0"} {
		change := job.Change{FactID: "a", After: fact.Override{Confidence: &n}}
		rows, err := csv.NewReader(strings.NewReader(stream(t, "csv", change))).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		if got := rows[1][8]; got != want {
			t.Errorf("CSV has %q, not %q", got, want)
		}
		var doc changeLine
		if err := json.Unmarshal([]byte(stream(t, "ndjson", change)), &doc); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(finite(&n), doc.Confidence); diff != "" {
			t.Errorf("confidence %v in JSON (-want +got):\n%s", n, diff)
		}
	}
}

// counter is a writer that counts, and fails from some byte on.
type counter struct{ written, most int }

func (c *counter) Write(p []byte) (int, error) {
	if c.written += len(p); c.written > c.most {
		return 0, errors.New("no space left")
	}
	return len(p), nil
}

// A hundred thousand changes leave as they come, and an end of the disk is an error at once.
func TestChangesStream(t *testing.T) {
	t.Parallel()
	for _, form := range ChangeForms {
		out := &counter{most: 1 << 20}
		c, err := NewChanges(out, form)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for ; n < 100_000 && err == nil; n++ {
			before := out.written
			err = c.Write(changes()[1])
			if out.written > before+64*1024 {
				t.Fatalf("%s: %d bytes were held back", form, out.written-before)
			}
		}
		if err == nil || out.written > out.most+64*1024 {
			t.Errorf("%s: %v after %d changes and %d bytes", form, err, n, out.written)
		}
		if c.Flush() == nil {
			t.Errorf("%s: the failure is forgotten", form)
		}
	}
}
