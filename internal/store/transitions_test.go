package store

import (
	"testing"
	"time"

	"decayctl/internal/job"
	"decayctl/internal/rule"
)

// TestSweepByOnePolicySupersedesOnlyItsLike: a sweep by one policy has judged no more than its facts, so it supersedes only
// its like.
func TestSweepByOnePolicySupersedesOnlyItsLike(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		job, other string
		want       bool
	}{{"", "", true}, {"", "a", false}, {"a", "", true}, {"a", "a", true}, {"a", "b", false}} {
		j := job.Job{ID: "1", AsOf: at, Created: at, Rules: rule.Set{Only: test.job}}
		other := job.Job{ID: "2", State: job.Done, AsOf: at.Add(time.Hour), Completed: at.Add(time.Hour), Rules: rule.Set{Only: test.other}}
		if _, got := FindSuperseding(j, []job.Job{other}); got != test.want {
			t.Errorf("a job of %q by one of %q: %v", test.job, test.other, got)
		}
	}
}
