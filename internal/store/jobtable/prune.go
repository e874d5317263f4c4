package jobtable

import (
	"context"
	"time"

	"decayctl/internal/fact"
	"decayctl/internal/store"
)

// finished is the condition that a job has ended. It uses no index, since nearly all jobs have ended.
func (t *Table) finished() string {
	return t.db.NoIndex("state") + ` IN ('done', 'failed', 'cancelled', 'undone')`
}

// Prunable reads part by part in the order of completed_at, which has an index.
func (t *Table) Prunable(ctx context.Context, before time.Time, use func(ids []string) error) error {
	if t.params.ReadOnly {
		return store.ErrReadOnly
	}
	unfinished, err := t.unfinished(ctx)
	end, id := "", "" // of the last job that was read
	for more := true; more && err == nil; {
		var ids []string
		var nextEnd, nextID string
		err = t.db.Read(ctx, func(tx Tx) error {
			if err := t.db.UseIndexes(ctx, tx); err != nil {
				return err
			}
			ids = nil
			n := 0
			var state, asOf string
			var scope, tenant *string
			err := tx.Query(ctx, []any{&nextID, &state, &asOf, &nextEnd, &scope, &tenant}, func() error {
				n++
				if !unfinished.Superseded(store.FinishedJob(nextID, state, asOf, nextEnd, scope, tenant)) {
					ids = append(ids, nextID)
				}
				return nil
			}, `
				SELECT job_id, state, as_of, completed_at, scope, tenant FROM `+t.db.Table("decayctl_jobs")+`
				WHERE (`+t.db.Bytes("completed_at")+`, `+t.db.Bytes("job_id")+`) > ($1, $2) AND `+t.db.Bytes("completed_at")+` < $3 AND `+t.finished()+`
				ORDER BY `+t.db.Bytes("completed_at")+`, `+t.db.Bytes("job_id")+` LIMIT $4`, end, id, fact.FormatInstant(before), store.IDsAtOnce)
			more = n == store.IDsAtOnce
			return err
		})
		end, id = nextEnd, nextID
		if err == nil && len(ids) > 0 {
			if err := use(ids); err != nil {
				return err
			}
		}
	}
	return t.db.Translate(err, "look for jobs to prune")
}

// unfinished reads the jobs that a finished one may supersede.
func (t *Table) unfinished(ctx context.Context) (found store.Unfinished, err error) {
	err = t.db.Read(ctx, func(tx Tx) error {
		if err := t.db.MayPrune(ctx, tx); err != nil {
			return err
		}
		found = store.Unfinished{}
		var asOf, created string
		var scope, tenant *string
		return tx.Query(ctx, []any{&asOf, &created, &scope, &tenant}, func() error {
			found.Add(asOf, created, scope, tenant)
			return nil
		}, `SELECT as_of, created_at, scope, tenant FROM `+t.db.Table("decayctl_jobs")+`
			WHERE state IN ('pending', 'running', 'paused') ORDER BY `+t.db.Bytes("as_of"))
	})
	return found, err
}

// Prune checks the state and the end of each job again under the lock of decayctl_store. Without that lock no undo begins.
func (t *Table) Prune(ctx context.Context, ids []string, before time.Time) (store.Pruned, error) {
	limit := fact.FormatInstant(before)
	lock := func(tx Tx) error {
		_, err := t.lockStore(ctx, tx)
		return err
	}
	return t.remove(ctx, "prune the jobs", lock, func(tx Tx) (int64, error) {
		removed, err := texts(ctx, tx, `
			DELETE FROM `+t.db.Table("decayctl_jobs")+`
			WHERE `+t.db.In("job_id", 1)+` AND `+t.finished()+` AND `+t.db.Bytes(t.db.NoIndex("completed_at"))+` < $2
			RETURNING job_id`, t.db.Array(ids), limit)
		if err != nil || len(removed) == 0 {
			return 0, err
		}
		for _, where := range []string{
			t.db.Table("decayctl_workers") + ` WHERE ` + t.db.In("job_id", 1),
			t.db.Table("decayctl_claims") + ` WHERE ` + t.db.In("job_id", 1),
			t.db.Table("decayctl_plans") + ` WHERE ` + t.db.In("job_id", 1),
			t.db.Table("jobs") + ` WHERE ` + t.db.In("id", 1) + ` AND ` + t.db.NoIndex("job_type") + ` = 'decay'`,
		} {
			if _, err := tx.Exec(ctx, `DELETE FROM `+where, t.db.Array(removed)); err != nil {
				return 0, err
			}
		}
		_, err = tx.Exec(ctx, `
			UPDATE `+t.db.Table("decayctl_store")+` SET pruned_before = $1
			WHERE id = 1 AND (pruned_before IS NULL OR `+t.db.Bytes("pruned_before")+` < $1)`, limit)
		return int64(len(removed)), err
	})
}

// OrphanedJobs steps from job to job in the key of decayctl_before, which may have millions of rows. It does not use NOT
// EXISTS, for which PostgreSQL 16 and later read all jobs.
func (t *Table) OrphanedJobs(ctx context.Context) (ids []string, err error) {
	before := t.db.Table("decayctl_before")
	err = t.db.Read(ctx, func(tx Tx) error {
		ids, err = texts(ctx, tx, `
			WITH RECURSIVE kept (id) AS (
				SELECT (SELECT job_id FROM `+before+` ORDER BY job_id LIMIT 1)
				UNION ALL
				SELECT (SELECT n.job_id FROM `+before+` n WHERE n.job_id > kept.id ORDER BY n.job_id LIMIT 1) FROM kept WHERE kept.id IS NOT NULL
			)
			SELECT id FROM kept WHERE id IS NOT NULL AND (SELECT j.job_id FROM `+t.db.Table("decayctl_jobs")+` j WHERE j.job_id = kept.id) IS NULL`)
		return err
	})
	return ids, t.db.Translate(err, "look for before-images of jobs that are gone")
}

// DeleteBeforeImages finds the rows by their key. With a plain DELETE, a database may read the whole table.
func (t *Table) DeleteBeforeImages(ctx context.Context, ids []string, most int) (store.Pruned, error) {
	key, table := t.db.BeforeImageKey(), t.db.Table("decayctl_before")
	none := func(Tx) error { return nil } // no process needs them any more
	return t.remove(ctx, "remove before-images", none, func(tx Tx) (int64, error) {
		return tx.Exec(ctx, `DELETE FROM `+table+` WHERE `+t.db.Among(key, `SELECT `+key+` FROM `+table+` WHERE `+t.db.In("job_id", 1)+` LIMIT $2`), t.db.Array(ids), most)
	})
}

// remove removes rows in one transaction, and measures how long it held locks, without the wait for the first lock.
func (t *Table) remove(ctx context.Context, doing string, lock func(Tx) error, work func(Tx) (int64, error)) (store.Pruned, error) {
	var locked time.Time
	var rows int64
	err := t.db.Write(ctx, func(tx Tx) error {
		if err := lock(tx); err != nil {
			return err
		}
		locked = t.params.Now()
		err := t.db.UseIndexes(ctx, tx)
		if err == nil {
			rows, err = work(tx)
		}
		return err
	})
	if err != nil {
		return store.Pruned{}, t.db.Translate(err, doing)
	}
	pruned := store.Pruned{Rows: int(rows), Timing: store.Timing{Locked: t.params.Now().Sub(locked)}}
	t.db.Checkpoint(ctx)
	return pruned, nil
}
