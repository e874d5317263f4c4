package jobtable

import (
	"context"
	"time"

	"decayctl/internal/fact"
	"decayctl/internal/job"
	"decayctl/internal/store"
)

// Claim locks the job's row first, so that workers claim one after the other.
func (t *Table) Claim(ctx context.Context, l store.Lease, size int) (c store.Claim, err error) {
	var locked time.Time
	err = t.db.Write(ctx, func(tx Tx) error {
		locked, c = t.params.Now(), store.Claim{}
		if err := t.db.FollowClock(ctx, tx, l); err != nil {
			return err
		}
		var state string
		var end int
		var frontier *string
		if _, err := first(ctx, tx, []any{&state, &end, &frontier}, `
			SELECT state, end_reached, frontier FROM `+t.db.Table("decayctl_jobs")+` WHERE job_id = $1`+t.db.Lock(""), l.JobID); err != nil {
			return err
		}
		// Not part of the statement above: it must see what was committed while that one waited for the lock.
		var live bool
		if _, err := first(ctx, tx, []any{&live}, `
			SELECT EXISTS (SELECT 1 FROM `+t.db.Table("decayctl_workers")+` WHERE job_id = $1 AND worker = $2 AND lease_until > `+t.leaseClock()+`)`,
			l.JobID, l.Worker); err != nil {
			return err
		}
		if job.State(state) != job.Running || !live {
			return t.lost(ctx, tx, l.JobID)
		}
		found := false
		if c, found, err = t.adoptClaim(ctx, tx, l); err != nil || found || end != 0 {
			return err
		}
		c, err = t.advance(ctx, tx, l, store.RangeParams{After: cursor(frontier), Size: size})
		return err
	})
	err = t.db.Translate(err, "claim facts")
	if err != nil && !store.Is(err, store.Uncertain) {
		return store.Claim{}, err
	}
	if t.db.Exclusive() {
		c.Locked = t.params.Now().Sub(locked)
	}
	return c, err
}

// adoptClaim takes over the first claim of a removed worker, or of one whose lease has ended. It skips a locked claim: its
// worker is writing a batch, and is late but alive.
func (t *Table) adoptClaim(ctx context.Context, tx Tx, l store.Lease) (store.Claim, bool, error) {
	c, found, err := t.claim(ctx, tx, `
		WHERE c.job_id = $1 AND NOT EXISTS (
			SELECT 1 FROM `+t.db.Table("decayctl_workers")+` w
			WHERE w.job_id = c.job_id AND w.worker = c.worker AND w.lease_until > `+t.leaseClock()+`)
		ORDER BY c.claim LIMIT 1`+t.db.Lock("OF c SKIP LOCKED"), l.JobID)
	if err != nil || !found {
		return store.Claim{}, false, err
	}
	_, err = tx.Exec(ctx, `UPDATE `+t.db.Table("decayctl_claims")+` SET worker = $3 WHERE job_id = $1 AND claim = $2`, l.JobID, c.Number, l.Worker)
	return c, true, err
}

// advance claims the facts after the frontier and moves the frontier, or notes that no fact is left.
func (t *Table) advance(ctx context.Context, tx Tx, l store.Lease, p store.RangeParams) (store.Claim, error) {
	next, err := t.db.NextRange(ctx, tx, p)
	if err != nil {
		return store.Claim{}, err
	}
	now := fact.FormatInstant(t.params.Now())
	if next.End() {
		_, err := tx.Exec(ctx, `UPDATE `+t.db.Table("decayctl_jobs")+` SET end_reached = 1, changed_at = $2 WHERE job_id = $1`, l.JobID, now)
		return store.Claim{}, err
	}
	c := store.Claim{Range: next}
	if _, err := first(ctx, tx, []any{&c.Number}, `
		UPDATE `+t.db.Table("decayctl_jobs")+` SET frontier = $2, next_claim = next_claim + 1, changed_at = $3
		WHERE job_id = $1 RETURNING next_claim - 1`, l.JobID, next.Last.ID, now); err != nil {
		return store.Claim{}, err
	}
	_, err = tx.Exec(ctx, `
		INSERT INTO `+t.db.Table("decayctl_claims")+` (job_id, claim, worker, low, high, remaining) VALUES ($1, $2, $3, $4, $5, $6)`,
		l.JobID, c.Number, l.Worker, nullableID(c.After), c.Last.ID, c.Facts)
	return c, err
}

// EnqueueClaims locks the job's row first.
func (t *Table) EnqueueClaims(ctx context.Context, l store.Lease, f store.ScanResult) (counts job.Counts, err error) {
	err = t.db.Write(ctx, func(tx Tx) error {
		j, err := t.lockLeased(ctx, tx, l, job.Running)
		if err != nil {
			return err
		}
		counts = j.Counts
		var begun bool
		var number int64
		if _, err := first(ctx, tx, []any{&begun, &number}, `
			SELECT frontier IS NOT NULL OR end_reached <> 0, next_claim FROM `+t.db.Table("decayctl_jobs")+` WHERE job_id = $1`, j.ID); err != nil || begun {
			return err
		}
		ids, err := t.db.InOrder(ctx, tx, f.IDs, f.Seen.Last)
		if err != nil {
			return err
		}
		for _, c := range f.Claims(ids) {
			list, err := c.IDsText()
			if err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, `
				INSERT INTO `+t.db.Table("decayctl_claims")+` (job_id, claim, worker, low, high, remaining, ids) VALUES ($1, $2, 0, $3, $4, $5, $6)`,
				j.ID, number, nullableID(c.After), c.Last.ID, c.Facts, list); err != nil {
				return err
			}
			number++
		}
		if _, err := tx.Exec(ctx, `UPDATE `+t.db.Table("decayctl_jobs")+` SET frontier = $2, next_claim = $3 WHERE job_id = $1`,
			j.ID, nullableID(f.Seen.Last), number); err != nil {
			return err
		}
		j.Counts.Add(f.Counts(len(ids)))
		counts = j.Counts
		j.Updated = t.params.Now()
		if err := t.write(ctx, tx, j); err != nil {
			return err
		}
		return t.renew(ctx, tx, l)
	})
	return counts, t.db.Translate(err, "put facts up for claiming")
}

// LookupClaim finds the claim only if it belongs to the worker.
func (t *Table) LookupClaim(ctx context.Context, l store.Lease, number int64) (c store.Claim, found bool, err error) {
	err = t.db.Read(ctx, func(tx Tx) error {
		c, found, err = t.claim(ctx, tx, "WHERE c.job_id = $1 AND c.claim = $2 AND c.worker = $3", l.JobID, number, l.Worker)
		return err
	})
	return c, found, t.db.Translate(err, "read the claim")
}

func (t *Table) claim(ctx context.Context, tx Tx, where string, args ...any) (c store.Claim, found bool, err error) {
	var low, ids *string
	var high string
	found, err = first(ctx, tx, []any{&c.Number, &low, &high, &c.Facts, &ids},
		"SELECT c.claim, c.low, c.high, c.remaining, c.ids FROM "+t.db.Table("decayctl_claims")+" c "+where, args...)
	if err != nil || !found {
		return store.Claim{}, false, err
	}
	c.After, c.Last = cursor(low), store.After(high)
	err = c.ReadIDs(ids)
	return c, err == nil, err
}

// LockClaim locks the claim of a batch until the transaction ends, and excludes facts that have expired by now. It fails
// with *job.Lost if the claim belongs to another worker or is another one by now, the lease has ended, or the job is not
// running. A server that has lost commits may give the number of a claim once more, to other facts.
func (t *Table) LockClaim(ctx context.Context, tx Tx, b *store.Batch) error {
	if err := t.db.FollowClock(ctx, tx, b.Lease); err != nil {
		return err
	}
	const micros = 1_000_000
	var now int64
	own, err := first(ctx, tx, []any{&now}, `
		SELECT `+t.db.Clock(micros)+`
		FROM `+t.db.Table("decayctl_claims")+` c
		JOIN `+t.db.Table("decayctl_workers")+` k ON k.job_id = c.job_id AND k.worker = c.worker
		JOIN `+t.db.Table("decayctl_jobs")+` j ON j.job_id = c.job_id
		WHERE c.job_id = $1 AND c.claim = $2 AND c.worker = $3 AND c.low IS NOT DISTINCT FROM $4 AND c.high = $5
		  AND k.lease_until > `+t.leaseClock()+` AND j.state = 'running'`+t.db.Lock("OF c"),
		b.Lease.JobID, b.Claim.Number, b.Lease.Worker, nullableID(b.Claim.After), b.Claim.Last.ID)
	if err != nil {
		return err
	}
	if !own {
		return t.lost(ctx, tx, b.Lease.JobID)
	}
	b.ExcludeExpired(time.UnixMicro(now))
	return nil
}

// RecordBatch moves the claim past a batch, adds the batch's counts to the job, and extends the lease. It comes last in
// the batch's transaction, since all workers of a job wait for its row. locked is when the batch took its locks.
func (t *Table) RecordBatch(ctx context.Context, tx Tx, b *store.Batch, locked time.Time) (job.Counts, error) {
	move, args := `UPDATE `+t.db.Table("decayctl_claims")+` SET low = $3, remaining = $4`, []any{b.Lease.JobID, b.Claim.Number, b.UpTo.ID, b.RemainingFacts()}
	if b.ClosesClaim {
		move, args = `DELETE FROM `+t.db.Table("decayctl_claims"), args[:2]
	}
	if _, err := tx.Exec(ctx, move+` WHERE job_id = $1 AND claim = $2`, args...); err != nil {
		return job.Counts{}, err
	}
	return t.record(ctx, tx, b.Lease, job.Running, func(j *job.Job) {
		j.Counts.Add(b.Counts(t.params.Now().Sub(locked)))
	})
}

// ReleaseClaims skips a locked claim: another process has just taken it over.
func (t *Table) ReleaseClaims(ctx context.Context, l store.Lease) error {
	err := t.db.Write(ctx, func(tx Tx) error {
		claims := t.db.Table("decayctl_claims")
		_, err := tx.Exec(ctx, `
			UPDATE `+claims+` SET worker = 0
			WHERE job_id = $1 AND worker = $2 AND `+t.db.Among("claim", `SELECT claim FROM `+claims+` WHERE job_id = $1 AND worker = $2`+t.db.Lock("SKIP LOCKED")),
			l.JobID, l.Worker)
		return err
	})
	return t.db.Translate(err, "give claims back")
}

// LockUndo checks, before anything is written, that this worker is undoing the job, and that the job is where the batch goes on
// from, or where it ends: then its COMMIT seemed lost. A server that has lost commits is at an earlier place. Errors: *job.Lost.
func (t *Table) LockUndo(ctx context.Context, tx Tx, p store.RestoreParams) error {
	l := p.Lease
	if err := t.db.FollowClock(ctx, tx, l); err != nil {
		return err
	}
	var one int
	own, err := first(ctx, tx, []any{&one}, `
		SELECT 1
		FROM `+t.db.Table("decayctl_workers")+` k
		JOIN `+t.db.Table("decayctl_jobs")+` j ON j.job_id = k.job_id
		WHERE k.job_id = $1 AND k.worker = $2 AND k.lease_until > `+t.leaseClock()+` AND j.state = 'undoing'
		  AND (j.undone_up_to IS NOT DISTINCT FROM $3 OR j.undone_up_to = $4)`,
		l.JobID, l.Worker, nullableID(p.After), nullableID(p.Changes.Last))
	if err != nil || own {
		return err
	}
	return t.lost(ctx, tx, l.JobID)
}

// record changes a job's row and extends the lease. It fails with *job.Lost if the job is in another state, or the worker
// was removed. It waits for decayctl's own row for as long as the lock timeout: only another decayctl can have locked the
// row, and that one waits for no lock of the node. It does not wait for the row in the node's table, since the node may
// have locked it.
func (t *Table) record(ctx context.Context, tx Tx, l store.Lease, in job.State, change func(*job.Job)) (job.Counts, error) {
	if err := t.db.WaitAtMost(ctx, tx, t.params.LockTimeout); err != nil {
		return job.Counts{}, err
	}
	found, err := t.readJobs(ctx, tx, "WHERE job_id = $1"+t.db.Lock(""), l.JobID)
	if err != nil {
		return job.Counts{}, err
	}
	if len(found) == 0 || found[0].State != in {
		return job.Counts{}, t.lost(ctx, tx, l.JobID)
	}
	if err := t.db.WaitAtMost(ctx, tx, time.Millisecond); err != nil { // 0 would wait for ever
		return job.Counts{}, err
	}
	j := found[0]
	change(&j)
	j.Updated, j.StopReason = t.params.Now(), "" // removes the note of Wait
	if err := t.write(ctx, tx, j); err != nil {
		return job.Counts{}, err
	}
	return j.Counts, t.renew(ctx, tx, l)
}

// RecordUndo adds a batch of an undo to the job's counts and progress, and extends the lease. It comes last, as RecordBatch.
func (t *Table) RecordUndo(ctx context.Context, tx Tx, l store.Lease, r store.Restoration) (job.Counts, error) {
	return t.record(ctx, tx, l, job.Undoing, r.AddTo)
}
