package store_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"decayctl/internal/fact"
	"decayctl/internal/job"
	"decayctl/internal/rule"
	"decayctl/internal/store"
)

var asOf = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// TestOnlyRestoredFactsAreFollowed: edges, retractions and vectors are restored only with the override of their fact.
func TestOnlyRestoredFactsAreFollowed(t *testing.T) {
	t.Parallel()
	until, expired, other := fact.FormatInstant(asOf), store.Reason, "2030"
	reduced, half, faint := store.PolicyReason+"fade", 0.5, 0.05
	list := []job.Change{
		{FactID: "plain", After: fact.Override{ValidUntil: &until, Reason: &expired}},
		{FactID: "changed since", After: fact.Override{ValidUntil: &until, Reason: &expired}, Retraction: "never"},
		{FactID: "other edge", After: fact.Override{ValidUntil: &until, Reason: &expired}, Edge: &fact.Edge{ValidUntil: &other}, Retraction: "r"},
		{FactID: "reduced", After: fact.Override{ValidUntil: &other, Confidence: &half, Reason: &reduced}, Edge: &fact.Edge{Confidence: &faint}},
		{FactID: "faint", After: fact.Override{Confidence: &faint, Reason: &reduced}},
	}
	r := store.NewRestoration(store.RestoreParams{
		Job:     job.Job{AsOf: asOf, Rules: rule.Set{Policies: []rule.Policy{{ID: "fade", Mode: rule.ModeConfidence}}}},
		Changes: store.Changes{List: list, Last: store.After("reduced")}, Count: job.Counts{Examined: 2},
	})
	for _, c := range list {
		if c.FactID != "changed since" {
			r.Restored(c.FactID)
		}
	}
	plain, others, withConfidence := r.Edges()
	for _, test := range []struct {
		what      string
		got, want any
	}{
		{"plain edges", plain, []string{"plain"}},
		{"other edges", others, []store.RestoredEdge{{ID: "other edge", Was: fact.Edge{ValidUntil: &other}}}},
		{"edges with a confidence", withConfidence, []store.RestoredEdge{
			{ID: "reduced", Was: fact.Edge{Confidence: &faint}, KeepsExpiry: true, Gave: &half}, {ID: "faint", Plain: true, KeepsExpiry: true, Gave: &faint},
		}},
		{"retractions", r.Retractions(), []string{"r"}},
		{"vectors", r.LostVectors(), []string{"plain", "other edge", "faint"}},
	} {
		if diff := cmp.Diff(test.want, test.got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.what, diff)
		}
	}
	j := job.Job{Counts: job.Counts{Restored: 1}}
	if r.AddTo(&j); j.Counts.Restored != 5 || j.Counts.Examined != 2 || !j.UndoneAny || j.UndoneUpTo != "reduced" {
		t.Errorf("%+v", j)
	}
}

// TestChangeOfAPolicyIsRecomputed: what a policy wrote is the job's if it is what the policy computes from the fact.
func TestChangeOfAPolicyIsRecomputed(t *testing.T) {
	t.Parallel()
	until, other, expired, named, unknown := fact.FormatInstant(asOf), "2030", store.Reason, store.PolicyReason+"p", store.PolicyReason+"q"
	was := "2026-01-01T00:00:00Z"
	list := store.ChangeList{Job: job.Job{AsOf: asOf, Rules: rule.Set{Policies: []rule.Policy{{ID: "p", Mode: rule.ModeExpire}}}}}
	for id, o := range map[string]fact.Override{
		"the node's":      {ValidUntil: &until, Reason: &expired},
		"a policy's":      {ValidUntil: &until, Reason: &named},
		"no policy's":     {ValidUntil: &until, Reason: &unknown},
		"moved since":     {ValidUntil: &other, Reason: &named},
		"another's value": {ValidUntil: &until, Reason: &named, Confidence: new(float64)},
	} {
		if full := list.Add(store.ChangeRow{Change: job.Change{FactID: id, After: o}}); full {
			t.Errorf("full by %s", id)
		}
	}
	if list.Add(store.ChangeRow{
		Change: job.Change{FactID: "had", After: fact.Override{ValidUntil: &until, Reason: &expired}}, HadOverride: true, UpdatedAt: &was, HadEdge: true,
	}); len(list.List) != 3 {
		t.Errorf("%+v", list.List)
	}
	if last := list.List[len(list.List)-1]; last.Before == nil || last.Before.UpdatedAt != was || last.Edge == nil {
		t.Errorf("%+v", last)
	}
	long := string(make([]byte, store.MaxPartText))
	if !list.Add(store.ChangeRow{Change: job.Change{FactID: "long", After: fact.Override{ValidUntil: &other, Reason: &long}}}) {
		t.Error("not full")
	}
}
