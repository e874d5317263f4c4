package job_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"decayctl/internal/job"
	"decayctl/internal/rule"
)

// TestOneFactCounts: what a fact counts as is told by its verdict and what became of it, alike for a dry run and a sweep.
func TestOneFactCounts(t *testing.T) {
	t.Parallel()
	half := 0.5
	old := []string{rule.NameTTL}
	expire := rule.Verdict{Action: rule.Expire, Rules: old}
	fade := rule.Verdict{Action: rule.Reduce, Rules: []string{"policy:p"}, Policy: "p", Confidence: &half}
	fadeAway, keptFading, shadowed := fade, fade, rule.Verdict{Shadow: rule.Shadow{Policy: "trial", Retract: true}}
	fadeAway.Action = rule.Expire
	keptFading.Kept = rule.KeptAsNewest
	zero := 0.0
	retract := rule.Verdict{Action: rule.Retract, Rules: old, Policy: "p", Confidence: &zero}
	tenants := map[string]int64{"acme": 1}
	kept := func(why ...rule.Protection) map[rule.Protection]int64 {
		m := map[rule.Protection]int64{}
		for _, each := range why {
			m[each]++
		}
		return m
	}
	byTTL, byPolicy := map[string]int64{rule.NameTTL: 1}, map[string]int64{"policy:p": 1}
	for name, test := range map[string]struct {
		verdict rule.Verdict
		outcome job.Outcome
		want    job.Counts
	}{
		"no rule":                   {rule.Verdict{}, job.Planned, job.Counts{}},
		"protected":                 {rule.Verdict{Action: rule.Keep, Rules: old, Kept: rule.LegalHold}, job.Planned, job.Counts{Kept: kept(rule.LegalHold)}},
		"ended since as-of":         {rule.Verdict{Action: rule.Keep, Rules: old, Kept: rule.ChangedMeanwhile}, job.Planned, job.Counts{Kept: kept(rule.ChangedMeanwhile), Selected: 1, Tenants: tenants}},
		"shadow":                    {shadowed, job.Planned, job.Counts{Would: map[string]job.Would{"trial": {Retract: 1}}}},
		"expires, dry run":          {expire, job.Planned, job.Counts{Selected: 1, Tenants: tenants, ByRule: byTTL}},
		"expires":                   {expire, job.Written, job.Counts{Selected: 1, Tenants: tenants, ByRule: byTTL, Decayed: 1}},
		"expires, but changed":      {expire, job.Changed, job.Counts{Selected: 1, Tenants: tenants, Kept: kept(rule.ChangedMeanwhile)}},
		"expires, but refused":      {expire, job.Refused, job.Counts{Selected: 1, Tenants: tenants}},
		"retracted":                 {retract, job.Written, job.Counts{Selected: 1, Tenants: tenants, ByRule: byTTL, Decayed: 1}},
		"fades, dry run":            {fade, job.Planned, job.Counts{Selected: 1, Tenants: tenants, ByRule: byPolicy, Reduced: 1, ReducedOnly: 1}},
		"fades":                     {fade, job.Written, job.Counts{Selected: 1, Tenants: tenants, ByRule: byPolicy, Reduced: 1, ReducedOnly: 1, Decayed: 1}},
		"fades and expires":         {fadeAway, job.Written, job.Counts{Selected: 1, Tenants: tenants, ByRule: byPolicy, Reduced: 1, Decayed: 1}},
		"fades, kept from expiring": {keptFading, job.Written, job.Counts{Selected: 1, Tenants: tenants, ByRule: byPolicy, Reduced: 1, ReducedOnly: 1, Decayed: 1, Kept: kept(rule.KeptAsNewest)}},
		"kept fading, but changed":  {keptFading, job.Changed, job.Counts{Selected: 1, Tenants: tenants, Kept: kept(rule.KeptAsNewest, rule.ChangedMeanwhile)}},
	} {
		var got job.Counts
		got.AddFact("acme", test.verdict, test.outcome)
		test.want.Examined = 1
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
