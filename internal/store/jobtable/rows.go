package jobtable

import (
	"context"
	"slices"
	"time"

	"decayctl/internal/fact"
	"decayctl/internal/job"
	"decayctl/internal/store"
)

// lockStore locks the row of decayctl_store, as every start and undo does, and reads the stamp of the newest job.
func (t *Table) lockStore(ctx context.Context, tx Tx) (last string, err error) {
	found, err := first(ctx, tx, []any{&last}, `SELECT coalesce(last_stamp, '') FROM `+t.db.Table("decayctl_store")+` WHERE id = 1`+t.db.Lock(""))
	if err == nil && !found {
		err = store.ErrNoStoreRow
	}
	return last, err
}

// lockJob locks a job of decayctl and reads it with its workers. Errors: *job.Foreign, *job.Unknown.
func (t *Table) lockJob(ctx context.Context, tx Tx, id string) (job.Job, error) {
	found, err := t.readJobs(ctx, tx, "WHERE job_id = $1"+t.db.Lock(""), id)
	if err != nil {
		return job.Job{}, err
	}
	if len(found) == 0 {
		var foreign bool
		if _, err := first(ctx, tx, []any{&foreign}, `SELECT EXISTS (SELECT 1 FROM `+t.db.Table("jobs")+` WHERE id = $1 AND job_type = 'decay')`, id); err != nil {
			return job.Job{}, err
		}
		if foreign {
			return job.Job{}, &job.Foreign{ID: id}
		}
		return job.Job{}, t.unknown(ctx, tx, id)
	}
	// Not part of the statement above: it must see what was committed while that one waited for the lock.
	err = t.readWorkers(ctx, tx, found)
	return found[0], err
}

// lockLeased locks and reads the job of a lease. It fails with *job.Lost if the lease has ended, or if the job is in none
// of the states.
func (t *Table) lockLeased(ctx context.Context, tx Tx, l store.Lease, states ...job.State) (job.Job, error) {
	if err := t.db.FollowClock(ctx, tx, l); err != nil {
		return job.Job{}, err
	}
	j, err := t.lockJob(ctx, tx, l.JobID)
	if err != nil {
		return job.Job{}, err
	}
	own := slices.IndexFunc(j.Workers, func(w job.Worker) bool { return w.Number == l.Worker && w.Live })
	if own < 0 || !slices.Contains(states, j.State) {
		return job.Job{}, &job.Lost{ID: l.JobID, State: j.State}
	}
	return j, nil
}

// lost is the error of a worker that has lost its lease or its claim: *job.Lost, or *job.Unknown if the job was removed.
func (t *Table) lost(ctx context.Context, tx Tx, id string) error {
	found, err := t.readJobs(ctx, tx, "WHERE job_id = $1", id)
	switch {
	case err != nil:
		return err
	case len(found) == 0:
		return t.unknown(ctx, tx, id)
	}
	return &job.Lost{ID: id, State: found[0].State}
}

// readJobs reads jobs of decayctl, without workers and claims.
func (t *Table) readJobs(ctx context.Context, tx Tx, where string, args ...any) (found []job.Job, err error) {
	plan, err := t.planColumn(ctx, tx)
	if err != nil {
		return nil, err
	}
	var row store.JobRow
	err = tx.Query(ctx, row.Fields(), func() error {
		j, err := row.Job()
		found = append(found, j)
		return err
	}, "SELECT "+store.JobColumns+plan+" FROM "+t.db.Table("decayctl_jobs")+" "+where, args...)
	return found, err
}

// planColumn is the column, or NULL if the tables are older than it. A command that only reads does not upgrade them.
func (t *Table) planColumn(ctx context.Context, tx Tx) (string, error) {
	if t.hasPlan.Load() {
		return store.PlanColumn, nil
	}
	there, err := t.db.HasColumn(ctx, tx, "decayctl_jobs", store.PlanColumn)
	t.hasPlan.Store(there)
	if err != nil || there {
		return store.PlanColumn, err
	}
	return "CAST(NULL AS text)", nil
}

// readWorkers adds the workers and the number of open claims to jobs.
func (t *Table) readWorkers(ctx context.Context, tx Tx, jobs []job.Job) error {
	if len(jobs) == 0 {
		return nil
	}
	at, ids := map[string]int{}, make([]string, len(jobs))
	for i, j := range jobs {
		at[j.ID], ids[i] = i, j.ID
	}
	var id, joined string
	var w job.Worker
	var left int64
	if err := tx.Query(ctx, []any{&id, &w.Number, &w.Host, &w.PIDNamespace, &w.PID, &w.Start, &joined, &left}, func() error {
		each := w
		each.Joined, _ = fact.ParseInstant(joined) // for reports only
		each.Left, each.Live = time.Duration(left)*time.Millisecond, left > 0
		jobs[at[id]].Workers = append(jobs[at[id]].Workers, each)
		return nil
	}, `SELECT job_id, worker, host, space, pid, process_start, joined_at, lease_until - `+t.leaseClock()+`
		FROM `+t.db.Table("decayctl_workers")+` WHERE `+t.db.In("job_id", 1)+` ORDER BY worker`, t.db.Array(ids)); err != nil {
		return err
	}
	var claims int
	return tx.Query(ctx, []any{&id, &claims}, func() error {
		jobs[at[id]].OpenClaims = claims
		return nil
	}, `SELECT job_id, count(*) FROM `+t.db.Table("decayctl_claims")+` WHERE `+t.db.In("job_id", 1)+` GROUP BY job_id`, t.db.Array(ids))
}

// insert writes the rows of a new job, and its stamp to decayctl_store.
func (t *Table) insert(ctx context.Context, tx Tx, j job.Job) error {
	var limit *string
	if j.MaxExpire != nil {
		limit = nullIfEmpty(j.MaxExpire.String())
	}
	stamp, created := fact.FormatSecond(j.Stamp), fact.FormatInstant(j.Created)
	if _, err := tx.Exec(ctx, `
		INSERT INTO `+t.db.Table("decayctl_jobs")+` (job_id, state, rules, fingerprint, as_of, stamp, scope, tenant, max_expire, total, created_at, changed_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11)`,
		j.ID, string(j.State), t.db.Encode(j.Rules.String()), j.Rules.Fingerprint(), fact.FormatInstant(j.AsOf), stamp,
		nullIfEmpty(j.Scope), nullIfEmpty(j.Tenant), limit, j.Total, created); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `UPDATE `+t.db.Table("decayctl_store")+` SET last_stamp = $1 WHERE id = 1`, stamp); err != nil {
		return err
	}
	// Not checked once when the store is opened: the node may have migrated since.
	tenants, err := t.db.HasColumn(ctx, tx, "jobs", "tenant_id")
	if err != nil {
		return err
	}
	row := store.NodeRowOf(j)
	more, place, args := "", "", []any{j.ID, row.Status, nullIfEmpty(row.Scope), j.EstimatedS(), created}
	if tenants {
		more, place, args = ", tenant_id", ", $6", append(args, row.Tenant)
	}
	if _, err := tx.Exec(ctx, `
		INSERT INTO `+t.db.Table("jobs")+` (id, job_type, status, scope, estimated_s, created_at`+more+`)
		VALUES ($1, 'decay', $2, $3, $4, $5`+place+`)`, args...); err != nil {
		return err
	}
	return t.write(ctx, tx, j)
}

// write updates the rows of a locked job, in decayctl's table and in the node's.
func (t *Table) write(ctx context.Context, tx Tx, j job.Job) error {
	row := store.NodeRowOf(j)
	if _, err := tx.Exec(ctx, `
		UPDATE `+t.db.Table("decayctl_jobs")+`
		SET state = $2, undone_up_to = $3, counts = $4, started_at = $5, completed_at = $6, changed_at = $7, stop_reason = $8
		WHERE job_id = $1`,
		j.ID, string(j.State), nullableID(store.UndonePlace(j)), t.db.Encode(j.Counts.String()),
		nullIfEmpty(row.Started), nullIfEmpty(row.Completed), fact.FormatInstant(j.Updated), nullIfEmpty(j.StopReason)); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `
		UPDATE `+t.db.Table("jobs")+` SET status = $2, started_at = $3, completed_at = $4, result_json = $5, error = $6
		WHERE id = $1 AND job_type = 'decay'`,
		j.ID, row.Status, nullIfEmpty(row.Started), nullIfEmpty(row.Completed), t.db.Encode(row.Result), nullIfEmpty(row.Error))
	return err
}

// removeWorkers removes workers of a job. Other workers get their claims.
func (t *Table) removeWorkers(ctx context.Context, tx Tx, jobID string, workers ...job.Worker) error {
	for _, w := range workers {
		if _, err := tx.Exec(ctx, `DELETE FROM `+t.db.Table("decayctl_workers")+` WHERE job_id = $1 AND worker = $2`, jobID, w.Number); err != nil {
			return err
		}
	}
	return nil
}

// removeAllWorkers removes all workers of a job. It keeps the claims if the job may be resumed.
func (t *Table) removeAllWorkers(ctx context.Context, tx Tx, j *job.Job) error {
	if _, err := tx.Exec(ctx, `DELETE FROM `+t.db.Table("decayctl_workers")+` WHERE job_id = $1`, j.ID); err != nil {
		return err
	}
	j.Workers = nil
	if j.State.May(job.Running) {
		return nil
	}
	return t.deleteClaims(ctx, tx, j)
}

// deleteClaims deletes the claims of a job that will not be resumed, and what it needs of its plan. It skips a claim that a batch has locked. That batch
// waits for the job's row, finds the job in another state, and is rolled back.
func (t *Table) deleteClaims(ctx context.Context, tx Tx, j *job.Job) error {
	j.OpenClaims = 0
	claims := t.db.Table("decayctl_claims")
	_, err := tx.Exec(ctx, `
		DELETE FROM `+claims+`
		WHERE job_id = $1 AND `+t.db.Among("claim", `SELECT claim FROM `+claims+` WHERE job_id = $1`+t.db.Lock("SKIP LOCKED")), j.ID)
	if err != nil || j.Plan == "" {
		return err
	}
	_, err = tx.Exec(ctx, `DELETE FROM `+t.db.Table("decayctl_plans")+` WHERE job_id = $1`, j.ID)
	return err
}

// addWorker adds a process to the workers of a job.
func (t *Table) addWorker(ctx context.Context, tx Tx, j *job.Job, p store.WorkerParams, now time.Time) (store.Lease, error) {
	w := job.Worker{Owner: p.Owner, Joined: now, Live: p.Lease > 0, Left: p.Lease}
	if _, err := first(ctx, tx, []any{&w.Number}, `
		UPDATE `+t.db.Table("decayctl_jobs")+` SET next_worker = next_worker + 1 WHERE job_id = $1 RETURNING next_worker - 1`, j.ID); err != nil {
		return store.Lease{}, err
	}
	l := store.Lease{JobID: j.ID, Worker: w.Number, Time: p.Lease}
	t.db.LeaseWritten(l)
	_, err := tx.Exec(ctx, `
		INSERT INTO `+t.db.Table("decayctl_workers")+` (job_id, worker, host, space, pid, process_start, joined_at, lease_until)
		VALUES ($1, $2, $3, $4, $5, $6, $7, `+t.leaseClock()+` + $8)`,
		j.ID, w.Number, w.Host, w.PIDNamespace, w.PID, w.Start, fact.FormatInstant(now), p.Lease.Milliseconds())
	j.Workers = append(slices.Clone(j.Workers), w)
	return l, err
}

// renew extends a lease in a transaction that has checked the lease before. The lease may have ended since then; it fails
// with *job.Lost only if the worker was removed.
func (t *Table) renew(ctx context.Context, tx Tx, l store.Lease) error {
	t.db.LeaseWritten(l)
	renewed, err := tx.Exec(ctx, `
		UPDATE `+t.db.Table("decayctl_workers")+` SET lease_until = `+t.leaseClock()+` + $3 WHERE job_id = $1 AND worker = $2`,
		l.JobID, l.Worker, l.Time.Milliseconds())
	if err != nil || renewed > 0 {
		return err
	}
	return t.lost(ctx, tx, l.JobID)
}

// unknown is the error for a job that does not exist. PrunedBefore tells whether it may have been pruned.
func (t *Table) unknown(ctx context.Context, tx Tx, prefix string) error {
	unknown := &job.Unknown{Prefix: prefix}
	own, err := t.db.HasTable(ctx, tx, "decayctl_store")
	if err != nil {
		return err
	}
	if !own {
		return unknown
	}
	var pruned *string
	if _, err := first(ctx, tx, []any{&pruned}, `SELECT max(pruned_before) FROM `+t.db.Table("decayctl_store")); err != nil {
		return err
	}
	if pruned != nil {
		unknown.PrunedBefore, _ = fact.ParseInstant(*pruned) // for the text of the error only
	}
	return unknown
}

// leaseClock is a fragment: the time now as the ends of leases have it, in milliseconds since 1970.
func (t *Table) leaseClock() string { return t.db.Clock(1000) }
