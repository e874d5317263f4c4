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

func decode(t *testing.T, d writer) map[string]any {
	t.Helper()
	out := asJSON(t, d)
	if !strings.HasSuffix(out, "}\n") {
		t.Error("the document does not end in a newline")
	}
	var doc map[string]any
	if err := json.Unmarshal([]byte(out), &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

// The fields are typed again here on purpose: none can appear or vanish unnoticed.
func TestJSONFields(t *testing.T) {
	t.Parallel()
	always := []string{
		"schema_version", "job_id", "source", "status", "dry_run", "store", "as_of", "rules", "fingerprint", "plan", "stamp", "scope", "tenant",
		"examined", "scanned", "decayed", "reduced", "swept_at", "facts_evaluated", "facts_retracted", "facts_reduced",
		"dry_run_would_retract", "dry_run_would_reduce", "policies_applied", "dry_run_by_policy", "by_rule", "skipped", "by_tenant", "failed", "failed_count", "restored", "left_alone", "before_images",
		"stop_reason", "notes", "warnings", "history", "progress", "batches", "retries", "longest_lock_ms", "workers", "estimated_s", "created_at", "started_at", "completed_at",
	}
	reasons := []string{"system", "rel", "legal_hold", "quarantine_pending", "unreadable_timestamp", "unreadable_valid_until", "exempt", "kept_as_newest", "changed_meanwhile"}
	preview := []string{"oldest", "newest", "groups", "samples", "write_cost"}
	all := runs()
	all["empty"], all["empty dry run"] = Run{}, Run{Preview: &sweep.Result{}}

	for name, r := range all {
		doc := decode(t, r)
		want := always
		if r.Preview != nil {
			want = slices.Concat(always, preview)
		}
		sameKeys(t, name, doc, want)
		sameKeys(t, name+" skipped", doc["skipped"], reasons)
		for _, unknown := range []string{"as_of", "rules", "fingerprint", "stamp", "progress"} {
			if r.Job.Node && doc[unknown] != nil {
				t.Errorf("%s: %s of the node's job is %v", name, unknown, doc[unknown])
			}
		}
		if !r.Job.Node {
			sameKeys(t, name+" rules", doc["rules"], []string{"ttl", "min_confidence", "policies", "only"})
			sameKeys(t, name+" progress", doc["progress"], []string{"done", "total"})
		}
		for _, list := range []string{"failed", "notes", "workers", "groups", "samples"} {
			if value, present := doc[list]; present && value == nil {
				t.Errorf("%s: %s is null", name, list)
			}
		}
		listed := decode(t, Jobs{Target: r.Target, Each: each(r.Job)})["jobs"].([]any)[0].(map[string]any)
		doc["notes"] = []any{}                         // they are of a store, not of a job
		doc["warnings"], doc["history"] = []any{}, nil // a list compares no job with others
		if diff := cmp.Diff(doc, listed); r.Preview == nil && diff != "" {
			t.Errorf("%s alone (-) and in a list (+):\n%s", name, diff)
		}
	}
	doc := decode(t, dryRun())
	sameKeys(t, "group", doc["groups"].([]any)[0], []string{"tenant", "scope", "relation", "rule", "count"})
	sameKeys(t, "sample", doc["samples"].([]any)[0], []string{
		"fact_id", "tenant", "scope", "entity", "relation", "timestamp", "valid_until", "confidence", "rules", "reason",
	})
	unusual := decode(t, runs()["unusual"])
	sameKeys(t, "warning", unusual["warnings"].([]any)[0], []string{"code", "message"})
	sameKeys(t, "history", unusual["history"], []string{"jobs", "median_expired", "last_ended_at", "usual_interval_s", "gap_s"})
	sameKeys(t, "failure", decode(t, failing(1))["failed"].([]any)[0], []string{"fact_id", "error"})
	sameKeys(t, "worker", decode(t, running())["workers"].([]any)[0], []string{"host", "pid", "live", "lease_s", "joined_at"})
	sameKeys(t, "both rules", doc["by_rule"], []string{"ttl", "min_confidence"})
	sameKeys(t, "one rule", decode(t, nothingToDo())["by_rule"], []string{"min_confidence"})
	sameKeys(t, "rules of policies", decode(t, sweptByPolicies())["by_rule"], policySet().Names())
	sameKeys(t, "the one rule", decode(t, dryRunByPolicies())["by_rule"], []string{"policy:context\u202e"})
	sameKeys(t, "aside", decode(t, sweptByPolicies())["dry_run_by_policy"], []string{"trial"})
	sameKeys(t, "explained", decode(t, explainedFading()), []string{"schema_version", "store", "as_of", "fingerprint", "outside", "fact", "rules_tried", "verdict", "next", "notes"})
	sameKeys(t, "policies", decode(t, shownPolicies()), []string{"schema_version", "fingerprint", "rules", "from"})
	sameKeys(t, "checked", decode(t, checkedPolicies()), []string{"schema_version", "store", "policies", "fingerprint", "found", "warnings", "notes"})
	sameKeys(t, "jobs", decode(t, list()), []string{"schema_version", "jobs"})
	sameKeys(t, "no jobs", decode(t, Jobs{Each: each()}), []string{"schema_version", "jobs"})
	sameKeys(t, "pending", decode(t, Pending{}), []string{"schema_version", "job_id", "status", "estimated_s"})
	sameKeys(t, "pruned", decode(t, Pruned{}), []string{"schema_version", "pruned", "before"})
	sameKeys(t, "nothing", decode(t, Nothing{}), []string{"schema_version", "jobs", "message"})
	sameKeys(t, "undoable", decode(t, Undoable{}), []string{"schema_version", "job_id", "status", "dry_run", "restored", "left_alone"})
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
	for _, r := range []Run{swept(), sweptByPolicies(), failing(1), failing(12), paused(), undone(), nothingToDo()} {
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
	for total, want := range map[int64]float64{0: 60, 60_999: 60, 61_000: 61, 1_000_000: 1000} {
		half, dry := paused(), dryRun()
		half.Job.Total, dry.Preview.Total = total, total
		for _, d := range []writer{half, dry, Pending{Job: half.Job}} {
			if got := decode(t, d)["estimated_s"]; got != want {
				t.Errorf("estimated_s of %d facts is %v, not %v", total, got, want)
			}
		}
	}
}

// The total is exact where a sweep came to its end, and never below what was examined.
func TestJSONProgress(t *testing.T) {
	t.Parallel()
	over := paused()
	over.Job.Total = 7
	givenUp := failing(1)
	givenUp.Job.Total, givenUp.Job.StopReason = 50000, "the disk is full"
	for name, c := range map[string]struct {
		run  Run
		want map[string]any
	}{
		"done":             {swept(), map[string]any{"done": 20000.0, "total": 20000.0}},
		"dry run":          {dryRun(), map[string]any{"done": 20000.0, "total": 20000.0}},
		"failed facts":     {failing(1), map[string]any{"done": 20000.0, "total": 20000.0}},
		"failed at once":   {givenUp, map[string]any{"done": 20000.0, "total": 50000.0}},
		"paused":           {paused(), map[string]any{"done": 20000.0, "total": 50000.0}},
		"estimate too low": {over, map[string]any{"done": 20000.0, "total": 20000.0}},
	} {
		if diff := cmp.Diff(any(c.want), decode(t, c.run)["progress"]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// Names that differ in bytes that JSON cannot write are one key, not the same key twice.
func TestJSONTenants(t *testing.T) {
	t.Parallel()
	r := swept()
	r.Job.Counts.Tenants = map[string]int64{"a\xff": 1, "a\xfe": 2, "b": 4}
	if diff := cmp.Diff(any(map[string]any{"a\ufffd": 3.0, "b": 4.0}), decode(t, r)["by_tenant"]); diff != "" {
		t.Errorf("by_tenant (-want +got):\n%s", diff)
	}
}

// PostgreSQL holds numbers that JSON does not.
func TestJSONConfidence(t *testing.T) {
	t.Parallel()
	for _, c := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		r := dryRun()
		r.Preview.Samples[0].Fact.Override = &fact.Override{Confidence: &c}
		if got := decode(t, r)["samples"].([]any)[0].(map[string]any)["confidence"]; got != nil {
			t.Errorf("confidence %v is written as %v", c, got)
		}
	}
}
