package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"decayctl/internal/fact"
	"decayctl/internal/job"
	"decayctl/internal/store"
)

// Start writes down a new job. The write lock keeps other sweeps from starting meanwhile.
func (s *Store) Start(ctx context.Context, p store.StartParams) (store.Joined, error) {
	var joined store.Joined
	err := s.within(ctx, func(tx querier) error {
		var last *string
		err := tx.QueryRowContext(ctx, "SELECT last_stamp FROM decayctl_store WHERE id = 1").Scan(&last)
		if errors.Is(err, sql.ErrNoRows) {
			err = store.ErrNoStoreRow
		}
		if err != nil {
			return err
		}
		now := s.params.Now()
		j := store.NewJob(p, now, text(last))
		if !p.Later {
			var err error
			if joined.Paused, err = s.admit(ctx, tx, j, p.Worker, now); err != nil {
				return err
			}
		}
		if err := s.insert(ctx, tx, j); err != nil {
			return err
		}
		if !p.Later {
			var err error
			if joined.Lease, err = s.addWorker(ctx, tx, &j, p.Worker, now); err != nil {
				return err
			}
		}
		joined.Job = j
		return nil
	})
	if err != nil {
		return store.Joined{}, s.translate(err, "start the job")
	}
	return joined, nil
}

// admit makes way for a job among those at work, and pauses the dead ones that it finds in its way.
// Their claims stay: whoever resumes them goes on with those.
func (s *Store) admit(ctx context.Context, tx querier, j job.Job, p store.WorkerParams, now time.Time) ([]job.Job, error) {
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

// Join adds a worker to a job.
func (s *Store) Join(ctx context.Context, p store.JoinParams) (store.Joined, error) {
	var joined store.Joined
	var superseded error
	err := s.within(ctx, func(tx querier) error {
		j, err := s.jobOf(ctx, tx, p.ID)
		if err != nil {
			return err
		}
		now, to := s.params.Now(), job.Running
		if p.Undo {
			to = job.Undoing
		}
		joined.Ousted = store.Oust(&j, p.Worker)
		if err := store.Enter(j, to, s.Tuning().Alone, now); err != nil {
			return err
		}
		if !p.Undo {
			if superseded, err = s.supersede(ctx, tx, j, now); err != nil || superseded != nil {
				return err
			}
		}
		if joined.Paused, err = s.admit(ctx, tx, j, p.Worker, now); err != nil {
			return err
		}
		if err := s.oust(ctx, tx, j.ID, joined.Ousted); err != nil {
			return err
		}
		if p.Undo && j.State != job.Undoing { // nobody will sweep the rest
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
	if err == nil {
		err = superseded
	}
	if err != nil {
		return store.Joined{}, s.translate(err, "join the job")
	}
	return joined, nil
}

// supersede tells whether a later sweep has overtaken a job, which is then cancelled if it may be. That
// is to be committed, so the refusal is not returned as an error.
func (s *Store) supersede(ctx context.Context, tx querier, j job.Job, now time.Time) (refusal, err error) {
	by, overtaken, err := s.overtaken(ctx, tx, j)
	if err != nil {
		return nil, err
	}
	if !overtaken {
		return nil, nil
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
func (s *Store) overtaken(ctx context.Context, tx querier, j job.Job) (by job.Job, ok bool, err error) {
	ended, id := fact.FormatInstant(j.Created), ""
	for {
		done, err := s.jobs(ctx, tx, `
			WHERE (completed_at, job_id) > ($1, $2) AND +state = 'done' AND as_of > $3
			ORDER BY completed_at, job_id LIMIT $4`, ended, id, fact.FormatInstant(j.AsOf), store.JobsAtOnce)
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

// Renew makes a lease last again. One that has ended stays so: its claims may be another's by now.
func (s *Store) Renew(ctx context.Context, l store.Lease) error {
	err := s.within(ctx, func(tx querier) error {
		if _, err := s.held(ctx, tx, l, job.Running, job.Undoing); err != nil {
			return err
		}
		return s.renew(ctx, tx, l)
	})
	return s.translate(err, "renew the lease")
}

// Wait notes why a job does not go on.
func (s *Store) Wait(ctx context.Context, l store.Lease, why string) error {
	err := s.within(ctx, func(tx querier) error {
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

// Allowed notes that the job's limit holds.
func (s *Store) Allowed(ctx context.Context, l store.Lease) error {
	err := s.within(ctx, func(tx querier) error {
		if _, err := s.held(ctx, tx, l, job.Running, job.Undoing); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, "UPDATE decayctl_jobs SET max_expire = NULL WHERE job_id = $1", l.JobID)
		return err
	})
	return s.translate(err, "write to the job")
}

// Finish closes a job that has come to its end.
func (s *Store) Finish(ctx context.Context, l store.Lease) (j job.Job, done bool, err error) {
	err = s.within(ctx, func(tx querier) error {
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

// Leave gives up a worker's share. What it had claimed is left for others.
func (s *Store) Leave(ctx context.Context, l store.Lease, to job.State, reason string) (j job.Job, err error) {
	err = s.within(ctx, func(tx querier) error {
		if err := s.oust(ctx, tx, l.JobID, []job.Worker{{Number: l.Worker}}); err != nil {
			return err
		}
		if j, err = s.jobOf(ctx, tx, l.JobID); err != nil {
			return err
		}
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

// Move takes a job to another state by an operator's word.
func (s *Store) Move(ctx context.Context, id string, to job.State, reason string) (j job.Job, err error) {
	err = s.within(ctx, func(tx querier) error {
		if j, err = s.jobOf(ctx, tx, id); err != nil {
			return err
		}
		return s.move(ctx, tx, &j, to, reason)
	})
	if err != nil {
		return job.Job{}, s.translate(err, "write to the job")
	}
	return j, nil
}

func (s *Store) move(ctx context.Context, tx querier, j *job.Job, to job.State, reason string) error {
	if err := store.Move(j, to, reason, s.params.Now()); err != nil {
		return err
	}
	if err := s.vacate(ctx, tx, j); err != nil {
		return err
	}
	return s.write(ctx, tx, *j)
}
