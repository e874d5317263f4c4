package store

import (
	"time"

	"decayctl/internal/fact"
	"decayctl/internal/job"
)

// IDsAtOnce is how many finished jobs are looked at in one transaction when jobs are pruned.
const IDsAtOnce = 5_000

// FinishedJob is a finished job, as far as pruning needs it. A stamp that cannot be read is zero: such a job
// supersedes no other.
func FinishedJob(id, state, asOf, completed string, scope, tenant *string) job.Job {
	return job.Job{
		ID: id, State: job.State(state), AsOf: instantOrZero(asOf), Completed: instantOrZero(completed), Scope: orNone(scope), Tenant: orNone(tenant),
	}
}

// Unfinished are the jobs that may be gone on with, as far as they tell whether a finished job supersedes one of
// them. Of any number of jobs only those are kept that decide, so that looking a finished one up takes no longer
// the more unfinished ones there are.
type Unfinished map[[2]string][]unfinishedJob // by scope and tenant; as-of rises, created falls

type unfinishedJob struct{ asOf, created time.Time }

// Add takes an unfinished job in. They come with their as-of rising. A stamp that cannot be read is zero: then all
// that might supersede the job are kept.
func (u Unfinished) Add(asOf, created string, scope, tenant *string) {
	key, o := [2]string{orNone(scope), orNone(tenant)}, unfinishedJob{instantOrZero(asOf), instantOrZero(created)}
	if all := u[key]; len(all) == 0 || o.created.Before(all[len(all)-1].created) {
		u[key] = append(all, o)
	}
}

// Superseded tells whether a finished job is why one of them is not to be resumed: see FindSuperseding. Without it the
// older one would be gone on with.
func (u Unfinished) Superseded(by job.Job) bool {
	if by.State != job.Done {
		return false
	}
	for key, all := range u {
		if !by.Overlaps(job.Job{Scope: key[0], Tenant: key[1]}) {
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
