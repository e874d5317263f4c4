package store

import (
	"slices"
	"time"

	"decayctl/internal/fact"
	"decayctl/internal/job"
)

// What both stores decide alike, between reading jobs under lock and writing them.

// NewJob is the row of a job that begins now. last is the newest stamp that was given to a job, or "":
// undo tells a job's overrides from those of others by their stamp, in whole seconds.
func NewJob(p StartParams, now time.Time, last string) job.Job {
	now = now.UTC().Truncate(time.Microsecond) // what the store can hold
	j := job.Job{
		ID: p.ID, State: job.Pending, Rules: p.Rules, AsOf: p.AsOf, Scope: p.Scope, Tenant: p.Tenant,
		MaxExpire: p.MaxExpire, Total: p.Total, Created: now, Updated: now, Stamp: now.Truncate(time.Second),
	}
	if j.AsOf.IsZero() {
		j.AsOf = now
	}
	if newest, err := fact.ParseInstant(last); err == nil && !j.Stamp.After(newest) {
		j.Stamp = newest.Add(time.Second)
	}
	if !p.Later {
		j.State, j.Started = job.Running, now
	}
	return j
}

// RemoveDeadWorkers takes those out of a job's workers who are gone, or whose lease has ended, and returns them.
func RemoveDeadWorkers(j *job.Job, p WorkerParams) (removed []job.Worker) {
	var live []job.Worker
	for _, w := range j.Workers {
		if w.Live && !p.Gone(w.Owner) {
			live = append(live, w)
		} else {
			removed = append(removed, w)
		}
	}
	j.Workers = live
	return removed
}

// CheckOverlaps tells whether a job may be worked on beside those that are at work now. It fails with
// *job.Busy where one of them overlaps and is alive; else it returns the overlapping ones that all
// their workers have left behind in the middle of a sweep: they are to be paused. (One left behind in
// the middle of an undo stays so: it touches no fact that it did not write itself.)
func CheckOverlaps(j job.Job, working []job.Job, p WorkerParams, now time.Time) (dead []job.Job, err error) {
	for _, other := range working {
		if other.ID == j.ID || !other.Overlaps(j) {
			continue
		}
		RemoveDeadWorkers(&other, p)
		if len(other.Workers) > 0 {
			return nil, &job.Busy{Job: other, Now: now}
		}
		if other.State == job.Running {
			dead = append(dead, other)
		}
	}
	return dead, nil
}

// CheckJoin tells whether a worker may join a job whose dead workers are removed. alone is the store's
// Tuning.SingleWorkerReason.
func CheckJoin(j job.Job, to job.State, alone string, now time.Time) error {
	switch {
	case !j.State.May(to):
		return &job.Illegal{ID: j.ID, From: j.State, To: to}
	case len(j.Workers) == 0:
		return nil
	case to == job.Undoing:
		return &job.Busy{Job: j, Now: now, Why: "one process at a time takes a job back"}
	case alone != "":
		return &job.Busy{Job: j, Now: now, Why: alone}
	}
	return nil
}

// FindSuperseding is the job that supersedes j: one that has swept an overlapping scope to its end, since j was
// made, with a later as-of. (A job made after it, to judge by an earlier as-of, was asked for knowingly.)
// A sweep by one policy supersedes only its like: it has judged no more than that. done are the jobs that
// are done.
func FindSuperseding(j job.Job, done []job.Job) (by job.Job, ok bool) {
	at := slices.IndexFunc(done, func(other job.Job) bool {
		return other.ID != j.ID && other.State == job.Done && other.Overlaps(j) && (other.Rules.Only == "" || other.Rules.Only == j.Rules.Only) && other.AsOf.After(j.AsOf) && !other.Completed.Before(j.Created)
	})
	if at < 0 {
		return job.Job{}, false
	}
	return done[at], true
}

// Move takes a job to another state, if that is a transition of the table.
func Move(j *job.Job, to job.State, reason string, now time.Time) error {
	if !j.State.May(to) {
		return &job.Illegal{ID: j.ID, From: j.State, To: to}
	}
	now = now.UTC().Truncate(time.Microsecond)
	j.State, j.StopReason, j.Updated = to, reason, now
	switch {
	case to.Finished():
		j.Completed = now
	default:
		j.Completed = time.Time{}
	}
	if to == job.Running && j.Started.IsZero() {
		j.Started = now
	}
	return nil
}

// Complete takes a job to the state that it comes to when no more is to be done for it.
func Complete(j *job.Job, now time.Time) error {
	switch {
	case j.State == job.Undoing:
		// Whatever the job expired and the undo did not find as it was left is somebody else's now.
		j.Counts.LeftAlone = max(0, j.Counts.Decayed-j.Counts.Restored)
		return Move(j, job.Undone, "", now)
	case j.Counts.FailedCount > 0:
		return Move(j, job.Failed, job.FailedFacts(j.Counts.FailedCount), now)
	}
	return Move(j, job.Done, "", now)
}
