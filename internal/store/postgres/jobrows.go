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

// nowSQL is the clock of leases, in milliseconds: the database's, which all hosts share, and which
// goes on within a transaction.
const nowSQL = `(extract(epoch FROM clock_timestamp()) * 1000)::bigint`

// lockStore takes the lock under which sweeps start, and reads the stamp of the newest job.
func (s *Store) lockStore(ctx context.Context, tx pgx.Tx) (last string, err error) {
	err = tx.QueryRow(ctx, `SELECT coalesce(last_stamp, '') FROM `+s.table("decayctl_store")+` WHERE id = 1 FOR UPDATE`).Scan(&last)
	if errors.Is(err, pgx.ErrNoRows) {
		err = store.ErrNoStoreRow
	}
	return last, err
}

// jobOf locks a job and reads it with its workers.
func (s *Store) jobOf(ctx context.Context, tx pgx.Tx, id string) (job.Job, error) {
	found, err := s.jobs(ctx, tx, "WHERE job_id = $1 FOR UPDATE", id)
	if err != nil {
		return job.Job{}, err
	}
	if len(found) == 0 {
		var foreign bool
		err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM `+s.table("jobs")+` WHERE id = $1 AND job_type = 'decay')`, id).Scan(&foreign)
		switch {
		case err != nil:
			return job.Job{}, err
		case foreign:
			return job.Job{}, &job.Foreign{ID: id}
		}
		return job.Job{}, s.unknown(ctx, tx, id)
	}
	// Statements of their own: they see what was committed while the lock was waited for.
	err = s.complete(ctx, tx, found)
	return found[0], err
}

// working locks and reads the jobs that are worked on, with their workers.
func (s *Store) working(ctx context.Context, tx pgx.Tx) ([]job.Job, error) {
	found, err := s.jobs(ctx, tx, "WHERE state IN ('running', 'undoing') ORDER BY job_id FOR UPDATE")
	if err != nil {
		return nil, err
	}
	return found, s.complete(ctx, tx, found)
}

// held locks and reads the job that a lease is of, if the lease lasts and the job is in one of some
// states.
func (s *Store) held(ctx context.Context, tx pgx.Tx, l store.Lease, states ...job.State) (job.Job, error) {
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

// lost says how the job stands that a worker has lost.
func (s *Store) lost(ctx context.Context, tx pgx.Tx, id string) error {
	found, err := s.jobs(ctx, tx, "WHERE job_id = $1", id)
	switch {
	case err != nil:
		return err
	case len(found) == 0:
		return s.unknown(ctx, tx, id)
	}
	return &job.Lost{ID: id, State: found[0].State}
}

// jobs reads decayctl's own jobs, without their workers and claims.
func (s *Store) jobs(ctx context.Context, tx pgx.Tx, where string, args ...any) (found []job.Job, err error) {
	rows, err := tx.Query(ctx, "SELECT "+store.JobColumns+" FROM "+s.table("decayctl_jobs")+" "+where, args...)
	if err != nil {
		return nil, err
	}
	var row store.JobRow
	_, err = pgx.ForEachRow(rows, row.Fields(), func() error {
		j, err := row.Job()
		found = append(found, j)
		return err
	})
	return found, err
}

// complete reads the workers of jobs, and counts their claims.
func (s *Store) complete(ctx context.Context, tx pgx.Tx, jobs []job.Job) error {
	places, ids := map[string]int{}, make([]string, len(jobs))
	for i, j := range jobs {
		places[j.ID], ids[i] = i, j.ID
	}
	if len(ids) == 0 {
		return nil
	}
	rows, err := tx.Query(ctx, `
		SELECT job_id, worker, host, space, pid, process_start, joined_at, lease_until - `+nowSQL+`
		FROM `+s.table("decayctl_workers")+` WHERE job_id = ANY($1::text[]) ORDER BY worker`, ids)
	if err != nil {
		return err
	}
	var id, joined string
	var w job.Worker
	var left int64
	if _, err = pgx.ForEachRow(rows, []any{&id, &w.Number, &w.Host, &w.Space, &w.PID, &w.Start, &joined, &left}, func() error {
		each := w
		each.Joined, _ = fact.ParseInstant(joined) // only ever shown
		each.Left, each.Live = time.Duration(left)*time.Millisecond, left > 0
		jobs[places[id]].Workers = append(jobs[places[id]].Workers, each)
		return nil
	}); err != nil {
		return err
	}
	rows, err = tx.Query(ctx, `SELECT job_id, count(*) FROM `+s.table("decayctl_claims")+` WHERE job_id = ANY($1::text[]) GROUP BY job_id`, ids)
	if err != nil {
		return err
	}
	var claims int
	_, err = pgx.ForEachRow(rows, []any{&id, &claims}, func() error {
		jobs[places[id]].OpenClaims = claims
		return nil
	})
	return err
}

// insert writes a new job down, with its face in the node's table, and notes its stamp.
func (s *Store) insert(ctx context.Context, tx pgx.Tx, j job.Job) error {
	var limit *string
	if j.MaxExpire != nil {
		text := j.MaxExpire.String()
		limit = &text
	}
	stamp, created := fact.FormatSecond(j.Stamp), fact.FormatInstant(j.Created)
	if _, err := tx.Exec(ctx, `
		INSERT INTO `+s.table("decayctl_jobs")+` (job_id, state, rules, fingerprint, as_of, stamp, scope, tenant, max_expire, total, created_at, changed_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11)`,
		j.ID, string(j.State), s.encodable(j.Rules.String()), j.Rules.Fingerprint(), fact.FormatInstant(j.AsOf), stamp,
		orNull(j.Scope), orNull(j.Tenant), limit, j.Total, created); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `UPDATE `+s.table("decayctl_store")+` SET last_stamp = $1 WHERE id = 1`, stamp); err != nil {
		return err
	}
	// Asked here, not when the store is opened: the node may have migrated since.
	var tenants bool
	if err := tx.QueryRow(ctx, `SELECT EXISTS (
			SELECT 1 FROM pg_catalog.pg_attribute WHERE attrelid = $1::regclass AND attname = 'tenant_id' AND NOT attisdropped)`,
		s.table("jobs")).Scan(&tenants); err != nil {
		return err
	}
	row := store.NodeRowOf(j)
	more, place, args := "", "", []any{j.ID, row.Status, orNull(row.Scope), j.EstimatedS(), created}
	if tenants {
		more, place, args = ", tenant_id", ", $6", append(args, row.Tenant)
	}
	if _, err := tx.Exec(ctx, `
		INSERT INTO `+s.table("jobs")+` (id, job_type, status, scope, estimated_s, created_at`+more+`)
		VALUES ($1, 'decay', $2, $3, $4, $5`+place+`)`, args...); err != nil {
		return err
	}
	return s.write(ctx, tx, j)
}

// write writes a job that is locked, and its face in the node's table.
func (s *Store) write(ctx context.Context, tx pgx.Tx, j job.Job) error {
	row := store.NodeRowOf(j)
	if _, err := tx.Exec(ctx, `
		UPDATE `+s.table("decayctl_jobs")+`
		SET state = $2, undone_up_to = $3, counts = $4, started_at = $5, completed_at = $6, changed_at = $7, stop_reason = $8
		WHERE job_id = $1`,
		j.ID, string(j.State), place(store.Cursor{ID: j.UndoneUpTo, Set: j.UndoneAny}), s.encodable(j.Counts.String()),
		orNull(row.Started), orNull(row.Completed), fact.FormatInstant(j.Updated), orNull(j.StopReason)); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `
		UPDATE `+s.table("jobs")+` SET status = $2, started_at = $3, completed_at = $4, result_json = $5, error = $6
		WHERE id = $1 AND job_type = 'decay'`,
		j.ID, row.Status, orNull(row.Started), orNull(row.Completed), s.encodable(row.Result), orNull(row.Error))
	return err
}

// oust puts workers out of a job. What they claimed is handed out again.
func (s *Store) oust(ctx context.Context, tx pgx.Tx, jobID string, workers []job.Worker) error {
	if len(workers) == 0 {
		return nil
	}
	numbers := make([]int, len(workers))
	for i, w := range workers {
		numbers[i] = w.Number
	}
	_, err := tx.Exec(ctx, `DELETE FROM `+s.table("decayctl_workers")+` WHERE job_id = $1 AND worker = ANY($2::int[])`, jobID, numbers)
	return err
}

// vacate puts all workers out of a job that is not worked on any more. Their claims are for those who go
// on with it, if anybody ever may.
func (s *Store) vacate(ctx context.Context, tx pgx.Tx, j *job.Job) error {
	if _, err := tx.Exec(ctx, `DELETE FROM `+s.table("decayctl_workers")+` WHERE job_id = $1`, j.ID); err != nil {
		return err
	}
	j.Workers = nil
	if j.State.May(job.Running) {
		return nil
	}
	return s.deleteClaims(ctx, tx, j)
}

// deleteClaims removes the claims of a job that nobody sweeps any more. One that a last batch holds
// stays: that batch waits for the job's row, finds that it comes too late, and writes nothing.
func (s *Store) deleteClaims(ctx context.Context, tx pgx.Tx, j *job.Job) error {
	j.OpenClaims = 0
	_, err := tx.Exec(ctx, `
		DELETE FROM `+s.table("decayctl_claims")+`
		WHERE job_id = $1 AND claim = ANY(ARRAY(
			SELECT claim FROM `+s.table("decayctl_claims")+` WHERE job_id = $1 FOR UPDATE SKIP LOCKED))`, j.ID)
	return err
}

// addWorker gives a process a share in a job.
func (s *Store) addWorker(ctx context.Context, tx pgx.Tx, j *job.Job, p store.WorkerParams, now time.Time) (store.Lease, error) {
	w := job.Worker{Owner: p.Owner, Joined: now, Live: p.Lease > 0, Left: p.Lease}
	if err := tx.QueryRow(ctx, `
		UPDATE `+s.table("decayctl_jobs")+` SET next_worker = next_worker + 1 WHERE job_id = $1 RETURNING next_worker - 1`,
		j.ID).Scan(&w.Number); err != nil {
		return store.Lease{}, err
	}
	if _, err := tx.Exec(ctx, `
		INSERT INTO `+s.table("decayctl_workers")+` (job_id, worker, host, space, pid, process_start, joined_at, lease_until)
		VALUES ($1, $2, $3, $4, $5, $6, $7, `+nowSQL+` + $8)`,
		j.ID, w.Number, w.Host, w.Space, w.PID, w.Start, fact.FormatInstant(now), p.Lease.Milliseconds()); err != nil {
		return store.Lease{}, err
	}
	j.Workers = append(slices.Clone(j.Workers), w)
	return store.Lease{JobID: j.ID, Worker: w.Number, Time: p.Lease}, nil
}

// renew makes a lease last again within a transaction that has held the worker's claim or facts: it
// may have ended meanwhile, as long as nobody has put the worker out.
func (s *Store) renew(ctx context.Context, tx pgx.Tx, l store.Lease) error {
	done, err := tx.Exec(ctx, `
		UPDATE `+s.table("decayctl_workers")+` SET lease_until = `+nowSQL+` + $3 WHERE job_id = $1 AND worker = $2`,
		l.JobID, l.Worker, l.Time.Milliseconds())
	if err != nil || done.RowsAffected() > 0 {
		return err
	}
	return s.lost(ctx, tx, l.JobID)
}

// unknown says that there is no such job, and whether it may have been pruned.
func (s *Store) unknown(ctx context.Context, tx pgx.Tx, prefix string) error {
	var pruned *string
	if err := tx.QueryRow(ctx, `SELECT max(pruned_before) FROM `+s.table("decayctl_store")).Scan(&pruned); err != nil {
		return err
	}
	unknown := &job.Unknown{Prefix: prefix}
	if pruned != nil {
		unknown.PrunedBefore, _ = fact.ParseInstant(*pruned) // a hint, no more
	}
	return unknown
}

func orNull(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}
