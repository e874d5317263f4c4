package store

import (
	"cmp"
	"time"

	"decayctl/internal/fact"
	"decayctl/internal/job"
	"decayctl/internal/rule"
)

// JobColumns are the columns of decayctl_jobs that JobRow holds, in the order of JobRow.Fields. The last is PlanColumn.
const JobColumns = `job_id, state, rules, as_of, stamp, scope, tenant, max_expire, total, end_reached,
	undone_up_to, counts, created_at, started_at, completed_at, changed_at, stop_reason, `

// PlanColumn is a column that tables before version 5 lack.
const PlanColumn = "plan"

// JobRow is a row of decayctl_jobs.
type JobRow struct {
	id, state, rules, asOf, stamp           string
	scope, tenant, maxExpire                *string
	total                                   int64
	end                                     int
	undoneUpTo                              *string
	counts, created                         string
	started, completed, changed, whyStopped *string
	plan                                    *string
}

// Fields are the destinations for a driver that scans JobColumns.
func (r *JobRow) Fields() []any {
	return []any{
		&r.id, &r.state, &r.rules, &r.asOf, &r.stamp, &r.scope, &r.tenant, &r.maxExpire, &r.total, &r.end,
		&r.undoneUpTo, &r.counts, &r.created, &r.started, &r.completed, &r.changed, &r.whyStopped, &r.plan,
	}
}

// Job is the job of the row, without workers and claims. It fails with an Unusable *Error if a column cannot be read.
func (r *JobRow) Job() (job.Job, error) {
	j := job.Job{
		ID: r.id, State: job.State(r.state), Scope: orNone(r.scope), Tenant: orNone(r.tenant), Total: r.total,
		End: r.end != 0, UndoneUpTo: orNone(r.undoneUpTo), UndoneAny: r.undoneUpTo != nil, StopReason: orNone(r.whyStopped),
		Plan: orNone(r.plan),
	}
	var err error
	note := func(failed error) {
		if err == nil && failed != nil {
			err = &Error{Kind: Unusable, Text: "the row of job " + r.id + " in decayctl_jobs cannot be read: " + failed.Error(), Err: failed}
		}
	}
	instant := func(text *string) time.Time {
		if text == nil {
			return time.Time{}
		}
		t, failed := fact.ParseInstant(*text)
		note(failed)
		return t
	}
	j.AsOf, j.Stamp, j.Created = instant(&r.asOf), instant(&r.stamp), instant(&r.created)
	j.Started, j.Completed, j.Updated = instant(r.started), instant(r.completed), instant(r.changed)
	var failed error
	j.Rules, failed = rule.ParseSet(r.rules)
	note(failed)
	if r.maxExpire != nil {
		j.MaxExpire, failed = rule.ParseLimit(*r.maxExpire)
		note(failed)
	}
	j.Counts, failed = job.ParseCounts(r.counts)
	note(failed)
	return j, err
}

func orNone(text *string) string {
	if text == nil {
		return ""
	}
	return *text
}

// NodeJob is a job that the node made, from its row in the node's jobs table. The counts are scanned and decayed of
// result, which is JSON.
func NodeJob(id, status string, scope *string, estimatedS int64, created, started, completed, result, failure *string) job.Job {
	j := job.Job{ID: id, Node: true, State: job.State(status), Scope: orNone(scope), Total: estimatedS * 1000, StopReason: orNone(failure)}
	for to, text := range map[*time.Time]*string{&j.Created: created, &j.Started: started, &j.Completed: completed} {
		*to, _ = fact.ParseInstant(orNone(text)) // a stamp that cannot be read is not shown
	}
	if result != nil {
		j.Counts, _ = job.ParseCounts(*result)
		j.Counts = job.Counts{Selected: j.Counts.Selected, Decayed: j.Counts.Decayed}
	}
	return j
}

// NodeRow is the columns of the node's jobs table that show a job of decayctl. "" is NULL.
type NodeRow struct{ Status, Scope, Tenant, Started, Completed, Result, Error string }

// NodeRowOf is what the node shows of a job. Error is set if the node's status is failed. A job of all tenants belongs to
// the default tenant: the node shows a job only to callers of its tenant.
func NodeRowOf(j job.Job) NodeRow {
	row := NodeRow{Status: j.State.NodeStatus(), Scope: j.Scope, Tenant: cmp.Or(j.Tenant, job.DefaultTenant), Result: j.Public()}
	if !j.Started.IsZero() {
		row.Started = fact.FormatInstant(j.Started)
	}
	if !j.Completed.IsZero() {
		row.Completed = fact.FormatInstant(j.Completed)
	}
	if row.Status == "failed" {
		row.Error = j.StopReason
		if row.Error == "" {
			row.Error = string(j.State)
		}
	}
	return row
}
