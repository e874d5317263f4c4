package report

import (
	"fmt"
	"strings"
	"testing"

	"decayctl/internal/rule"
)

// A page stays small enough to be mailed, whatever the store has.
func TestPagesAreBounded(t *testing.T) {
	t.Parallel()
	const most = 300_000
	long := strings.Repeat("\U000e0041", 60_000) // each is an escape of ten characters on the page
	r := pictured()
	r.Target, r.Job.Scope, r.Job.Tenant = long, long, long
	r.Stats = manyStatistics(10_000)
	for i := range 10_000 {
		r.Preview.AddTenant(fmt.Sprintf("%0200d", i), 1)
		r.Job.Rules.Policies = append(r.Job.Rules.Policies, rule.Policy{ID: fmt.Sprintf("policy-%d", i), Relation: "*", Mode: rule.ModeConfidence, HalfLife: 1})
	}
	r.Job.Rules.Policies[0].Relation, r.Job.Rules.Policies[1].Entity = long, long
	for range 20 {
		sample := r.Preview.Samples[0]
		sample.Fact.ID, sample.Fact.Entity, sample.Fact.Relation, sample.Reason = long, long, long, long
		r.Preview.Samples = append(r.Preview.Samples, sample)
	}
	job := failing(10_000)
	job.Job.Counts.Failed = nil
	for i := range 100 {
		job.Job.Counts.AddFailure(fmt.Sprint(i)+long, long)
	}
	job.Job.ID, job.Job.StopReason, job.Notes = long, long, []string{"a note"}
	for name, page := range map[string]string{"a dry run": asHTML(t, r), "a job": asHTML(t, job), "a dry run as Markdown": asMarkdown(t, r)} {
		if len(page) > most {
			t.Errorf("%s has %d bytes, more than %d", name, len(page), most)
		}
	}
	if page := asHTML(t, r); !strings.Contains(page, "and 9,903 more groups") {
		t.Error("the page does not say how much it leaves out")
	}
}

func TestTheSumOfOtherGroupsIsExact(t *testing.T) {
	t.Parallel()
	s := manyStatistics(1000)
	want := s.Others.Total()
	for _, g := range s.Groups {
		want += g.Counts.Total()
	}
	table, got := groupsOf(s).Tables[0], int64(0)
	for _, row := range append(table.Rows, table.Foot...) {
		var n int64
		if _, err := fmt.Sscan(strings.ReplaceAll(row[3].Text, ",", ""), &n); err != nil {
			t.Fatal(err)
		}
		got += n
	}
	if len(table.Rows) != pageGroups || got != want {
		t.Errorf("%d rows, %d facts, want %d and %d", len(table.Rows), got, pageGroups, want)
	}
}
