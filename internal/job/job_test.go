package job_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"decayctl/internal/job"
	"decayctl/internal/rule"
)

// TestPublicHasNoKeyOfTheNode: what the node shows is an object, and never has a key of the node's own row: it would
// take that row's place.
func TestPublicHasNoKeyOfTheNode(t *testing.T) {
	t.Parallel()
	ttl := rule.TTL(90 * 86400)
	for _, state := range job.States {
		j := job.Job{State: state, Rules: rule.Set{TTL: &ttl}, Tenant: "acme", StopReason: "\"quoted\"", Total: 7,
			Counts: job.Counts{Examined: 9, Selected: 5, Decayed: 4, Restored: 2, LeftAlone: 1}}
		var shown map[string]any
		if err := json.Unmarshal([]byte(j.Public()), &shown); err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{"job_id", "status", "scope", "estimated_s", "created_at", "started_at", "completed_at", "error"} {
			if _, ok := shown[key]; ok {
				t.Errorf("%s: the key %s is the node's", state, key)
			}
		}
		if shown["state"] != string(state) || shown["scanned"] != 5.0 || shown["decayed"] != 4.0 || shown["dry_run"] != false || shown["total"] != 9.0 {
			t.Errorf("%s: %v", state, shown)
		}
		if _, ok := shown["restored"]; ok != (state == job.Undoing || state == job.Undone) {
			t.Errorf("%s: restored is shown: %t", state, ok)
		}
	}
}

func drawCounts(t *rapid.T) job.Counts {
	var c job.Counts
	n := rapid.Int64Range(0, 1000)
	c.Examined, c.Selected, c.Decayed = n.Draw(t, "examined"), n.Draw(t, "selected"), n.Draw(t, "decayed")
	for _, name := range rapid.SliceOfN(rapid.String(), 0, 4).Draw(t, "tenants") {
		c.AddFact(name, rule.Verdict{
			Action: rapid.SampledFrom([]rule.Action{rule.Ignore, rule.Keep, rule.Expire, rule.Retract, rule.Reduce}).Draw(t, "action"),
			Rules:  rapid.SampledFrom([][]string{nil, {rule.NameTTL}, {rule.NameFloor}, {rule.NameTTL, rule.NameFloor}}).Draw(t, "rules"),
			Kept:   rapid.SampledFrom([]rule.Protection{"", rule.Rel, rule.System, rule.ChangedMeanwhile}).Draw(t, "kept"),
			Shadow: rule.Shadow{Policy: "p", Retract: rapid.Bool().Draw(t, "shadow")},
		}, rapid.SampledFrom([]job.Outcome{job.Planned, job.Written, job.Changed, job.Refused}).Draw(t, "outcome"))
	}
	for i := range rapid.IntRange(0, 150).Draw(t, "failures") {
		c.AddFailure(fmt.Sprint(i), "no")
	}
	c.LongestLock = time.Duration(n.Draw(t, "lock"))
	return c
}

// TestCountsAddInAnyOrder: it does not matter in which order batches are added, and the row gives back what was
// put there.
func TestCountsAddInAnyOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawCounts(t), drawCounts(t)
		var one, two job.Counts
		one.Add(a)
		one.Add(b)
		two.Add(b)
		two.Add(a)
		if one.FailedCount != a.FailedCount+b.FailedCount || len(one.Failed) > 100 || one.Examined != a.Examined+b.Examined {
			t.Fatalf("%+v and %+v make %+v", a, b, one)
		}
		one.Failed, two.Failed = nil, nil // the first hundred
		if diff := cmp.Diff(one, two); diff != "" {
			t.Fatal(diff)
		}
		again, err := job.ParseCounts(a.String())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(a, again); diff != "" && utf8.ValidString(a.String()) {
			t.Fatal(diff)
		}
	})
}

// TestTenantsAreBounded: names are hostile text, and there may be as many as facts.
func TestTenantsAreBounded(t *testing.T) {
	t.Parallel()
	var c job.Counts
	for i := range 1500 {
		c.AddTenant(fmt.Sprintf("%0300dé", i), 1)
	}
	sum := int64(0)
	for name, n := range c.Tenants {
		sum += n
		if len(name) > 210 || !utf8.ValidString(name) {
			t.Errorf("a name of %d bytes", len(name))
		}
	}
	if sum != 1500 || len(c.Tenants) > 1001 {
		t.Errorf("%d facts under %d names", sum, len(c.Tenants))
	}
}

func TestJobsOverlapByScopeAndTenant(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		one, two             [2]string // scope and tenant
		want, covers, within bool
	}{
		{[2]string{}, [2]string{"team", "acme"}, true, true, false},
		{[2]string{"team", ""}, [2]string{"team", "acme"}, true, true, false},
		{[2]string{"team", ""}, [2]string{"local", ""}, false, false, false},
		{[2]string{"team", "acme"}, [2]string{"", "other"}, false, false, false},
		{[2]string{"team", "acme"}, [2]string{"", "acme"}, true, false, true},
		{[2]string{"team", ""}, [2]string{"", "acme"}, true, false, false},
		{[2]string{"team", "acme"}, [2]string{"team", "acme"}, true, true, true},
	} {
		one, two := job.Job{Scope: test.one[0], Tenant: test.one[1]}, job.Job{Scope: test.two[0], Tenant: test.two[1]}
		if one.Overlaps(two) != test.want || two.Overlaps(one) != test.want {
			t.Errorf("%v and %v", test.one, test.two)
		}
		if one.Covers(two) != test.covers || two.Covers(one) != test.within {
			t.Errorf("%v covers %v: %t; the reverse: %t", test.one, test.two, one.Covers(two), two.Covers(one))
		}
	}
}

// TestErrorsSayWhatToDo: one line each, with the job's id and the way on.
func TestErrorsSayWhatToDo(t *testing.T) {
	t.Parallel()
	began := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	at := job.Job{ID: "3f2a", State: job.Running, Started: began, Workers: []job.Worker{{Owner: job.Owner{Host: "db1", PID: 4711}, Live: true}}}
	for _, test := range []struct {
		err  error
		want []string
	}{
		{&job.Busy{Job: at, Now: began.Add(90 * time.Second)}, []string{"3f2a", "db1", "4711", "1m30s", "--wait", "jobs pause 3f2a"}},
		{&job.Illegal{ID: "3f2a", From: job.Running, To: job.Undoing}, []string{"3f2a is running", "cannot be undone", "pause it first"}},
		{&job.Illegal{ID: "3f2a", From: job.Undoing, To: job.Running}, []string{"undoing", "jobs undo 3f2a"}},
		{&job.Superseded{Job: at, By: job.Job{ID: "9e1b", AsOf: began}}, []string{"3f2a", "superseded", "9e1b", "2026-11-23 12:00:00 UTC"}},
		{&job.Unknown{Prefix: "zz", PrunedBefore: began}, []string{`"zz"`, "pruned", "2026-11-23"}},
		{&job.Ambiguous{Prefix: "3", IDs: []string{"3f", "3a"}}, []string{`"3"`, "3f or 3a"}},
		{&job.Foreign{ID: "n"}, []string{"node", "neither its rules"}},
		{&job.Lost{State: job.Paused}, []string{"paused by an operator"}},
		{&job.Lost{State: job.Cancelled}, []string{"cancelled by an operator"}},
		{&job.Lost{State: job.Running}, []string{"lease"}},
	} {
		for _, want := range test.want {
			if text := test.err.Error(); !strings.Contains(text, want) || strings.Contains(text, "\n") {
				t.Errorf("%q does not say %q", text, want)
			}
		}
	}
}

// TestInvalidTenantsAreCountedTogether: tenants whose names are no text are counted together, before a batch and after it was stored.
func TestInvalidTenantsAreCountedTogether(t *testing.T) {
	t.Parallel()
	var c job.Counts
	for range 3 {
		c.AddTenant("\xff", 2)
		c.AddTenant("\xfe", 1)
		stored, err := job.ParseCounts(c.String())
		if err != nil {
			t.Fatal(err)
		}
		c = stored
	}
	if c.Tenants["\uFFFD"] != 9 || len(c.Tenants) != 1 {
		t.Errorf("%v", c.Tenants)
	}
}
