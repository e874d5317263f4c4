package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"decayctl/internal/fact"
	"decayctl/internal/job"
)

// Prune removes job by job: one that cannot be removed keeps no other.
func (s *Store) Prune(ctx context.Context, before time.Time) (removed int64, err error) {
	var ids, leftovers []string
	err = s.within(ctx, writing, func(tx pgx.Tx) error {
		own, err := s.has(ctx, tx, "decayctl_jobs")
		if err != nil || !own {
			return err
		}
		if err := s.require(ctx, tx, prunePrivileges()); err != nil {
			return err
		}
		var finished []string
		for _, state := range job.States {
			if state.Finished() {
				finished = append(finished, string(state))
			}
		}
		rows, err := tx.Query(ctx, `
			SELECT job_id FROM `+s.table("decayctl_jobs")+` j
			WHERE state = ANY($1::text[]) AND completed_at COLLATE "C" < $2 AND NOT `+s.supersedesSQL()+`
			ORDER BY completed_at COLLATE "C", job_id`,
			finished, fact.FormatInstant(before))
		if err != nil {
			return err
		}
		if ids, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
			return err
		}
		leftovers, err = s.leftovers(ctx, tx)
		return err
	})
	var failed error
	note := func(err error) {
		if failed == nil {
			failed = err
		}
	}
	note(s.translate(err, "look for jobs to prune"))
	for _, id := range ids {
		gone, err := s.remove(ctx, id, before)
		if gone {
			removed++
			leftovers = append(leftovers, id)
		}
		note(s.translate(err, "remove job "+id))
	}
	for _, id := range leftovers {
		note(s.translate(s.removeImages(ctx, id), "remove the before-images of job "+id))
	}
	return removed, failed
}

// imagesAtOnce bounds the before-images that one transaction removes.
const imagesAtOnce = 50_000

// supersedesSQL: the job j is why another one is not to be resumed. Without it nobody would know.
func (s *Store) supersedesSQL() string {
	return `(j.state = 'done' AND EXISTS (
				SELECT 1 FROM ` + s.table("decayctl_jobs") + ` o
				WHERE o.state IN ('pending', 'running', 'paused')
				  AND o.as_of COLLATE "C" < j.as_of AND o.created_at COLLATE "C" <= j.completed_at
				  AND (o.scope IS NULL OR j.scope IS NULL OR o.scope = j.scope)
				  AND (o.tenant IS NULL OR j.tenant IS NULL OR o.tenant = j.tenant)))`
}

// remove removes one job, if it still is to be. Before-images beyond a number are left, for the time
// when nobody can take up the job any more: an undo that found some of them gone would lose overrides.
func (s *Store) remove(ctx context.Context, id string, before time.Time) (gone bool, err error) {
	err = s.within(ctx, writing, func(tx pgx.Tx) error {
		if _, err := s.lockStore(ctx, tx); err != nil {
			return err
		}
		j, err := s.jobOf(ctx, tx, id)
		var unknown *job.Unknown
		if errors.As(err, &unknown) || err == nil && (!j.State.Finished() || !j.Completed.Before(before)) {
			return nil // others were quicker
		}
		if err != nil {
			return err
		}
		if _, err := s.deleteImages(ctx, tx, id); err != nil {
			return err
		}
		for _, each := range []struct{ table, key string }{
			{"decayctl_claims", "job_id"}, {"decayctl_workers", "job_id"}, {"decayctl_jobs", "job_id"}, {"jobs", "id"},
		} {
			if _, err := tx.Exec(ctx, `DELETE FROM `+s.table(each.table)+` WHERE `+each.key+` = $1`, id); err != nil {
				return err
			}
		}
		gone = true
		_, err = tx.Exec(ctx, `
			UPDATE `+s.table("decayctl_store")+`
			SET pruned_before = greatest(coalesce(pruned_before, $1) COLLATE "C", $1) WHERE id = 1`, fact.FormatInstant(before))
		return err
	})
	return gone && err == nil, err
}

// removeImages removes the before-images of a job that is gone.
func (s *Store) removeImages(ctx context.Context, id string) error {
	for more := true; more; {
		if err := s.within(ctx, writing, func(tx pgx.Tx) (err error) {
			more, err = s.deleteImages(ctx, tx, id)
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}

// deleteImages deletes some before-images of a job, and tells whether there may be more.
func (s *Store) deleteImages(ctx context.Context, tx pgx.Tx, id string) (more bool, err error) {
	done, err := tx.Exec(ctx, `
		DELETE FROM `+s.table("decayctl_before")+` WHERE job_id = $1 AND fact_id = ANY(ARRAY(
			SELECT fact_id FROM `+s.table("decayctl_before")+` WHERE job_id = $1 ORDER BY fact_id LIMIT $2))`, id, imagesAtOnce)
	return done.RowsAffected() == imagesAtOnce, err
}

// leftovers are the jobs that are gone, but for before-images: somebody's Prune did not come to its
// end. It goes from one job to the next, and not through all their rows.
func (s *Store) leftovers(ctx context.Context, tx pgx.Tx) ([]string, error) {
	rows, err := tx.Query(ctx, `
		WITH RECURSIVE b AS (
			SELECT min(job_id) AS id FROM `+s.table("decayctl_before")+`
			UNION ALL
			SELECT (SELECT min(n.job_id) FROM `+s.table("decayctl_before")+` n WHERE n.job_id > b.id) FROM b WHERE b.id IS NOT NULL
		)
		SELECT id FROM b WHERE id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM `+s.table("decayctl_jobs")+` j WHERE j.job_id = b.id)`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}
