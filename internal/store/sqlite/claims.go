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

// Claim hands a worker facts to sweep.
func (s *Store) Claim(ctx context.Context, l store.Lease, size int) (c store.Claim, err error) {
	var locked time.Time
	err = s.within(ctx, func(tx querier) error {
		locked = s.params.Now()
		j, err := s.held(ctx, tx, l, job.Running)
		if err != nil {
			return err
		}
		found := false
		if c, found, err = s.orphan(ctx, tx, l); err != nil || found || j.End {
			return err
		}
		c, err = s.advance(ctx, tx, l, size)
		return err
	})
	if err != nil {
		return store.Claim{}, s.translate(err, "claim facts")
	}
	c.Locked = s.params.Now().Sub(locked)
	return c, nil
}

// orphan takes over the first claim that a worker left behind who is gone, or whose lease has ended.
func (s *Store) orphan(ctx context.Context, tx querier, l store.Lease) (store.Claim, bool, error) {
	c, found, err := s.claim(ctx, tx, `
		WHERE c.job_id = $1 AND NOT EXISTS (
			SELECT 1 FROM decayctl_workers w WHERE w.job_id = c.job_id AND w.worker = c.worker AND w.lease_until > $2)
		ORDER BY c.claim LIMIT 1`, l.JobID, s.nowMS())
	if err != nil || !found {
		return store.Claim{}, false, err
	}
	_, err = tx.ExecContext(ctx, "UPDATE decayctl_claims SET worker = $3 WHERE job_id = $1 AND claim = $2", l.JobID, c.Number, l.Worker)
	return c, true, err
}

// advance claims the next facts from the frontier on, or notes that there are none.
func (s *Store) advance(ctx context.Context, tx querier, l store.Lease, size int) (store.Claim, error) {
	var frontier *string
	if err := tx.QueryRowContext(ctx, "SELECT frontier FROM decayctl_jobs WHERE job_id = $1", l.JobID).Scan(&frontier); err != nil {
		return store.Claim{}, err
	}
	next, err := s.nextRange(ctx, tx, store.RangeParams{After: cursor(frontier), Size: size})
	if err != nil {
		return store.Claim{}, err
	}
	now := fact.FormatInstant(s.params.Now())
	if next.End() {
		_, err := tx.ExecContext(ctx, "UPDATE decayctl_jobs SET end_reached = 1, changed_at = $2 WHERE job_id = $1", l.JobID, now)
		return store.Claim{}, err
	}
	c := store.Claim{Range: next}
	if err := tx.QueryRowContext(ctx, `
		UPDATE decayctl_jobs SET frontier = $2, next_claim = next_claim + 1, changed_at = $3
		WHERE job_id = $1 RETURNING next_claim - 1`, l.JobID, next.Last.ID, now).Scan(&c.Number); err != nil {
		return store.Claim{}, err
	}
	_, err = tx.ExecContext(ctx, `
		INSERT INTO decayctl_claims (job_id, claim, worker, low, high, remaining) VALUES ($1, $2, $3, $4, $5, $6)`,
		l.JobID, c.Number, l.Worker, frontier, next.Last.ID, next.Facts)
	return c, err
}

// Offer puts up what a pass over the whole store has found.
func (s *Store) Offer(ctx context.Context, l store.Lease, f store.Found) (counts job.Counts, err error) {
	err = s.within(ctx, func(tx querier) error {
		j, err := s.held(ctx, tx, l, job.Running)
		if err != nil {
			return err
		}
		counts = j.Counts
		var begun bool
		var number int64
		if err := tx.QueryRowContext(ctx, "SELECT frontier IS NOT NULL OR end_reached <> 0, next_claim FROM decayctl_jobs WHERE job_id = $1", j.ID).
			Scan(&begun, &number); err != nil || begun {
			return err
		}
		list := pack(f.IDs)
		// The facts are not looked up, which would take long under the lock; who reads a claim finds what is there.
		ids, err := s.strings(ctx, tx, "SELECT id FROM ("+list.sql+") WHERE id <= $2 ORDER BY id", list.json, f.Seen.Last.ID)
		if err != nil {
			return err
		}
		for _, c := range f.Claims(ids) {
			list, err := c.IDsText()
			if err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, `
				INSERT INTO decayctl_claims (job_id, claim, worker, low, high, remaining, ids) VALUES ($1, $2, 0, $3, $4, $5, $6)`,
				j.ID, number, place(c.After), c.Last.ID, c.Facts, list); err != nil {
				return err
			}
			number++
		}
		if _, err := tx.ExecContext(ctx, "UPDATE decayctl_jobs SET frontier = $2, next_claim = $3 WHERE job_id = $1",
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

// Claimed reads a claim again.
func (s *Store) Claimed(ctx context.Context, l store.Lease, number int64) (store.Claim, bool, error) {
	c, found, err := s.claim(ctx, s.read, "WHERE c.job_id = $1 AND c.claim = $2 AND c.worker = $3", l.JobID, number, l.Worker)
	return c, found, s.translate(err, "read the claim")
}

func (s *Store) claim(ctx context.Context, tx querier, where string, args ...any) (c store.Claim, found bool, err error) {
	mark := store.Mark(s.mark.Load())
	var low, ids *string
	var high string
	err = tx.QueryRowContext(ctx, "SELECT c.claim, c.low, c.high, c.remaining, c.ids FROM decayctl_claims c "+where, args...).
		Scan(&c.Number, &low, &high, &c.Facts, &ids)
	if errors.Is(err, sql.ErrNoRows) {
		return store.Claim{}, false, nil
	}
	if err != nil {
		return store.Claim{}, false, err
	}
	c.After, c.Last, c.Mark = cursor(low), store.After(high), mark
	err = c.ReadIDs(ids)
	return c, err == nil, err
}

// lockClaim makes sure that the batch is still its worker's to write.
func (w *writer) lockClaim(ctx context.Context) error {
	b := w.batch
	if err := w.followClock(ctx, w.tx, b.Lease); err != nil {
		return err
	}
	var own bool
	err := w.tx.QueryRowContext(ctx, `
		SELECT EXISTS (
			SELECT 1 FROM decayctl_claims c
			JOIN decayctl_workers w ON w.job_id = c.job_id AND w.worker = c.worker
			JOIN decayctl_jobs j ON j.job_id = c.job_id
			WHERE c.job_id = $1 AND c.claim = $2 AND c.worker = $3 AND c.low IS $4
			  AND w.lease_until > $5 AND j.state = 'running')`,
		b.Lease.JobID, b.Claim.Number, b.Lease.Worker, place(b.Claim.After), w.nowMS()).Scan(&own)
	if err == nil && !own {
		err = w.lost(ctx, w.tx, b.Lease.JobID)
	}
	b.Spare(w.params.Now())
	return err
}

// settle moves the claim behind the batch, and writes what the batch counted. The lease may have ended
// by now; nobody can have taken the claim over, since the transaction holds the lock.
func (w *writer) settle(ctx context.Context) (job.Counts, error) {
	b := w.batch
	move, args := "UPDATE decayctl_claims SET low = $3, remaining = $4", []any{b.Lease.JobID, b.Claim.Number, b.UpTo.ID, b.Left()}
	if b.Close {
		move, args = "DELETE FROM decayctl_claims", args[:2]
	}
	if _, err := w.tx.ExecContext(ctx, move+" WHERE job_id = $1 AND claim = $2", args...); err != nil {
		return job.Counts{}, err
	}
	j, err := w.jobOf(ctx, w.tx, b.Lease.JobID)
	if err != nil {
		return job.Counts{}, err
	}
	now := w.params.Now()
	j.Counts.Add(b.Settle(now.Sub(w.locked)))
	j.Updated, j.StopReason = now, "" // why it waited, if it did
	if err := w.write(ctx, w.tx, j); err != nil {
		return job.Counts{}, err
	}
	return j.Counts, w.renew(ctx, w.tx, b.Lease)
}

// cursor is a place in the id order as a column holds it: NULL is before the first fact.
func cursor(id *string) store.Cursor {
	if id == nil {
		return store.Cursor{}
	}
	return store.After(*id)
}

func place(c store.Cursor) any {
	if !c.Set {
		return nil
	}
	return c.ID
}
