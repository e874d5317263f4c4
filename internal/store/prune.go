package store

import (
	"time"

	"decayctl/internal/fact"
	"decayctl/internal/job"
)

// IDsAtOnce is how many finished jobs one transaction reads when jobs are pruned.
const IDsAtOnce = 5_000

// FinishedJob is a finished job with the columns that Unfinished.Superseded needs. A stamp that cannot be read is zero:
// such a job supersedes no other.
func FinishedJob(id, state, asOf, completed string, scope, tenant *string) job.Job {
	return job.Job{
		ID: id, State: job.State(state), AsOf: instantOrZero(asOf), Completed: instantOrZero(completed), Scope: orNone(scope), Tenant: orNone(tenant),
	}
}

// Unfinished holds what tells whether a finished job supersedes an unfinished one. It keeps only the jobs that can
// decide, so that a look-up stays quick with any number of unfinished jobs.
type Unfinished map[[2]string][]unfinishedJob // by scope and tenant; as-of rises, created falls

type unfinishedJob struct{ asOf, created time.Time }

// Add adds an unfinished job. Jobs are added in the order of their as-of. A stamp that cannot be read is zero: then every
// job that might supersede this one counts as superseding it.
func (u Unfinished) Add(asOf, created string, scope, tenant *string) {
	key, o := [2]string{orNone(scope), orNone(tenant)}, unfinishedJob{instantOrZero(asOf), instantOrZero(created)}
	if all := u[key]; len(all) == 0 || o.created.Before(all[len(all)-1].created) {
		u[key] = append(all, o)
	}
}

// Superseded tells whether a finished job supersedes an unfinished one: see FindSuperseding. If such a job is removed, the
// older one can be resumed.
func (u Unfinished) Superseded(by job.Job) bool {
	if by.State != job.Done {
		return false
	}
	for key, all := range u {
		if !by.Covers(job.Job{Scope: key[0], Tenant: key[1]}) {
			continue
		}
		for _, o := range all {
			if o.asOf.Before(by.AsOf) && !by.Completed.Before(o.created) {
				return true
			}
		}
	}
	return false
}

func instantOrZero(text string) time.Time {
	t, err := fact.ParseInstant(text)
	if err != nil {
		return time.Time{}
	}
	return t
}
