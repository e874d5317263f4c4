package jobtable

import (
	"cmp"
	"context"
	"slices"

	"decayctl/internal/fact"
	"decayctl/internal/job"
	"decayctl/internal/store"
)

// newestEnded bounds the time that Past takes: no index finds the jobs of some rules. With 100,000 jobs it is tens of
// milliseconds.
const newestEnded = 10_000

// Past reads the index of completed_at from its end. The inner query reads no counts, which may be long text.
func (t *Table) Past(ctx context.Context, p store.PastParams) (found []job.Job, err error) {
	if t.broken != nil {
		return nil, nil //nolint:nilerr // the store has a note of it
	}
	jobs, completed := t.db.Table("decayctl_jobs"), t.db.Bytes("completed_at")+` DESC, `+t.db.Bytes("job_id")+` DESC`
	err = t.db.Read(ctx, func(tx Tx) error {
		found = nil
		if there, err := t.db.HasTable(ctx, tx, "decayctl_jobs"); err != nil || !there {
			return err
		}
		if may, err := t.db.MayRead(ctx, tx, "decayctl_jobs"); err != nil || !may {
			return err
		}
		if err := t.db.UseIndexes(ctx, tx); err != nil {
			return err
		}
		ids, err := texts(ctx, tx, `
			SELECT job_id FROM (
				SELECT job_id, completed_at, state, fingerprint, scope, tenant, end_reached FROM `+jobs+`
				WHERE `+t.db.Bytes("completed_at")+` < $1 ORDER BY `+completed+` LIMIT $2
			) j
			WHERE fingerprint = $3 AND coalesce(scope, '') = $4 AND coalesce(tenant, '') = $5
				AND (state = 'done' OR state = 'failed' AND end_reached = 1)
			ORDER BY `+completed+` LIMIT $6`,
			fact.FormatInstant(p.Before), newestEnded, p.Fingerprint, p.Scope, p.Tenant, p.Limit)
		if err != nil || len(ids) == 0 {
			return err
		}
		// Sorted in Go: for an ORDER BY, PostgreSQL may read all jobs by the index of completed_at.
		found, err = t.readJobs(ctx, tx, `WHERE `+t.db.In("job_id", 1), t.db.Array(ids))
		slices.SortFunc(found, func(a, b job.Job) int { return cmp.Compare(slices.Index(ids, a.ID), slices.Index(ids, b.ID)) })
		return err
	})
	return found, t.db.Translate(err, "look for earlier jobs")
}
