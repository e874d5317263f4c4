package sqlite

import (
	"context"
	"encoding/json"
	"time"

	"decayctl/internal/fact"
	"decayctl/internal/job"
	"decayctl/internal/store"
)

// finishedSQL: the job has come to an end.
const finishedSQL = "state IN ('done', 'failed', 'cancelled', 'undone')"

// Prunable goes by the index of completed_at, from one part to the next.
func (s *Store) Prunable(ctx context.Context, before time.Time, use func(ids []string) error) error {
	if s.conn == nil {
		return store.ErrReadOnly
	}
	unfinished, err := s.unfinished(ctx)
	var last job.Job
	lastCompleted := ""
	for more := true; more && err == nil; {
		var ids []string
		err = s.reading(ctx, func(tx querier) error {
			rows, err := tx.QueryContext(ctx, `
				SELECT job_id, state, as_of, completed_at, scope, tenant FROM decayctl_jobs
				WHERE (completed_at, job_id) > ($1, $2) AND completed_at < $3 AND +`+finishedSQL+`
				ORDER BY completed_at, job_id LIMIT $4`, lastCompleted, last.ID, fact.FormatInstant(before), store.IDsAtOnce)
			if err != nil {
				return err
			}
			defer func() { _ = rows.Close() }()
			n := 0
			for ; rows.Next(); n++ {
				var id, state, asOf string
				var scope, tenant *string
				if err := rows.Scan(&id, &state, &asOf, &lastCompleted, &scope, &tenant); err != nil {
					return err
				}
				last = store.FinishedJob(id, state, asOf, lastCompleted, scope, tenant)
				if !unfinished.Superseded(last) {
					ids = append(ids, id)
				}
			}
			more = n == store.IDsAtOnce
			return rows.Err()
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
	err := s.reading(ctx, func(tx querier) error {
		rows, err := tx.QueryContext(ctx, `
			SELECT as_of, created_at, scope, tenant FROM decayctl_jobs
			WHERE state IN ('pending', 'running', 'paused') ORDER BY as_of`)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var asOf, created string
			var scope, tenant *string
			if err := rows.Scan(&asOf, &created, &scope, &tenant); err != nil {
				return err
			}
			found.Add(asOf, created, scope, tenant)
		}
		return rows.Err()
	})
	return found, err
}

// Prune looks at the state and the end of each job once more, under the write lock.
func (s *Store) Prune(ctx context.Context, ids []string, before time.Time) (pruned store.Pruned, err error) {
	limit := fact.FormatInstant(before)
	var locked time.Time
	err = s.within(ctx, func(tx querier) error {
		locked = s.params.Now()
		list, err := json.Marshal(ids)
		if err != nil {
			return err
		}
		removed, err := s.strings(ctx, tx, `
			DELETE FROM decayctl_jobs
			WHERE job_id IN (SELECT value FROM json_each($1)) AND +`+finishedSQL+` AND +completed_at < $2
			RETURNING job_id`, string(list), limit)
		if err != nil || len(removed) == 0 {
			return err
		}
		if list, err = json.Marshal(removed); err != nil {
			return err
		}
		for _, statement := range []string{
			"DELETE FROM decayctl_workers WHERE job_id IN (SELECT value FROM json_each($1))",
			"DELETE FROM decayctl_claims WHERE job_id IN (SELECT value FROM json_each($1))",
			"DELETE FROM jobs WHERE id IN (SELECT value FROM json_each($1)) AND +job_type = 'decay'",
		} {
			if _, err := tx.ExecContext(ctx, statement, string(list)); err != nil {
				return err
			}
		}
		_, err = tx.ExecContext(ctx, `
			UPDATE decayctl_store SET pruned_before = $1 WHERE pruned_before IS NULL OR pruned_before < $1`, limit)
		pruned.Rows = len(removed)
		return err
	})
	if err != nil {
		return store.Pruned{}, s.translate(err, "prune the jobs")
	}
	pruned.Locked = s.params.Now().Sub(locked)
	s.checkpoint(ctx)
	return pruned, nil
}

// Orphans takes one look at the key for each job: it may have millions of rows.
func (s *Store) Orphans(ctx context.Context) (ids []string, err error) {
	err = s.reading(ctx, func(tx querier) error {
		ids, err = s.strings(ctx, tx, `
			WITH RECURSIVE kept (id) AS (
				SELECT min(job_id) FROM decayctl_before
				UNION ALL
				SELECT (SELECT min(b.job_id) FROM decayctl_before b WHERE b.job_id > kept.id) FROM kept WHERE kept.id IS NOT NULL
			)
			SELECT id FROM kept WHERE id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM decayctl_jobs j WHERE j.job_id = kept.id)`)
		return err
	})
	return ids, s.translate(err, "look for before-images of jobs that are gone")
}

// Forget removes the first ones by their key.
func (s *Store) Forget(ctx context.Context, ids []string, most int) (forgotten store.Pruned, err error) {
	var locked time.Time
	err = s.within(ctx, func(tx querier) error {
		locked = s.params.Now()
		list, err := json.Marshal(ids)
		if err != nil {
			return err
		}
		result, err := tx.ExecContext(ctx, `
			DELETE FROM decayctl_before AS b WHERE (job_id, fact_id) IN (
				SELECT job_id, fact_id FROM decayctl_before WHERE job_id IN (SELECT value FROM json_each($1)) LIMIT $2)`, string(list), most)
		if err != nil {
			return err
		}
		n, err := result.RowsAffected()
		forgotten.Rows = int(n)
		return err
	})
	if err != nil {
		return store.Pruned{}, s.translate(err, "remove before-images")
	}
	forgotten.Locked = s.params.Now().Sub(locked)
	s.checkpoint(ctx)
	return forgotten, nil
}
