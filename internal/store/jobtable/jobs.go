package jobtable

import (
	"context"
	"slices"
	"time"

	"decayctl/internal/fact"
	"decayctl/internal/job"
	"decayctl/internal/store"
)

// Transactions lock in one order: the row of decayctl_store, a job's row, its workers, its claims. A batch locks its claim
// and facts first and the job's row last. So a transaction that has locked a job's row must not wait for a fact or claim.

// Start locks the row of decayctl_store, so that of two sweeps that start at once, one finds the job of the other.
func (t *Table) Start(ctx context.Context, p store.StartParams) (joined store.Joined, err error) {
	err = t.db.Write(ctx, func(tx Tx) error {
		joined = store.Joined{Worker: p.Worker}
		last, err := t.lockStore(ctx, tx)
		if err != nil {
			return err
		}
		now := t.params.Now()
		j := store.NewJob(p, now, last)
		if !p.Later {
			if joined.Paused, err = t.pauseDead(ctx, tx, j, p.Worker, now); err != nil {
				return err
			}
		}
		if err := t.insert(ctx, tx, j); err != nil {
			return err
		}
		if err := t.insertPlan(ctx, tx, p); err != nil {
			return err
		}
		if !p.Later {
			if joined.Lease, err = t.addWorker(ctx, tx, &j, p.Worker, now); err != nil {
				return err
			}
		}
		joined.Job = j
		return nil
	})
	if err != nil {
		return store.Joined{}, t.db.Translate(err, "start the job")
	}
	return joined, nil
}

// pauseDead pauses the overlapping jobs whose workers are all dead. Their claims stay for a resume. It fails with
// *job.Busy if a worker of an overlapping job is alive.
func (t *Table) pauseDead(ctx context.Context, tx Tx, j job.Job, p store.WorkerParams, now time.Time) ([]job.Job, error) {
	working, err := t.readJobs(ctx, tx, "WHERE state IN ('running', 'undoing') ORDER BY job_id"+t.db.Lock(""))
	if err != nil {
		return nil, err
	}
	if err := t.readWorkers(ctx, tx, working); err != nil {
		return nil, err
	}
	dead, err := store.CheckOverlaps(j, working, p, now)
	if err != nil {
		return nil, err
	}
	for i := range dead {
		if err := t.move(ctx, tx, &dead[i], job.Paused, "its process is gone", now); err != nil {
			return nil, err
		}
	}
	return dead, nil
}

// Join takes the same lock as Start. Superseded is no error within the transaction, which has to commit: it cancels the
// superseded job.
func (t *Table) Join(ctx context.Context, p store.JoinParams) (joined store.Joined, err error) {
	var superseded *job.Superseded
	err = t.db.Write(ctx, func(tx Tx) error {
		joined = store.Joined{Worker: p.Worker}
		if _, err := t.lockStore(ctx, tx); err != nil {
			return err
		}
		j, err := t.lockJob(ctx, tx, p.ID)
		if err != nil {
			return err
		}
		now, to := t.params.Now(), job.Running
		if p.Undo {
			to = job.Undoing
			if err := t.db.MayUndo(ctx, tx); err != nil {
				return err
			}
		}
		if p.Again && j.State != to {
			return &job.Lost{ID: j.ID, State: j.State}
		}
		joined.RemovedWorkers = store.RemoveDeadWorkers(&j, p.Worker)
		if err := store.CheckJoin(j, to, t.singleWorkerReason, now); err != nil {
			return err
		}
		if !p.Undo {
			if superseded, err = t.supersede(ctx, tx, j, now); err != nil || superseded != nil {
				return err
			}
		}
		if joined.Paused, err = t.pauseDead(ctx, tx, j, p.Worker, now); err != nil {
			return err
		}
		if err := t.removeWorkers(ctx, tx, j.ID, joined.RemovedWorkers...); err != nil {
			return err
		}
		if p.Undo && j.State != job.Undoing { // the unswept facts are not swept any more
			if err := t.deleteClaims(ctx, tx, &j); err != nil {
				return err
			}
		}
		if err := store.Move(&j, to, "", now); err != nil {
			return err
		}
		if err := t.write(ctx, tx, j); err != nil {
			return err
		}
		joined.Lease, err = t.addWorker(ctx, tx, &j, p.Worker, now)
		joined.Job = j
		return err
	})
	switch {
	case err != nil:
		return store.Joined{}, t.db.Translate(err, "join the job")
	case superseded != nil:
		return store.Joined{}, superseded
	}
	return joined, nil
}

// supersede cancels a job that another one supersedes, if that is a legal transition. It returns nil if none does.
func (t *Table) supersede(ctx context.Context, tx Tx, j job.Job, now time.Time) (*job.Superseded, error) {
	by, ok, err := t.findSuperseding(ctx, tx, j)
	if err != nil || !ok {
		return nil, err
	}
	if j.State.May(job.Cancelled) {
		if err := t.move(ctx, tx, &j, job.Cancelled, "superseded by job "+by.ID, now); err != nil {
			return nil, err
		}
	}
	return &job.Superseded{Job: j, By: by}, nil
}

// findSuperseding reads the jobs that ended since j was created, a part at a time: there may be very many.
func (t *Table) findSuperseding(ctx context.Context, tx Tx, j job.Job) (by job.Job, ok bool, err error) {
	err = t.db.Apart(ctx, tx, func(tx Tx) error {
		ended, id := fact.FormatInstant(j.Created), ""
		for {
			done, err := t.readJobs(ctx, tx, `
				WHERE (`+t.db.Bytes("completed_at")+`, `+t.db.Bytes("job_id")+`) > ($1, $2) AND `+t.db.NoIndex("state")+` = 'done' AND `+t.db.Bytes("as_of")+` > $3
				ORDER BY `+t.db.Bytes("completed_at")+`, `+t.db.Bytes("job_id")+` LIMIT $4`, ended, id, fact.FormatInstant(j.AsOf), store.JobsAtOnce)
			if err != nil || len(done) == 0 {
				return err
			}
			if by, ok = store.FindSuperseding(j, done); ok {
				return nil
			}
			last := done[len(done)-1]
			ended, id = fact.FormatInstant(last.Completed), last.ID
		}
	})
	return by, ok, err
}

// Renew does not extend a lease that has ended: another process may have taken over the worker's claims.
func (t *Table) Renew(ctx context.Context, l store.Lease) error {
	err := t.db.Write(ctx, func(tx Tx) error {
		if err := t.db.FollowClock(ctx, tx, l); err != nil {
			return err
		}
		t.db.LeaseWritten(l)
		renewed, err := tx.Exec(ctx, `
			UPDATE `+t.db.Table("decayctl_workers")+` AS w SET lease_until = `+t.leaseClock()+` + $3
			FROM `+t.db.Table("decayctl_jobs")+` j
			WHERE w.job_id = $1 AND w.worker = $2 AND w.lease_until > `+t.leaseClock()+`
			  AND j.job_id = w.job_id AND j.state IN ('running', 'undoing')`, l.JobID, l.Worker, l.Time.Milliseconds())
		if err != nil || renewed > 0 {
			return err
		}
		return t.lost(ctx, tx, l.JobID)
	})
	return t.db.Translate(err, "renew the lease")
}

// Wait writes the note to the job's stop reason.
func (t *Table) Wait(ctx context.Context, l store.Lease, why string) error {
	err := t.db.Write(ctx, func(tx Tx) error {
		j, err := t.lockLeased(ctx, tx, l, job.Running, job.Undoing)
		if err != nil {
			return err
		}
		j.StopReason, j.Updated = why, t.params.Now()
		if err := t.write(ctx, tx, j); err != nil {
			return err
		}
		return t.renew(ctx, tx, l)
	})
	return t.db.Translate(err, "note why the job waits")
}

// ClearMaxExpire sets the limit to NULL.
func (t *Table) ClearMaxExpire(ctx context.Context, l store.Lease) error {
	err := t.db.Write(ctx, func(tx Tx) error {
		if err := t.db.FollowClock(ctx, tx, l); err != nil {
			return err
		}
		cleared, err := tx.Exec(ctx, `
			UPDATE `+t.db.Table("decayctl_jobs")+` AS j SET max_expire = NULL
			WHERE j.job_id = $1 AND EXISTS (
				SELECT 1 FROM `+t.db.Table("decayctl_workers")+` w
				WHERE w.job_id = j.job_id AND w.worker = $2 AND w.lease_until > `+t.leaseClock()+`)`, l.JobID, l.Worker)
		if err != nil || cleared > 0 {
			return err
		}
		return t.lost(ctx, tx, l.JobID)
	})
	return t.db.Translate(err, "note that the limit of the job holds")
}

// Finish counts claims and not workers: a worker without a claim has nothing left to do.
func (t *Table) Finish(ctx context.Context, l store.Lease, undone store.Cursor) (j job.Job, done bool, err error) {
	err = t.db.Write(ctx, func(tx Tx) (err error) {
		done = false
		if j, err = t.lockLeased(ctx, tx, l, job.Running, job.Undoing); err != nil {
			return err
		}
		if j.State == job.Running && (!j.End || j.OpenClaims > 0) {
			return nil
		}
		if j.State == job.Undoing && store.UndonePlace(j) != undone {
			return &job.Lost{ID: j.ID, State: j.State}
		}
		done = true
		if err := store.Complete(&j, t.params.Now()); err != nil {
			return err
		}
		if err := t.removeAllWorkers(ctx, tx, &j); err != nil {
			return err
		}
		return t.write(ctx, tx, j)
	})
	if err != nil {
		return job.Job{}, false, t.db.Translate(err, "finish the job")
	}
	return j, done, nil
}

// Leave does nothing more to a job that has another live worker, or that no process was working on.
func (t *Table) Leave(ctx context.Context, l store.Lease, to job.State, reason string) (j job.Job, err error) {
	err = t.db.Write(ctx, func(tx Tx) (err error) {
		if j, err = t.lockJob(ctx, tx, l.JobID); err != nil {
			return err
		}
		if err := t.removeWorkers(ctx, tx, j.ID, job.Worker{Number: l.Worker}); err != nil {
			return err
		}
		j.Workers = slices.DeleteFunc(j.Workers, func(w job.Worker) bool { return w.Number == l.Worker })
		switch {
		case !j.State.Worked() || j.Live():
			return nil
		case j.State == job.Undoing: // only another undo can go on
			j.StopReason = reason
			return t.write(ctx, tx, j)
		}
		return t.move(ctx, tx, &j, to, reason, t.params.Now())
	})
	if err != nil {
		return job.Job{}, t.db.Translate(err, "leave the job")
	}
	return j, nil
}

// Move deletes the rows of the job's workers, by which a process that is working on the job finds out.
func (t *Table) Move(ctx context.Context, id string, to job.State, reason string) (j job.Job, err error) {
	err = t.db.Write(ctx, func(tx Tx) (err error) {
		if j, err = t.lockJob(ctx, tx, id); err != nil {
			return err
		}
		return t.move(ctx, tx, &j, to, reason, t.params.Now())
	})
	if err != nil {
		return job.Job{}, t.db.Translate(err, "change the state of the job")
	}
	return j, nil
}

// move takes a job to a state in which no process works on it.
func (t *Table) move(ctx context.Context, tx Tx, j *job.Job, to job.State, reason string, now time.Time) error {
	if err := store.Move(j, to, reason, now); err != nil {
		return err
	}
	if err := t.removeAllWorkers(ctx, tx, j); err != nil {
		return err
	}
	return t.write(ctx, tx, *j)
}
