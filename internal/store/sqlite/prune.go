package sqlite

import (
	"context"
	"errors"
	"time"

	"decayctl/internal/fact"
	"decayctl/internal/store"
)

// Prune removes jobs one by one, so that one that cannot be removed does not keep the others.
func (s *Store) Prune(ctx context.Context, before time.Time) (pruned int64, err error) {
	if s.conn == nil {
		return 0, store.ErrReadOnly
	}
	if own, err := s.exists(ctx, s.read, "decayctl_jobs"); err != nil || !own {
		return 0, s.translate(err, "prune the jobs")
	}
	limit := fact.FormatInstant(before)
	ids, failed := s.strings(ctx, s.read, `
		SELECT job_id FROM decayctl_jobs AS j WHERE `+finishedSQL+` AND completed_at < $1 AND NOT `+supersedesSQL+` ORDER BY completed_at`, limit)
	for _, id := range ids {
		removed, err := s.prune(ctx, id, limit)
		if removed {
			pruned++
			s.checkpoint(ctx)
		}
		if failed = errors.Join(failed, err); ctx.Err() != nil {
			return pruned, ctx.Err()
		}
	}
	return pruned, s.translate(errors.Join(failed, s.forget(ctx)), "prune the jobs")
}

// finishedSQL: the job has come to an end.
const finishedSQL = "state IN ('done', 'failed', 'cancelled', 'undone')"

// supersedesSQL: the job j is why another one is not to be resumed. Without it nobody would know.
const supersedesSQL = `(j.state = 'done' AND EXISTS (
		SELECT 1 FROM decayctl_jobs o
		WHERE o.state IN ('pending', 'running', 'paused') AND o.as_of < j.as_of AND o.created_at <= j.completed_at
		  AND (o.scope IS NULL OR j.scope IS NULL OR o.scope = j.scope)
		  AND (o.tenant IS NULL OR j.tenant IS NULL OR o.tenant = j.tenant)))`

// prune removes one job, if it still is to be removed.
func (s *Store) prune(ctx context.Context, id, limit string) (removed bool, err error) {
	err = s.within(ctx, func(tx querier) error {
		result, err := tx.ExecContext(ctx, "DELETE FROM decayctl_jobs WHERE job_id = $1 AND "+finishedSQL+" AND completed_at < $2", id, limit)
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n == 0 {
			return err
		}
		for _, statement := range []string{
			"DELETE FROM decayctl_workers WHERE job_id = $1",
			"DELETE FROM decayctl_claims WHERE job_id = $1",
			someImagesSQL,
			"DELETE FROM jobs WHERE id = $1 AND job_type = 'decay'",
		} {
			if _, err := tx.ExecContext(ctx, statement, id); err != nil {
				return err
			}
		}
		_, err = tx.ExecContext(ctx, `
			UPDATE decayctl_store SET pruned_before = $1 WHERE pruned_before IS NULL OR pruned_before < $1`, limit)
		removed = true
		return err
	})
	return removed && err == nil, err
}

// someImagesSQL removes before-images of a job, as many as a short transaction can. The rest of them go
// after the job (see forget): while it stands, an undo may begin, and must find all of them or none.
const someImagesSQL = `
	DELETE FROM decayctl_before WHERE job_id = $1 AND fact_id IN (
		SELECT fact_id FROM decayctl_before WHERE job_id = $1 LIMIT 20000)`

// forget removes the before-images that pruned jobs have left, now or when a prune was interrupted.
func (s *Store) forget(ctx context.Context) error {
	// One look at the key for each job: it may have millions of rows.
	ids, err := s.strings(ctx, s.read, `
		WITH RECURSIVE kept (id) AS (
			SELECT min(job_id) FROM decayctl_before
			UNION ALL
			SELECT (SELECT min(b.job_id) FROM decayctl_before b WHERE b.job_id > kept.id) FROM kept WHERE kept.id IS NOT NULL
		)
		SELECT id FROM kept WHERE id IS NOT NULL AND id NOT IN (SELECT job_id FROM decayctl_jobs)`)
	if err != nil {
		return err
	}
	for _, id := range ids {
		for removed := int64(1); removed > 0; {
			err := s.within(ctx, func(tx querier) error {
				result, err := tx.ExecContext(ctx, someImagesSQL, id)
				if err != nil {
					return err
				}
				removed, err = result.RowsAffected()
				return err
			})
			if err != nil {
				return err
			}
			s.checkpoint(ctx)
		}
	}
	return nil
}
