package sqlite

import (
	"context"

	"decayctl/internal/fact"
	"decayctl/internal/job"
	"decayctl/internal/store"
)

// restorer is one batch of an undo on its way into one transaction.
type restorer struct {
	*Store
	store.Restoration
	tx querier
}

// overrides removes, or puts back, the overrides of which every column still is as the job left it. Those
// that were there before are few; see updateOverrides.
func (r *restorer) overrides(ctx context.Context) error {
	var made []string
	var restored, removed []job.Change
	for _, c := range r.All {
		switch {
		case c.Before != nil:
			restored = append(restored, c)
		case job.PolicyOf(c.After) == "":
			made = append(made, c.FactID)
		default:
			removed = append(removed, c)
		}
	}
	if len(made) > 0 {
		ids := packIDs(made)
		if err := collect(ctx, r.tx, r.Restored, `
			DELETE FROM fact_validity_overrides
			WHERE fact_id IN (`+ids.sql+`)
			  AND confidence IS NULL AND valid_until = $2 AND reason = $3 AND updated_at = $4 AND updated_by = $5
			RETURNING fact_id`, ids.json, r.AsOf, store.Reason, r.Stamp, store.Actor); err != nil {
			return err
		}
	}
	const asWritten = `WHERE fact_id = $1 AND confidence IS $2 AND valid_until IS $3 AND reason = $4 AND updated_at = $5 AND updated_by = $6`
	written := func(c job.Change) []any {
		return []any{c.FactID, c.After.Confidence, c.After.ValidUntil, c.After.Reason, r.Stamp, store.Actor}
	}
	tookBack := func(c job.Change) { r.Restored(c.FactID) }
	if err := execEach(ctx, r.tx, `
		UPDATE fact_validity_overrides
		SET valid_until = $7, confidence = $8, reason = $9, updated_at = $10, updated_by = $11 `+asWritten, restored, func(c job.Change) []any {
		was := c.Before
		return append(written(c), was.ValidUntil, was.Confidence, was.Reason, was.UpdatedAt, was.UpdatedBy)
	}, tookBack); err != nil {
		return err
	}
	return execEach(ctx, r.tx, `DELETE FROM fact_validity_overrides `+asWritten, removed, written, tookBack)
}

// edges gives edges back what they were, as far as they still are what the job made of them.
func (r *restorer) edges(ctx context.Context) error {
	plain, differed, withConfidence := r.Edges()
	if err := r.restoreEdgeConfidences(ctx, withConfidence); err != nil {
		return err
	}
	if len(plain) > 0 {
		ids := packIDs(plain)
		if _, err := r.tx.ExecContext(ctx, `
			UPDATE entity_edges
			SET valid_until = (SELECT f.valid_until FROM facts f WHERE f.id = entity_edges.id), decay_epoch = NULL
			WHERE id IN (`+ids.sql+`) AND valid_until = $2 AND decay_epoch = $3`, ids.json, r.AsOf, r.Epoch); err != nil {
			return err
		}
	}
	return execEach(ctx, r.tx, `
		UPDATE entity_edges SET valid_until = $1, decay_epoch = $2 WHERE id = $3 AND valid_until = $4 AND decay_epoch = $5`,
		differed, func(e store.RestoredEdge) []any {
			return []any{e.Was.ValidUntil, e.Was.DecayEpoch, e.ID, r.AsOf, r.Epoch}
		}, nil)
}

// restoreEdgeConfidences gives edges their confidence back too, as far as they still are what the job made of them.
func (r *restorer) restoreEdgeConfidences(ctx context.Context, of []store.RestoredEdge) error {
	return execEach(ctx, r.tx, `
		UPDATE entity_edges AS e
		SET valid_until = CASE WHEN $2 THEN e.valid_until WHEN $3 THEN f.valid_until ELSE $4 END,
		    decay_epoch = $5, confidence = CASE WHEN $3 THEN f.confidence ELSE coalesce($6, e.confidence) END
		FROM facts f
		WHERE e.id = $1 AND f.id = e.id AND e.decay_epoch = $7 AND e.confidence = $8 AND ($2 OR e.valid_until = $9)`,
		of, func(e store.RestoredEdge) []any {
			return []any{e.ID, e.Lives, e.Plain, e.Was.ValidUntil, e.Was.DecayEpoch, e.Was.Confidence, r.Epoch, e.Gave, r.AsOf}
		}, nil)
}

// retractions removes what the job told the retraction log: nobody has a word for taking it back.
func (r *restorer) retractions(ctx context.Context) error {
	made := r.Retractions()
	if len(made) == 0 {
		return nil
	}
	ids := packIDs(made)
	_, err := r.tx.ExecContext(ctx, `DELETE FROM fact_retractions WHERE id IN (`+ids.sql+`)`, ids.json)
	return err
}

// vectors asks the node to make again the vectors that expiring the facts has removed.
func (r *restorer) vectors(ctx context.Context) error {
	forgotten := r.Forgotten()
	if !r.backfill || len(forgotten) == 0 {
		return nil
	}
	ids := packIDs(forgotten)
	_, err := r.tx.ExecContext(ctx, missingVectorsSQL(ids), ids.json, fact.FormatSecond(r.params.Now()), store.Actor)
	return err
}

func missingVectorsSQL(ids list) string {
	return `
		INSERT INTO fact_embedding_status (fact_id, embedding_missing, updated_at, updated_by)
		SELECT b.id, 1, $2, $3 FROM (` + ids.sql + `) b
		WHERE NOT EXISTS (SELECT 1 FROM vec_facts v WHERE v.fact_id = b.id)
		ON CONFLICT (fact_id) DO UPDATE
		SET embedding_missing = 1, updated_at = excluded.updated_at, updated_by = excluded.updated_by`
}
