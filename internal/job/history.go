package job

import (
	"slices"
	"strings"
	"time"
)

const (
	// PastJobs is how many earlier jobs a job is compared with, at most.
	PastJobs = 10

	enoughPast  = 3         // earlier jobs; fewer say nothing of what is usual
	farAbove    = 3         // times the usual
	shortestGap = time.Hour // that is ever called long: sweeps started by hand follow each other by the minute
)

// Ended tells whether a sweep has passed over the whole store. One that failed may have: then only the facts that it
// could not write are left, and there is nothing to resume.
func (j Job) Ended() bool {
	return j.State == Done || j.State == Failed && j.End && j.StopReason == FailedFacts(j.Counts.FailedCount)
}

// History is what the last sweeps by the same rules, of the same scope and tenant, did. The zero History is of none.
type History struct {
	Jobs     int           // sweeps that came to their end, at most PastJobs; others are left out, and so are undone ones
	Median   int64         // of the numbers of facts that they expired; 0 if they are too few to tell
	Last     time.Time     // when the newest of them ended; zero if there is none
	Interval time.Duration // the usual time from the end of one to the end of the next: the median; 0 if they are too few to tell
	Gap      time.Duration // from the end of the newest to the sweep that is compared with them
}

// HistoryOf sums up earlier jobs for a sweep that began at an instant. Past has the newest first.
func HistoryOf(past []Job, began time.Time) History {
	past = slices.DeleteFunc(slices.Clone(past), func(j Job) bool { return !j.Ended() })
	h := History{Jobs: len(past)}
	if h.Jobs == 0 {
		return h
	}
	h.Last = past[0].Completed
	h.Gap = max(0, began.Sub(h.Last))
	if !h.Known() {
		return h
	}
	var expired []int64
	var intervals []time.Duration
	for i, j := range past {
		expired = append(expired, j.Counts.Expired())
		if i > 0 {
			intervals = append(intervals, max(0, past[i-1].Completed.Sub(j.Completed)))
		}
	}
	h.Median, h.Interval = median(expired), median(intervals)
	return h
}

// Known tells whether the sweeps are enough to say what is usual.
func (h History) Known() bool { return h.Jobs >= enoughPast }

// FarAbove tells whether a number of expired facts is more than three times the usual one. A median of 0 counts as 1:
// else each fact would be alarming after ten sweeps that found none.
func (h History) FarAbove(expired int64) bool {
	return h.Known() && expired > farAbove*max(1, h.Median)
}

// LongGap tells whether the time since the last sweep is more than three times the usual one, and an hour at least.
func (h History) LongGap() bool {
	return h.Known() && h.Gap >= shortestGap && h.Gap > farAbove*h.Interval
}

// TimeLimit ends the reason of a stop by a time limit, and tells it from others.
const TimeLimit = "(--max-runtime)"

// fallsBehind is how many sweeps in a row a time limit stops until it is said.
const fallsBehind = 3

// StoppedInARow counts the newest of some jobs that a time limit has stopped and that no process has finished since. The
// newest job comes first.
func StoppedInARow(jobs []Job) int {
	other := slices.IndexFunc(jobs, func(j Job) bool { return j.State != Paused || !strings.HasSuffix(j.StopReason, TimeLimit) })
	if other < 0 {
		return len(jobs)
	}
	return other
}

// FallsBehind tells whether so many sweeps in a row were stopped by a time limit that facts become stale faster than
// sweeps take them away.
func FallsBehind(stopped int) bool { return stopped >= fallsBehind }

// median is the one in the middle, or halfway between the two in the middle, rounded up. There is at least one number.
func median[N int64 | time.Duration](numbers []N) N {
	slices.Sort(numbers)
	low, high := numbers[(len(numbers)-1)/2], numbers[len(numbers)/2]
	return low + (high-low+1)/2
}
