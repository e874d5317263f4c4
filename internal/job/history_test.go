package job_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"decayctl/internal/job"
)

var lastEnd = time.Date(2026, 11, 23, 3, 17, 0, 0, time.UTC)

// sweeps are jobs that came to their end a day apart, the newest first, by how many facts they expired.
func sweeps(expired ...int64) (past []job.Job) {
	for i, n := range expired {
		past = append(past, job.Job{State: job.Done, Completed: lastEnd.AddDate(0, 0, -i), Counts: job.Counts{Decayed: n + 5, ReducedOnly: 5}})
	}
	return past
}

func TestHistory(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	irregular := sweeps(7, 7, 7, 7)
	irregular[0].Completed = lastEnd.Add(10 * day)
	began := irregular[0].Completed.Add(4 * day)
	for name, c := range map[string]struct {
		past  []job.Job
		began time.Time
		want  job.History
	}{
		"none":               {nil, lastEnd, job.History{}},
		"too few":            {sweeps(1, 2), lastEnd.Add(9 * day), job.History{Jobs: 2, Last: lastEnd, Gap: 9 * day}},
		"three":              {sweeps(10, 1, 2), lastEnd.Add(day), job.History{Jobs: 3, Median: 2, Last: lastEnd, Interval: day, Gap: day}},
		"an even number":     {sweeps(1, 9, 4, 7), lastEnd.Add(day), job.History{Jobs: 4, Median: 6, Last: lastEnd, Interval: day, Gap: day}},
		"one interval apart": {irregular, began, job.History{Jobs: 4, Median: 7, Last: irregular[0].Completed, Interval: day, Gap: 4 * day}},
		"a clock set back":   {sweeps(3, 3, 3), lastEnd.Add(-time.Hour), job.History{Jobs: 3, Median: 3, Last: lastEnd, Interval: day}},
	} {
		if diff := cmp.Diff(c.want, job.HistoryOf(c.past, c.began)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// Only sweeps that passed over all facts count, those that could not write some of them too.
func TestHistoryOfEnded(t *testing.T) {
	t.Parallel()
	past := sweeps(1, 2, 3, 100, 100, 100, 100, 100)
	past[1].State, past[1].End, past[1].StopReason = job.Failed, true, job.FailedFacts(4)
	past[1].Counts.FailedCount = 4
	past[3].State, past[3].End, past[3].StopReason = job.Failed, true, "the disk is full"
	past[4].State, past[4].StopReason = job.Failed, "the disk is full"
	past[5].State, past[6].State, past[7].State = job.Cancelled, job.Undone, job.Undoing
	before := slices.Clone(past)
	h := job.HistoryOf(past, lastEnd)
	if h.Jobs != 3 || h.Median != 2 {
		t.Errorf("%+v", h)
	}
	if diff := cmp.Diff(before, past); diff != "" {
		t.Errorf("the jobs were changed (-before +now):\n%s", diff)
	}
}

func TestUnusual(t *testing.T) {
	t.Parallel()
	const hour, day = time.Hour, 24 * time.Hour
	for name, c := range map[string]struct {
		h            job.History
		expired      int64
		above, longs bool
	}{
		"unknown":               {job.History{Jobs: 2, Gap: 1000 * day}, 1_000_000, false, false},
		"three times":           {job.History{Jobs: 3, Median: 10, Interval: day, Gap: 3 * day}, 30, false, false},
		"more":                  {job.History{Jobs: 3, Median: 10, Interval: day, Gap: 3*day + 1}, 31, true, true},
		"none is usual":         {job.History{Jobs: 10, Interval: day}, 3, false, false},
		"none is usual, more":   {job.History{Jobs: 10, Interval: day}, 4, true, false},
		"by hand":               {job.History{Jobs: 10, Median: 5, Interval: time.Minute, Gap: hour - 1}, 5, false, false},
		"by hand, an hour":      {job.History{Jobs: 10, Median: 5, Interval: time.Minute, Gap: hour}, 5, false, true},
		"every hour, restored":  {job.History{Jobs: 10, Median: 5, Interval: hour, Gap: 12 * hour}, 5, false, true},
		"all ended at one time": {job.History{Jobs: 10, Median: 5, Gap: day}, 5, false, true},
	} {
		if above, long := c.h.FarAbove(c.expired), c.h.LongGap(); above != c.above || long != c.longs {
			t.Errorf("%s: %v %v, want %v %v", name, above, long, c.above, c.longs)
		}
	}
}

// As many numbers are at most the median as are at least it, and the order of the numbers does not matter.
func TestMedian(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		numbers := rapid.SliceOfN(rapid.Int64Range(0, 1<<40), 3, job.PastJobs).Draw(t, "expired")
		median := job.HistoryOf(sweeps(numbers...), lastEnd).Median
		below, above := 0, 0
		for _, n := range numbers {
			if n < median {
				below++
			}
			if n > median {
				above++
			}
		}
		if half := len(numbers) / 2; below > half || above > half {
			t.Fatalf("%d below and %d above %d of %v", below, above, median, numbers)
		}
		shuffled := rapid.Permutation(numbers).Draw(t, "shuffled")
		if again := job.HistoryOf(sweeps(shuffled...), lastEnd).Median; again != median {
			t.Fatalf("%d of %v, and %d of %v", median, numbers, again, shuffled)
		}
	})
}

func TestOnlyTheNewestSweepsThatATimeLimitStoppedAreInARow(t *testing.T) {
	t.Parallel()
	stopped := job.Job{State: job.Paused, StopReason: "the time limit of 2h is up " + job.TimeLimit}
	byHand := job.Job{State: job.Paused, StopReason: "paused by an operator"}
	resumed := job.Job{State: job.Done, StopReason: stopped.StopReason}
	for name, c := range map[string]struct {
		jobs   []job.Job
		want   int
		behind bool
	}{
		"none":     {nil, 0, false},
		"two":      {[]job.Job{stopped, stopped, byHand, stopped}, 2, false},
		"three":    {[]job.Job{stopped, stopped, stopped, resumed}, 3, true},
		"all":      {[]job.Job{stopped, stopped, stopped, stopped}, 4, true},
		"resumed":  {[]job.Job{resumed, stopped, stopped, stopped}, 0, false},
		"by hand":  {[]job.Job{byHand, stopped, stopped, stopped}, 0, false},
		"finished": {sweeps(1, 2, 3), 0, false},
	} {
		if got := job.StoppedInARow(c.jobs); got != c.want || job.FallsBehind(got) != c.behind {
			t.Errorf("%s: %d in a row, behind: %t; want %d, %t", name, got, job.FallsBehind(got), c.want, c.behind)
		}
	}
}
