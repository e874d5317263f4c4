package store

import (
	"slices"
	"time"

	"decayctl/internal/fact"
	"decayctl/internal/job"
)

// NewJob is a job that begins now. last is the newest stamp of any job, or "". The stamp of each job is different, in
// whole seconds: an undo finds the overrides of its job by it.
func NewJob(p StartParams, now time.Time, last string) job.Job {
	now = now.UTC().Truncate(time.Microsecond) // the store holds no more digits
	j := job.Job{
		ID: p.ID, State: job.Pending, Rules: p.Rules, AsOf: p.AsOf, Scope: p.Scope, Tenant: p.Tenant,
		MaxExpire: p.MaxExpire, Plan: p.Plan, Total: p.Total, Created: now, Updated: now, Stamp: now.Truncate(time.Second),
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

// RemoveDeadWorkers removes the workers of j whose lease has ended or whose process has ended, and returns them.
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

// CheckOverlaps tells whether j may run while the jobs in working are running or undoing. It fails with *job.Busy if an
// overlapping job has a live worker. Else it returns the overlapping running jobs, whose workers are all dead: they are
// to be paused. A dead undo stays as it is, since it changes only facts that its own job wrote.
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

// CheckJoin tells whether a worker may join j, which has no dead workers, to take it to a state. Errors: *job.Illegal,
// *job.Busy. singleWorkerReason is the store's Tuning.SingleWorkerReason.
func CheckJoin(j job.Job, to job.State, singleWorkerReason string, now time.Time) error {
	switch {
	case !j.State.May(to):
		return &job.Illegal{ID: j.ID, From: j.State, To: to}
	case len(j.Workers) == 0:
		return nil
	case to == job.Undoing:
		return &job.Busy{Job: j, Now: now, Why: "one process at a time takes a job back"}
	case singleWorkerReason != "":
		return &job.Busy{Job: j, Now: now, Why: singleWorkerReason}
	}
	return nil
}

// FindSuperseding finds, among jobs that are done, one that supersedes j: it covers j, has a later as-of, and was
// completed after j was created. If it was completed before, the operator chose the earlier as-of of j knowingly. A
// sweep by one policy supersedes only sweeps by the same policy.
func FindSuperseding(j job.Job, done []job.Job) (by job.Job, ok bool) {
	at := slices.IndexFunc(done, func(other job.Job) bool {
		return other.ID != j.ID && other.State == job.Done && other.Covers(j) && (other.Rules.Only == "" || other.Rules.Only == j.Rules.Only) && other.AsOf.After(j.AsOf) && !other.Completed.Before(j.Created)
	})
	if at < 0 {
		return job.Job{}, false
	}
	return done[at], true
}

// Move takes j to another state. It fails with *job.Illegal if the table of transitions does not have this one.
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

// Complete takes j to the state of a job that has nothing left to do: undone, done, or failed if facts could not be
// written.
func Complete(j *job.Job, now time.Time) error {
	switch {
	case j.State == job.Undoing:
		// The undo did not restore what another process has changed since.
		j.Counts.LeftAlone = max(0, j.Counts.Decayed-j.Counts.Restored)
		return Move(j, job.Undone, "", now)
	case j.Counts.FailedCount > 0:
		return Move(j, job.Failed, job.FailedFacts(j.Counts.FailedCount), now)
	}
	return Move(j, job.Done, "", now)
}
