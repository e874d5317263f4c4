package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"decayctl/internal/fact"
	"decayctl/internal/job"
	"decayctl/internal/store"
)

// Claim is ordered by the job's row. Where the outcome of its COMMIT is not known, it returns what
// it may have claimed beside the error, for Claimed.
func (s *Store) Claim(ctx context.Context, l store.Lease, size int) (c store.Claim, err error) {
	err = s.within(ctx, writing, func(tx pgx.Tx) error {
		var state string
		var end int
		var frontier *string
		err := tx.QueryRow(ctx, `
			SELECT state, end_reached, frontier FROM `+s.table("decayctl_jobs")+` WHERE job_id = $1 FOR UPDATE`,
			l.JobID).Scan(&state, &end, &frontier)
		if err != nil && !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		// A statement of its own: it sees what was committed while the lock was waited for.
		var live bool
		if err := tx.QueryRow(ctx, `
			SELECT EXISTS (SELECT 1 FROM `+s.table("decayctl_workers")+` WHERE job_id = $1 AND worker = $2 AND lease_until > `+nowSQL+`)`,
			l.JobID, l.Worker).Scan(&live); err != nil {
			return err
		}
		if job.State(state) != job.Running || !live {
			return s.lost(ctx, tx, l.JobID)
		}
		if c, err = s.orphan(ctx, tx, l); err != nil || c.Last.Set || end != 0 {
			return err
		}
		c, err = s.advance(ctx, tx, l, store.RangeParams{After: cursor(frontier), Size: size})
		return err
	})
	err = s.translate(err, "claim facts")
	if err != nil && !store.Is(err, store.Uncertain) {
		return store.Claim{}, err
	}
	return c, err
}

// orphan takes over the first claim that a worker has left behind. One that is locked is being swept
// by its worker, who was silent for long but is not gone.
func (s *Store) orphan(ctx context.Context, tx pgx.Tx, l store.Lease) (store.Claim, error) {
	var c store.Claim
	err := readClaim(&c, tx.QueryRow(ctx, `
		SELECT c.claim, c.low, c.high, c.remaining, c.ids
		FROM `+s.table("decayctl_claims")+` c
		WHERE c.job_id = $1 AND NOT EXISTS (
			SELECT 1 FROM `+s.table("decayctl_workers")+` w
			WHERE w.job_id = c.job_id AND w.worker = c.worker AND w.lease_until > `+nowSQL+`)
		ORDER BY c.claim LIMIT 1
		FOR UPDATE OF c SKIP LOCKED`, l.JobID))
	if errors.Is(err, pgx.ErrNoRows) {
		return store.Claim{}, nil
	}
	if err != nil {
		return store.Claim{}, err
	}
	_, err = tx.Exec(ctx, `UPDATE `+s.table("decayctl_claims")+` SET worker = $3 WHERE job_id = $1 AND claim = $2`, l.JobID, c.Number, l.Worker)
	return c, err
}

// advance claims the next facts and moves the frontier behind them, or notes that there are none.
func (s *Store) advance(ctx context.Context, tx pgx.Tx, l store.Lease, p store.RangeParams) (store.Claim, error) {
	next, err := s.nextRange(ctx, tx, p)
	if err != nil {
		return store.Claim{}, err
	}
	now := fact.FormatInstant(s.params.Now())
	if next.End() {
		_, err := tx.Exec(ctx, `UPDATE `+s.table("decayctl_jobs")+` SET end_reached = 1, changed_at = $2 WHERE job_id = $1`, l.JobID, now)
		return store.Claim{}, err
	}
	c := store.Claim{Range: next}
	if err := tx.QueryRow(ctx, `
		UPDATE `+s.table("decayctl_jobs")+` SET frontier = $2, next_claim = next_claim + 1, changed_at = $3
		WHERE job_id = $1 RETURNING next_claim - 1`, l.JobID, next.Last.ID, now).Scan(&c.Number); err != nil {
		return store.Claim{}, err
	}
	_, err = tx.Exec(ctx, `
		INSERT INTO `+s.table("decayctl_claims")+` (job_id, claim, worker, low, high, remaining) VALUES ($1, $2, $3, $4, $5, $6)`,
		l.JobID, c.Number, l.Worker, place(c.After), c.Last.ID, c.Facts)
	return c, err
}

// Offer is ordered by the job's row.
func (s *Store) Offer(ctx context.Context, l store.Lease, f store.Found) (counts job.Counts, err error) {
	err = s.within(ctx, writing, func(tx pgx.Tx) error {
		j, err := s.held(ctx, tx, l, job.Running)
		if err != nil {
			return err
		}
		counts = j.Counts
		var begun bool
		var number int64
		if err := tx.QueryRow(ctx, `
			SELECT frontier IS NOT NULL OR end_reached <> 0, next_claim FROM `+s.table("decayctl_jobs")+` WHERE job_id = $1`,
			j.ID).Scan(&begun, &number); err != nil || begun {
			return err
		}
		ids, err := s.sorted(ctx, tx, f)
		if err != nil {
			return err
		}
		for _, c := range f.Claims(ids) {
			list, err := c.IDsText()
			if err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, `
				INSERT INTO `+s.table("decayctl_claims")+` (job_id, claim, worker, low, high, remaining, ids) VALUES ($1, $2, 0, $3, $4, $5, $6)`,
				j.ID, number, place(c.After), c.Last.ID, c.Facts, list); err != nil {
				return err
			}
			number++
		}
		if _, err := tx.Exec(ctx, `UPDATE `+s.table("decayctl_jobs")+` SET frontier = $2, next_claim = $3 WHERE job_id = $1`,
			j.ID, place(f.Seen.Last), number); err != nil {
			return err
		}
		j.Counts.Add(f.Counts(len(ids)))
		counts = j.Counts
		j.Updated = s.params.Now()
		if err := s.write(ctx, tx, j); err != nil {
			return err
		}
		return s.renew(ctx, tx, l)
	})
	return counts, s.translate(err, "put facts up for claiming")
}

// sorted are the ids that were found, in id order, as far as the facts are still there.
func (s *Store) sorted(ctx context.Context, tx pgx.Tx, f store.Found) ([]string, error) {
	rows, err := tx.Query(ctx, `SELECT id FROM `+s.table("facts")+` WHERE id = `+anyKey+` AND id <= $2 ORDER BY id`, f.IDs, f.Seen.Last.ID)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// readClaim reads the columns of a claim.
func readClaim(c *store.Claim, row pgx.Row) error {
	var low, ids *string
	var high string
	if err := row.Scan(&c.Number, &low, &high, &c.Facts, &ids); err != nil {
		return err
	}
	c.After, c.Last = cursor(low), store.After(high)
	return c.ReadIDs(ids)
}

// Claimed reads a claim by its owner.
func (s *Store) Claimed(ctx context.Context, l store.Lease, number int64) (c store.Claim, found bool, err error) {
	err = s.within(ctx, reading, func(tx pgx.Tx) error {
		err := readClaim(&c, tx.QueryRow(ctx, `
			SELECT claim, low, high, remaining, ids FROM `+s.table("decayctl_claims")+` WHERE job_id = $1 AND claim = $2 AND worker = $3`,
			l.JobID, number, l.Worker))
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		found = err == nil
		return err
	})
	return c, found, s.translate(err, "read a claim")
}

// lockClaim makes sure that the batch is this worker's to write, and keeps its claim from others
// until it is written.
func (w *writer) lockClaim(ctx context.Context) error {
	l, c := w.batch.Lease, w.batch.Claim
	var now time.Time
	err := w.tx.QueryRow(ctx, `
		SELECT clock_timestamp()
		FROM `+w.table("decayctl_claims")+` c
		JOIN `+w.table("decayctl_workers")+` k ON k.job_id = c.job_id AND k.worker = c.worker
		JOIN `+w.table("decayctl_jobs")+` j ON j.job_id = c.job_id
		WHERE c.job_id = $1 AND c.claim = $2 AND c.worker = $3 AND c.low IS NOT DISTINCT FROM $4
		  AND k.lease_until > `+nowSQL+` AND j.state = 'running'
		FOR UPDATE OF c`, l.JobID, c.Number, l.Worker, place(c.After)).Scan(&now)
	if errors.Is(err, pgx.ErrNoRows) {
		return w.lost(ctx, w.tx, l.JobID)
	}
	w.batch.Spare(now)
	return err
}

// settle moves the claim on, adds to the job's counts and makes the lease last again. It comes last:
// all workers of a job pass through its row.
func (w *writer) settle(ctx context.Context) error {
	b := w.batch
	var err error
	if b.Close {
		_, err = w.tx.Exec(ctx, `DELETE FROM `+w.table("decayctl_claims")+` WHERE job_id = $1 AND claim = $2`, b.Lease.JobID, b.Claim.Number)
	} else {
		_, err = w.tx.Exec(ctx, `UPDATE `+w.table("decayctl_claims")+` SET low = $3, remaining = $4 WHERE job_id = $1 AND claim = $2`,
			b.Lease.JobID, b.Claim.Number, b.UpTo.ID, b.Left())
	}
	if err != nil {
		return err
	}
	w.counts, err = w.record(ctx, w.tx, b.Lease, job.Running, func(j *job.Job) {
		j.Counts.Add(b.Settle(w.params.Now().Sub(w.locked)))
	})
	return err
}

// record writes what a batch has done to a job into the job's row, if it still is in a state and its
// worker was not put out. Its own row is waited for in patience: whoever has it is a decayctl that waits for nothing the
// node has, and to give way would be to write the batch again. The row in the node's table may be locked by the node,
// so that one is not waited for.
func (s *Store) record(ctx context.Context, tx pgx.Tx, l store.Lease, in job.State, change func(*job.Job)) (job.Counts, error) {
	if err := s.waitFor(ctx, tx, s.params.LockTimeout); err != nil {
		return job.Counts{}, err
	}
	found, err := s.jobs(ctx, tx, "WHERE job_id = $1 FOR UPDATE", l.JobID)
	if err != nil {
		return job.Counts{}, err
	}
	if len(found) == 0 || found[0].State != in {
		return job.Counts{}, s.lost(ctx, tx, l.JobID)
	}
	if err := s.waitFor(ctx, tx, time.Millisecond); err != nil { // 0 would wait for ever
		return job.Counts{}, err
	}
	j := found[0]
	change(&j)
	j.Updated, j.StopReason = s.params.Now(), "" // why it waited, if it did
	if err := s.write(ctx, tx, j); err != nil {
		return job.Counts{}, err
	}
	return j.Counts, s.renew(ctx, tx, l)
}
