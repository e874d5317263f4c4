package report

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"decayctl/internal/fact"
	"decayctl/internal/sweep"
)

func decode(t *testing.T, r Run) map[string]any {
	t.Helper()
	var b strings.Builder
	if err := r.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(b.String(), "}\n") {
		t.Error("the document does not end in a newline")
	}
	var doc map[string]any
	if err := json.Unmarshal([]byte(b.String()), &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

// The fields are typed again here on purpose: none can appear or vanish unnoticed.
func TestJSONFields(t *testing.T) {
	t.Parallel()
	always := []string{
		"schema_version", "job_id", "status", "dry_run", "store", "as_of", "rules", "scope", "tenant", "examined", "scanned", "decayed",
		"by_rule", "skipped", "by_tenant", "failed", "failed_count", "stop_reason", "notes", "progress", "estimated_s", "created_at", "started_at", "completed_at",
	}
	reasons := []string{"system", "rel", "legal_hold", "quarantine_pending", "unreadable_timestamp", "unreadable_valid_until", "changed_meanwhile"}
	preview := []string{"oldest", "newest", "groups", "samples"}
	empty := Run{Status: StatusFailed, Result: &sweep.Result{}}
	emptyDry := empty
	emptyDry.Params.DryRun = true

	for name, r := range map[string]Run{"sweep": swept(), "empty": empty, "dry run": dryRun(), "empty dry run": emptyDry} {
		doc := decode(t, r)
		want := always
		if r.Params.DryRun {
			want = slices.Concat(always, preview)
		}
		sameKeys(t, name, doc, want)
		sameKeys(t, name+" skipped", doc["skipped"], reasons)
		sameKeys(t, name+" rules", doc["rules"], []string{"ttl", "min_confidence"})
		sameKeys(t, name+" progress", doc["progress"], []string{"done", "total"})
		for _, list := range []string{"failed", "notes", "groups", "samples"} {
			if value, present := doc[list]; present && value == nil {
				t.Errorf("%s: %s is null", name, list)
			}
		}
	}
	doc := decode(t, dryRun())
	sameKeys(t, "group", doc["groups"].([]any)[0], []string{"tenant", "scope", "relation", "rule", "count"})
	sameKeys(t, "sample", doc["samples"].([]any)[0], []string{
		"fact_id", "tenant", "scope", "entity", "relation", "timestamp", "valid_until", "confidence", "rules", "reason",
	})
	sameKeys(t, "failure", decode(t, swept())["failed"].([]any)[0], []string{"fact_id", "error"})
	sameKeys(t, "both rules", doc["by_rule"], []string{"ttl", "min_confidence"})
	sameKeys(t, "one rule", decode(t, nothingToDo())["by_rule"], []string{"min_confidence"})
}

func sameKeys(t *testing.T, what string, object any, want []string) {
	t.Helper()
	var got []string
	for key := range object.(map[string]any) {
		got = append(got, key)
	}
	slices.Sort(got)
	if diff := cmp.Diff(slices.Sorted(slices.Values(want)), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestJSONSums(t *testing.T) {
	t.Parallel()
	for _, r := range []Run{swept(), manyFailures(), interrupted(), nothingToDo()} {
		doc := decode(t, r)
		changed := doc["skipped"].(map[string]any)["changed_meanwhile"].(float64)
		if sum := doc["decayed"].(float64) + changed + doc["failed_count"].(float64); doc["scanned"] != sum {
			t.Errorf("scanned is %v; decayed, changed and failed are %v", doc["scanned"], sum)
		}
	}
	for _, r := range []Run{dryRun(), manyGroups()} {
		doc := decode(t, r)
		sums := map[string]any{}
		for _, g := range doc["groups"].([]any) {
			row := g.(map[string]any)
			before, _ := sums[row["rule"].(string)].(float64)
			sums[row["rule"].(string)] = before + row["count"].(float64)
		}
		if diff := cmp.Diff(doc["by_rule"], any(sums)); diff != "" {
			t.Errorf("by_rule (-) and the groups' sums (+):\n%s", diff)
		}
	}
}

func TestJSONEstimate(t *testing.T) {
	t.Parallel()
	r := interrupted()
	for total, want := range map[int64]float64{0: 60, 60_999: 60, 61_000: 61, 1_000_000: 1000} {
		r.Result.Total = total
		if got := decode(t, r)["estimated_s"]; got != want {
			t.Errorf("estimated_s of %d facts is %v, not %v", total, got, want)
		}
	}
}

// PostgreSQL holds numbers that JSON does not.
func TestJSONConfidence(t *testing.T) {
	t.Parallel()
	for _, c := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		r := dryRun()
		r.Result.Samples[0].Fact.Override = &fact.Override{Confidence: &c}
		if got := decode(t, r)["samples"].([]any)[0].(map[string]any)["confidence"]; got != nil {
			t.Errorf("confidence %v is written as %v", c, got)
		}
	}
}
