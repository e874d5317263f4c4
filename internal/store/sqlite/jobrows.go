package sqlite

import (
	"context"
	"slices"
	"time"

	"decayctl/internal/fact"
	"decayctl/internal/job"
	"decayctl/internal/store"
)

// jobOf is a job of ours as it stands, to be changed.
func (s *Store) jobOf(ctx context.Context, tx querier, id string) (job.Job, error) {
	found, err := s.jobs(ctx, tx, "WHERE job_id = $1", id)
	if err != nil {
		return job.Job{}, err
	}
	if len(found) == 1 {
		return found[0], nil
	}
	var foreign bool
	if err := tx.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM jobs WHERE id = $1 AND job_type = 'decay')", id).Scan(&foreign); err != nil {
		return job.Job{}, err
	}
	if foreign {
		return job.Job{}, &job.Foreign{ID: id}
	}
	return job.Job{}, s.unknown(ctx, tx, id)
}

// working are the jobs that are being worked on, or were left behind so.
func (s *Store) working(ctx context.Context, tx querier) ([]job.Job, error) {
	return s.jobs(ctx, tx, "WHERE state IN ('running', 'undoing')")
}

// held is the job that a lease is of, if the lease lasts and the job is in one of some states.
func (s *Store) held(ctx context.Context, tx querier, l store.Lease, states ...job.State) (job.Job, error) {
	if err := s.followClock(ctx, tx, l); err != nil {
		return job.Job{}, err
	}
	j, err := s.jobOf(ctx, tx, l.JobID)
	if err != nil {
		return job.Job{}, err
	}
	own := slices.IndexFunc(j.Workers, func(w job.Worker) bool { return w.Number == l.Worker && w.Live })
	if own < 0 || !slices.Contains(states, j.State) {
		return job.Job{}, &job.Lost{ID: l.JobID, State: j.State}
	}
	return j, nil
}

// lost says why a worker's share is not its own any more.
func (s *Store) lost(ctx context.Context, tx querier, id string) error {
	j, err := s.jobOf(ctx, tx, id)
	if err != nil {
		return err
	}
	return &job.Lost{ID: id, State: j.State}
}

// insert writes the rows of a new job, and remembers its stamp.
func (s *Store) insert(ctx context.Context, tx querier, j job.Job) error {
	var limit any
	if j.MaxExpire != nil {
		limit = j.MaxExpire.String()
	}
	stamp, created := fact.FormatSecond(j.Stamp), fact.FormatInstant(j.Created)
	if _, err := tx.ExecContext(ctx, `
		INSERT INTO decayctl_jobs (job_id, state, rules, fingerprint, as_of, stamp, scope, tenant, max_expire, total, created_at, changed_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11)`,
		j.ID, string(j.State), j.Rules.String(), j.Rules.Fingerprint(), fact.FormatInstant(j.AsOf), stamp,
		orNull(j.Scope), orNull(j.Tenant), limit, j.Total, created); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "UPDATE decayctl_store SET last_stamp = $1 WHERE id = 1", stamp); err != nil {
		return err
	}
	// Asked here, not when the store is opened: the node may have migrated since.
	var tenants bool
	if err := tx.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM pragma_table_info('jobs') WHERE lower(name) = 'tenant_id')").Scan(&tenants); err != nil {
		return err
	}
	row := store.NodeRowOf(j)
	more, place, args := "", "", []any{j.ID, row.Status, orNull(row.Scope), j.EstimatedS(), created}
	if tenants {
		more, place, args = ", tenant_id", ", $6", append(args, row.Tenant)
	}
	if _, err := tx.ExecContext(ctx, `
		INSERT INTO jobs (id, job_type, status, scope, estimated_s, created_at`+more+`)
		VALUES ($1, 'decay', $2, $3, $4, $5`+place+`)`, args...); err != nil {
		return err
	}
	return s.write(ctx, tx, j)
}

// write brings the rows of a job up to date, the node's too.
func (s *Store) write(ctx context.Context, tx querier, j job.Job) error {
	var undoneUpTo any
	if j.UndoneAny {
		undoneUpTo = j.UndoneUpTo
	}
	row := store.NodeRowOf(j)
	if _, err := tx.ExecContext(ctx, `
		UPDATE decayctl_jobs
		SET state = $2, undone_up_to = $3, counts = $4, started_at = $5, completed_at = $6, changed_at = $7, stop_reason = $8
		WHERE job_id = $1`,
		j.ID, string(j.State), undoneUpTo, j.Counts.String(), orNull(row.Started), orNull(row.Completed),
		fact.FormatInstant(j.Updated), orNull(j.StopReason)); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `
		UPDATE jobs SET status = $2, started_at = $3, completed_at = $4, result_json = $5, error = $6
		WHERE id = $1 AND job_type = 'decay'`,
		j.ID, row.Status, orNull(row.Started), orNull(row.Completed), row.Result, orNull(row.Error))
	return err
}

// oust puts workers out of a job.
func (s *Store) oust(ctx context.Context, tx querier, jobID string, workers []job.Worker) error {
	for _, w := range workers {
		if _, err := tx.ExecContext(ctx, "DELETE FROM decayctl_workers WHERE job_id = $1 AND worker = $2", jobID, w.Number); err != nil {
			return err
		}
	}
	return nil
}

// vacate puts all workers out of a job that is not worked on any more. Their claims are for those who go
// on with it, if anybody ever may.
func (s *Store) vacate(ctx context.Context, tx querier, j *job.Job) error {
	if _, err := tx.ExecContext(ctx, "DELETE FROM decayctl_workers WHERE job_id = $1", j.ID); err != nil {
		return err
	}
	j.Workers = nil
	if j.State.May(job.Running) {
		return nil
	}
	return s.deleteClaims(ctx, tx, j)
}

func (s *Store) deleteClaims(ctx context.Context, tx querier, j *job.Job) error {
	j.OpenClaims = 0
	_, err := tx.ExecContext(ctx, "DELETE FROM decayctl_claims WHERE job_id = $1", j.ID)
	return err
}

// addWorker gives a job another worker.
func (s *Store) addWorker(ctx context.Context, tx querier, j *job.Job, p store.WorkerParams, now time.Time) (store.Lease, error) {
	w := job.Worker{Owner: p.Owner, Joined: now, Live: p.Lease > 0, Left: p.Lease}
	if err := tx.QueryRowContext(ctx, `
		UPDATE decayctl_jobs SET next_worker = next_worker + 1 WHERE job_id = $1 RETURNING next_worker - 1`,
		j.ID).Scan(&w.Number); err != nil {
		return store.Lease{}, err
	}
	l, clocks := store.Lease{JobID: j.ID, Worker: w.Number, Time: p.Lease}, s.readClocks()
	_, err := tx.ExecContext(ctx, `
		INSERT INTO decayctl_workers (job_id, worker, host, space, pid, process_start, joined_at, lease_until)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		j.ID, w.Number, w.Host, w.Space, w.PID, w.Start, fact.FormatInstant(now), clocks.wallMS+p.Lease.Milliseconds())
	j.Workers = append(j.Workers, w)
	s.noteLease(l, clocks)
	return l, err
}

// renew makes a lease last for its full time from now. That it has not ended is for the caller to know.
func (s *Store) renew(ctx context.Context, tx querier, l store.Lease) error {
	clocks := s.readClocks()
	s.noteLease(l, clocks)
	_, err := tx.ExecContext(ctx, "UPDATE decayctl_workers SET lease_until = $3 WHERE job_id = $1 AND worker = $2",
		l.JobID, l.Worker, clocks.wallMS+l.Time.Milliseconds())
	return err
}

// nowMS is the clock of leases: the host's, which all who can open the file share.
func (s *Store) nowMS() int64 { return s.params.Now().UnixMilli() }

func orNull(text string) any {
	if text == "" {
		return nil
	}
	return text
}

func text(value *string) string {
	if value == nil {
		return ""
	}
	return *value
}
