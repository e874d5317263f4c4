package jobtable

import (
	"context"

	"decayctl/internal/job"
	"decayctl/internal/store"
)

// insertPlan writes what a new job has to find before it writes.
func (t *Table) insertPlan(ctx context.Context, tx Tx, p store.StartParams) error {
	if p.Plan == "" {
		return nil
	}
	if _, err := tx.Exec(ctx, `UPDATE `+t.db.Table("decayctl_jobs")+` SET plan = $2 WHERE job_id = $1`, p.ID, p.Plan); err != nil {
		return err
	}
	return t.insertPart(ctx, tx, p.ID, 0, 0, t.db.Encode(p.Check))
}

func (t *Table) insertPart(ctx context.Context, tx Tx, jobID string, worker, part int, content string) error {
	_, err := tx.Exec(ctx, `INSERT INTO `+t.db.Table("decayctl_plans")+` (job_id, worker, part, content) VALUES ($1, $2, $3, $4)`, jobID, worker, part, content)
	return err
}

// PlanCheck reads the part of worker 0.
func (t *Table) PlanCheck(ctx context.Context, id string) (check string, open bool, err error) {
	err = t.db.Read(ctx, func(tx Tx) error {
		open, err = first(ctx, tx, []any{&check}, `SELECT content FROM `+t.db.Table("decayctl_plans")+` WHERE job_id = $1 AND worker = 0`, id)
		return err
	})
	return check, open, t.db.Translate(err, "read the plan of the job")
}

// ReadReviewed reads the parts one by one: all together may be large.
func (t *Table) ReadReviewed(ctx context.Context, id string, use func(part string) error) error {
	for part := 0; ; part++ {
		var content string
		var found bool
		err := t.db.Read(ctx, func(tx Tx) (err error) {
			found, err = first(ctx, tx, []any{&content}, `SELECT content FROM `+t.db.Table("decayctl_plans")+` WHERE job_id = $1 AND worker > 0 AND part = $2`, id, part)
			return err
		})
		if err != nil {
			return t.db.Translate(err, "read the reviewed facts of the job")
		}
		if !found {
			return nil
		}
		if err := use(content); err != nil {
			return err
		}
	}
}

// AddReviewed writes a part under the job's row, like ClearPlanCheck: of several workers that check at once, the first that
// is through removes the parts of the others, and from then on they write none.
func (t *Table) AddReviewed(ctx context.Context, l store.Lease, part int, content string) error {
	err := t.db.Write(ctx, func(tx Tx) error {
		if _, err := t.lockLeased(ctx, tx, l, job.Running); err != nil {
			return err
		}
		open, err := first(ctx, tx, []any{new(int)}, `SELECT part FROM `+t.db.Table("decayctl_plans")+` WHERE job_id = $1 AND worker = 0`, l.JobID)
		if err != nil || !open {
			return err
		}
		// Written before, where the outcome of the COMMIT was not known.
		if _, err := tx.Exec(ctx, `DELETE FROM `+t.db.Table("decayctl_plans")+` WHERE job_id = $1 AND worker = $2 AND part = $3`, l.JobID, l.Worker, part); err != nil {
			return err
		}
		if err := t.insertPart(ctx, tx, l.JobID, l.Worker, part, content); err != nil {
			return err
		}
		return t.renew(ctx, tx, l)
	})
	return t.db.Translate(err, "write the reviewed facts of the job")
}

// ClearPlanCheck leaves the parts of one worker.
func (t *Table) ClearPlanCheck(ctx context.Context, l store.Lease) error {
	plans := t.db.Table("decayctl_plans")
	err := t.db.Write(ctx, func(tx Tx) error {
		if _, err := t.lockLeased(ctx, tx, l, job.Running); err != nil {
			return err
		}
		open, err := tx.Exec(ctx, `DELETE FROM `+plans+` WHERE job_id = $1 AND worker = 0`, l.JobID)
		if err != nil || open == 0 {
			return err
		}
		_, err = tx.Exec(ctx, `DELETE FROM `+plans+` WHERE job_id = $1 AND worker <> $2`, l.JobID, l.Worker)
		return err
	})
	return t.db.Translate(err, "note that the plan of the job was checked")
}

// NodeID reads a table that also has the node's private key: a role need not be able to.
func (t *Table) NodeID(ctx context.Context) (id string, err error) {
	err = t.db.Read(ctx, func(tx Tx) error {
		id = ""
		may, err := t.db.HasTable(ctx, tx, "node_meta")
		if err == nil && may {
			may, err = t.db.MayRead(ctx, tx, "node_meta")
		}
		if err != nil || !may {
			return err
		}
		_, err = first(ctx, tx, []any{&id}, `SELECT value FROM `+t.db.Table("node_meta")+` WHERE key = 'node_id'`)
		return err
	})
	return id, t.db.Translate(err, "read the id of the node")
}
