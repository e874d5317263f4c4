package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"decayctl/internal/fact"
	"decayctl/internal/job"
	"decayctl/internal/store"
)

// finishedSQL: the job has come to an end. As an expression it keeps the server from the index of states, by which
// it would read nearly all jobs.
const finishedSQL = "state || '' IN ('done', 'failed', 'cancelled', 'undone')"

// byKeys has rows found, and read in order, by an index alone. Else the server may read a whole table for each
// part of it: it knows little of tables that nobody has analysed.
const byKeys = `SELECT set_config(setting, 'off', true) FROM unnest('{enable_seqscan,enable_bitmapscan,enable_sort}'::text[]) AS setting`

// Prunable goes by the index of completed_at, from one part to the next.
func (s *Store) Prunable(ctx context.Context, before time.Time, use func(ids []string) error) error {
	if s.params.ReadOnly {
		return store.ErrReadOnly
	}
	unfinished, err := s.unfinished(ctx)
	var last job.Job
	lastCompleted := ""
	for more := true; more && err == nil; {
		var ids []string
		err = s.within(ctx, reading, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, byKeys); err != nil {
				return err
			}
			rows, err := tx.Query(ctx, `
				SELECT job_id, state, as_of, completed_at, scope, tenant FROM `+s.table("decayctl_jobs")+`
				WHERE (completed_at COLLATE "C", job_id COLLATE "C") > ($1, $2) AND completed_at COLLATE "C" < $3 AND `+finishedSQL+`
				ORDER BY completed_at COLLATE "C", job_id COLLATE "C" LIMIT $4`, lastCompleted, last.ID, fact.FormatInstant(before), store.IDsAtOnce)
			if err != nil {
				return err
			}
			var id, state, asOf string
			var scope, tenant *string
			done, err := eachRow(rows, []any{&id, &state, &asOf, &lastCompleted, &scope, &tenant}, func() error {
				last = store.FinishedJob(id, state, asOf, lastCompleted, scope, tenant)
				if !unfinished.Superseded(last) {
					ids = append(ids, id)
				}
				return nil
			})
			more = done.RowsAffected() == store.IDsAtOnce
			return err
		})
		if err == nil && len(ids) > 0 {
			if err := use(ids); err != nil {
				return err
			}
		}
	}
	return s.translate(err, "look for jobs to prune")
}

// unfinished reads the jobs that a finished one may be the reason not to resume.
func (s *Store) unfinished(ctx context.Context) (store.Unfinished, error) {
	found := store.Unfinished{}
	err := s.within(ctx, reading, func(tx pgx.Tx) error {
		if err := s.require(ctx, tx, prunePrivileges()); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `
			SELECT as_of, created_at, scope, tenant FROM `+s.table("decayctl_jobs")+`
			WHERE state IN ('pending', 'running', 'paused') ORDER BY as_of COLLATE "C"`)
		if err != nil {
			return err
		}
		var asOf, created string
		var scope, tenant *string
		_, err = eachRow(rows, []any{&asOf, &created, &scope, &tenant}, func() error {
			found.Add(asOf, created, scope, tenant)
			return nil
		})
		return err
	})
	return found, err
}

// Prune looks at the state and the end of each job once more, under the lock without which no undo begins.
func (s *Store) Prune(ctx context.Context, ids []string, before time.Time) (pruned store.Pruned, err error) {
	limit := fact.FormatInstant(before)
	var locked time.Time
	err = s.within(ctx, writing, func(tx pgx.Tx) error {
		if _, err := s.lockStore(ctx, tx); err != nil {
			return err
		}
		locked = s.params.Now()
		if _, err := tx.Exec(ctx, byKeys); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `
			DELETE FROM `+s.table("decayctl_jobs")+`
			WHERE job_id = ANY($1::text[]) AND `+finishedSQL+` AND (completed_at || '') COLLATE "C" < $2
			RETURNING job_id`, ids, limit)
		if err != nil {
			return err
		}
		removed, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil || len(removed) == 0 {
			return err
		}
		for _, each := range []struct{ table, key string }{
			{"decayctl_workers", "job_id"}, {"decayctl_claims", "job_id"}, {"jobs", "id"},
		} {
			if _, err := tx.Exec(ctx, `DELETE FROM `+s.table(each.table)+` WHERE `+each.key+` = ANY($1::text[])`, removed); err != nil {
				return err
			}
		}
		_, err = tx.Exec(ctx, `
			UPDATE `+s.table("decayctl_store")+`
			SET pruned_before = greatest(coalesce(pruned_before, $1) COLLATE "C", $1) WHERE id = 1`, limit)
		pruned.Rows = len(removed)
		return err
	})
	if err != nil {
		return store.Pruned{}, s.translate(err, "prune the jobs")
	}
	pruned.Locked = s.params.Now().Sub(locked)
	return pruned, nil
}

// Orphans goes from one job to the next, and not through all their rows.
func (s *Store) Orphans(ctx context.Context) (ids []string, err error) {
	err = s.within(ctx, reading, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `
			WITH RECURSIVE b AS (
				(SELECT job_id AS id FROM `+s.table("decayctl_before")+` ORDER BY job_id LIMIT 1)
				UNION ALL
				SELECT (SELECT n.job_id FROM `+s.table("decayctl_before")+` n WHERE n.job_id > b.id ORDER BY n.job_id LIMIT 1) FROM b WHERE b.id IS NOT NULL
			)
			SELECT id FROM b WHERE id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM `+s.table("decayctl_jobs")+` j WHERE j.job_id = b.id)`)
		if err != nil {
			return err
		}
		ids, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	})
	return ids, s.translate(err, "look for before-images of jobs that are gone")
}

// Forget finds the first rows by their place: with RETURNING or a join the server may read the whole table.
func (s *Store) Forget(ctx context.Context, ids []string, most int) (forgotten store.Pruned, err error) {
	var locked time.Time
	err = s.within(ctx, writing, func(tx pgx.Tx) error {
		locked = s.params.Now()
		if _, err := tx.Exec(ctx, byKeys); err != nil {
			return err
		}
		done, err := tx.Exec(ctx, `
			DELETE FROM `+s.table("decayctl_before")+` WHERE ctid = ANY(ARRAY(
				SELECT ctid FROM `+s.table("decayctl_before")+` WHERE job_id = ANY($1::text[]) LIMIT $2))`, ids, most)
		forgotten.Rows = int(done.RowsAffected())
		return err
	})
	if err != nil {
		return store.Pruned{}, s.translate(err, "remove before-images")
	}
	forgotten.Locked = s.params.Now().Sub(locked)
	return forgotten, nil
}
