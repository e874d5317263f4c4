package postgres

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"decayctl/internal/fact"
	"decayctl/internal/job"
	"decayctl/internal/store"
)

// Locks on jobs are taken in one order: the row in decayctl_store, a job's row, its workers and
// claims. Apply and Restore come from the other end, facts first and the job's row last, and nobody
// who holds a job's row waits for facts or for a claim.

// Start is ordered by the row in decayctl_store: of two sweeps that start at once, one finds the
// other's job.
func (s *Store) Start(ctx context.Context, p store.StartParams) (store.Joined, error) {
	var joined store.Joined
	err := s.within(ctx, writing, func(tx pgx.Tx) error {
		last, err := s.lockStore(ctx, tx)
		if err != nil {
			return err
		}
		now := s.params.Now()
		j := store.NewJob(p, now, last)
		if !p.Later {
			if joined.Paused, err = s.admit(ctx, tx, j, p.Worker, now); err != nil {
				return err
			}
		}
		if err := s.insert(ctx, tx, j); err != nil {
			return err
		}
		if !p.Later {
			if joined.Lease, err = s.addWorker(ctx, tx, &j, p.Worker, now); err != nil {
				return err
			}
		}
		joined.Job = j
		return nil
	})
	if err != nil {
		return store.Joined{}, s.translate(err, "write down a job")
	}
	return joined, nil
}

// admit lets a job be worked on beside the others, and pauses the dead ones in its way.
func (s *Store) admit(ctx context.Context, tx pgx.Tx, j job.Job, p store.WorkerParams, now time.Time) ([]job.Job, error) {
	working, err := s.working(ctx, tx)
	if err != nil {
		return nil, err
	}
	dead, err := store.Admit(j, working, p, now)
	if err != nil {
		return nil, err
	}
	for i := range dead {
		if err := store.Move(&dead[i], job.Paused, "its process is gone", now); err != nil {
			return nil, err
		}
		if err := s.vacate(ctx, tx, &dead[i]); err != nil {
			return nil, err
		}
		if err := s.write(ctx, tx, dead[i]); err != nil {
			return nil, err
		}
	}
	return dead, nil
}

// Join decides under the same lock as Start.
func (s *Store) Join(ctx context.Context, p store.JoinParams) (store.Joined, error) {
	var joined store.Joined
	var superseded *job.Superseded
	err := s.within(ctx, writing, func(tx pgx.Tx) error {
		if _, err := s.lockStore(ctx, tx); err != nil {
			return err
		}
		j, err := s.jobOf(ctx, tx, p.ID)
		if err != nil {
			return err
		}
		now, to := s.params.Now(), job.Running
		if p.Undo {
			to = job.Undoing
			if err := s.require(ctx, tx, undoPrivileges()); err != nil {
				return err
			}
		}
		joined.Ousted = store.Oust(&j, p.Worker)
		if err := store.Enter(j, to, s.Tuning().Alone, now); err != nil {
			return err
		}
		if !p.Undo {
			superseded, err = s.supersede(ctx, tx, j, now)
			if err != nil || superseded != nil {
				return err
			}
		}
		if joined.Paused, err = s.admit(ctx, tx, j, p.Worker, now); err != nil {
			return err
		}
		if err := s.oust(ctx, tx, j.ID, joined.Ousted); err != nil {
			return err
		}
		if p.Undo && j.State != job.Undoing {
			if err := s.deleteClaims(ctx, tx, &j); err != nil {
				return err
			}
		}
		if err := store.Move(&j, to, "", now); err != nil {
			return err
		}
		if err := s.write(ctx, tx, j); err != nil {
			return err
		}
		joined.Lease, err = s.addWorker(ctx, tx, &j, p.Worker, now)
		joined.Job = j
		return err
	})
	switch {
	case err != nil:
		return store.Joined{}, s.translate(err, "join the job")
	case superseded != nil:
		return store.Joined{}, superseded
	}
	return joined, nil
}

// supersede cancels a job that a later sweep has overtaken. It gives nil where none has.
func (s *Store) supersede(ctx context.Context, tx pgx.Tx, j job.Job, now time.Time) (*job.Superseded, error) {
	by, ok, err := s.overtaken(ctx, tx, j)
	if err != nil || !ok {
		return nil, err
	}
	if j.State.May(job.Cancelled) {
		if err := store.Move(&j, job.Cancelled, "superseded by job "+by.ID, now); err != nil {
			return nil, err
		}
		if err := s.vacate(ctx, tx, &j); err != nil {
			return nil, err
		}
		if err := s.write(ctx, tx, j); err != nil {
			return nil, err
		}
	}
	return &job.Superseded{Job: j, By: by}, nil
}

// overtaken looks at the jobs that have ended since j was made, a few at a time: there may be a year of them.
func (s *Store) overtaken(ctx context.Context, tx pgx.Tx, j job.Job) (by job.Job, ok bool, err error) {
	part, err := tx.Begin(ctx) // a savepoint: the settings are for this look alone
	if err != nil {
		return job.Job{}, false, err
	}
	defer func() { err = errors.Join(err, part.Rollback(ctx)) }()
	if _, err := part.Exec(ctx, byKeys); err != nil {
		return job.Job{}, false, err
	}
	ended, id := fact.FormatInstant(j.Created), ""
	for {
		done, err := s.jobs(ctx, part, `
			WHERE (completed_at COLLATE "C", job_id COLLATE "C") > ($1, $2) AND state || '' = 'done' AND as_of COLLATE "C" > $3
			ORDER BY completed_at COLLATE "C", job_id COLLATE "C" LIMIT $4`, ended, id, fact.FormatInstant(j.AsOf), store.JobsAtOnce)
		if err != nil || len(done) == 0 {
			return job.Job{}, false, err
		}
		if by, ok := store.Overtaken(j, done); ok {
			return by, true, nil
		}
		last := done[len(done)-1]
		ended, id = fact.FormatInstant(last.Completed), last.ID
	}
}

// Renew brings back no lease that has ended: others may have acted on that.
func (s *Store) Renew(ctx context.Context, l store.Lease) error {
	err := s.within(ctx, writing, func(tx pgx.Tx) error {
		done, err := tx.Exec(ctx, `
			UPDATE `+s.table("decayctl_workers")+` w SET lease_until = `+nowSQL+` + $3
			FROM `+s.table("decayctl_jobs")+` j
			WHERE w.job_id = $1 AND w.worker = $2 AND w.lease_until > `+nowSQL+`
			  AND j.job_id = w.job_id AND j.state IN ('running', 'undoing')`, l.JobID, l.Worker, l.Time.Milliseconds())
		if err != nil || done.RowsAffected() > 0 {
			return err
		}
		return s.lost(ctx, tx, l.JobID)
	})
	return s.translate(err, "renew the lease of a job")
}

// Wait notes why a job does not go on.
func (s *Store) Wait(ctx context.Context, l store.Lease, why string) error {
	err := s.within(ctx, writing, func(tx pgx.Tx) error {
		j, err := s.held(ctx, tx, l, job.Running, job.Undoing)
		if err != nil {
			return err
		}
		j.StopReason, j.Updated = why, s.params.Now()
		if err := s.write(ctx, tx, j); err != nil {
			return err
		}
		return s.renew(ctx, tx, l)
	})
	return s.translate(err, "note why the job waits")
}

// Allowed clears the limit.
func (s *Store) Allowed(ctx context.Context, l store.Lease) error {
	err := s.within(ctx, writing, func(tx pgx.Tx) error {
		done, err := tx.Exec(ctx, `
			UPDATE `+s.table("decayctl_jobs")+` j SET max_expire = NULL
			WHERE j.job_id = $1 AND EXISTS (
				SELECT 1 FROM `+s.table("decayctl_workers")+` w
				WHERE w.job_id = j.job_id AND w.worker = $2 AND w.lease_until > `+nowSQL+`)`, l.JobID, l.Worker)
		if err != nil || done.RowsAffected() > 0 {
			return err
		}
		return s.lost(ctx, tx, l.JobID)
	})
	return s.translate(err, "note that the limit of a job holds")
}

// Finish counts claims, not workers: a worker that waits has nothing left to do.
func (s *Store) Finish(ctx context.Context, l store.Lease) (j job.Job, done bool, err error) {
	err = s.within(ctx, writing, func(tx pgx.Tx) (err error) {
		done = false
		if j, err = s.held(ctx, tx, l, job.Running, job.Undoing); err != nil {
			return err
		}
		if j.State == job.Running && (!j.End || j.OpenClaims > 0) {
			return nil
		}
		done = true
		if err := store.End(&j, s.params.Now()); err != nil {
			return err
		}
		if err := s.vacate(ctx, tx, &j); err != nil {
			return err
		}
		return s.write(ctx, tx, j)
	})
	if err != nil {
		return job.Job{}, false, s.translate(err, "finish the job")
	}
	return j, done, nil
}

// Leave keeps the worker's claims for others.
func (s *Store) Leave(ctx context.Context, l store.Lease, to job.State, reason string) (j job.Job, err error) {
	err = s.within(ctx, writing, func(tx pgx.Tx) (err error) {
		if j, err = s.jobOf(ctx, tx, l.JobID); err != nil {
			return err
		}
		if err := s.oust(ctx, tx, j.ID, []job.Worker{{Number: l.Worker}}); err != nil {
			return err
		}
		j.Workers = slices.DeleteFunc(j.Workers, func(w job.Worker) bool { return w.Number == l.Worker })
		switch {
		case !j.State.Worked() || j.Live():
			return nil
		case j.State == job.Undoing: // it stays so, and goes on with the next undo
			j.StopReason = reason
			return s.write(ctx, tx, j)
		}
		return s.move(ctx, tx, &j, to, reason)
	})
	if err != nil {
		return job.Job{}, s.translate(err, "leave the job")
	}
	return j, nil
}

// Move puts the job's workers out: a process that is still at it finds its row gone.
func (s *Store) Move(ctx context.Context, id string, to job.State, reason string) (j job.Job, err error) {
	err = s.within(ctx, writing, func(tx pgx.Tx) (err error) {
		if j, err = s.jobOf(ctx, tx, id); err != nil {
			return err
		}
		return s.move(ctx, tx, &j, to, reason)
	})
	if err != nil {
		return job.Job{}, s.translate(err, "change the state of the job")
	}
	return j, nil
}

func (s *Store) move(ctx context.Context, tx pgx.Tx, j *job.Job, to job.State, reason string) error {
	if err := store.Move(j, to, reason, s.params.Now()); err != nil {
		return err
	}
	if err := s.vacate(ctx, tx, j); err != nil {
		return err
	}
	return s.write(ctx, tx, *j)
}
