package postgres

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"decayctl/internal/fact"
	"decayctl/internal/job"
	"decayctl/internal/store"
)

// restorer writes one batch of an undo in one transaction.
type restorer struct {
	*Store
	store.Restoration
	tx pgx.Tx
}

// overrides deletes or restores the overrides of which every column is what the job wrote. It locks the rows first, so that
// the comparison sees what other sessions have committed.
func (r *restorer) overrides(ctx context.Context) error {
	var all []string
	var inserted, updated changeArrays
	for _, c := range r.All {
		all = append(all, c.FactID)
		if c.Before == nil {
			inserted.add(c, fact.Override{})
		} else {
			updated.add(c, *c.Before)
		}
	}
	if len(all) == 0 {
		return nil
	}
	if err := r.lockOverrides(ctx, r.tx, all); err != nil {
		return err
	}
	const asWritten = `o.fact_id = ` + anyKey + ` AND o.fact_id = b.id
		  AND o.valid_until IS NOT DISTINCT FROM b.valid_until
		  AND o.confidence IS NOT DISTINCT FROM b.confidence
		  AND o.reason IS NOT DISTINCT FROM b.reason
		  AND o.updated_at IS NOT DISTINCT FROM b.updated_at
		  AND o.updated_by IS NOT DISTINCT FROM b.updated_by`
	if len(inserted.ids) > 0 {
		now := inserted.now
		if _, err := collect(ctx, r.tx, r.Restored, `
			DELETE FROM `+r.table("fact_validity_overrides")+` AS o
			USING unnest($1::text[], $2::text[], $3::float4[], $4::text[], $5::text[], $6::text[])
				AS b(id, valid_until, confidence, reason, updated_at, updated_by)
			WHERE `+asWritten+`
			RETURNING o.fact_id`,
			inserted.ids, now.validUntil, now.confidence, now.reason, now.updatedAt, now.updatedBy); err != nil {
			return err
		}
	}
	if len(updated.ids) == 0 {
		return nil
	}
	now, was := updated.now, updated.was
	_, err := collect(ctx, r.tx, r.Restored, `
		UPDATE `+r.table("fact_validity_overrides")+` AS o
		SET valid_until = b.old_valid_until, confidence = b.old_confidence, reason = b.old_reason,
		    updated_at = b.old_updated_at, updated_by = b.old_updated_by
		FROM unnest($1::text[], $2::text[], $3::float4[], $4::text[], $5::text[], $6::text[],
			$7::text[], $8::float4[], $9::text[], $10::text[], $11::text[])
			AS b(id, valid_until, confidence, reason, updated_at, updated_by,
				old_valid_until, old_confidence, old_reason, old_updated_at, old_updated_by)
		WHERE `+asWritten+`
		RETURNING o.fact_id`,
		updated.ids, now.validUntil, now.confidence, now.reason, now.updatedAt, now.updatedBy,
		was.validUntil, was.confidence, was.reason, was.updatedAt, was.updatedBy)
	return err
}

// edges restores the edges that are what the job wrote.
func (r *restorer) edges(ctx context.Context) error {
	plain, differed, withConfidence := r.Edges()
	if err := r.restoreEdgeConfidences(ctx, withConfidence); err != nil {
		return err
	}
	if len(plain) > 0 {
		if _, err := r.tx.Exec(ctx, `
			UPDATE `+r.table("entity_edges")+` e
			SET valid_until = (SELECT f.valid_until FROM `+r.table("facts")+` f WHERE f.id = e.id), decay_epoch = NULL
			WHERE e.id = `+anyKey+` AND e.valid_until = $2 AND e.decay_epoch = $3`, plain, r.AsOf, r.Epoch); err != nil {
			return err
		}
	}
	if len(differed) == 0 {
		return nil
	}
	a := newEdgeArrays(differed)
	_, err := r.tx.Exec(ctx, `
		UPDATE `+r.table("entity_edges")+` e SET valid_until = b.valid_until, decay_epoch = b.decay_epoch
		FROM unnest($1::text[], $2::text[], $3::bigint[]) AS b(id, valid_until, decay_epoch)
		WHERE e.id = `+anyKey+` AND e.id = b.id AND e.valid_until = $4 AND e.decay_epoch = $5`, a.ids, a.until, a.epoch, r.AsOf, r.Epoch)
	return err
}

// edgeArrays is edges column by column, as arguments of one statement.
type edgeArrays struct {
	ids                []string
	plain, keepsExpiry []bool // see store.RestoredEdge
	until              []*string
	epoch              []*int64
	confidence, gave   []*float32 // before the job; written by the job
}

func newEdgeArrays(of []store.RestoredEdge) (a edgeArrays) {
	for _, e := range of {
		a.ids, a.plain, a.keepsExpiry = append(a.ids, e.ID), append(a.plain, e.Plain), append(a.keepsExpiry, e.KeepsExpiry)
		a.until, a.epoch = append(a.until, e.Was.ValidUntil), append(a.epoch, e.Was.DecayEpoch)
		a.confidence, a.gave = append(a.confidence, toFloat4(e.Was.Confidence)), append(a.gave, toFloat4(e.Gave))
	}
	return a
}

// restoreEdgeConfidences restores the edges whose confidence the job changed, if they are what the job wrote.
func (r *restorer) restoreEdgeConfidences(ctx context.Context, of []store.RestoredEdge) error {
	if len(of) == 0 {
		return nil
	}
	a := newEdgeArrays(of)
	_, err := r.tx.Exec(ctx, `
		UPDATE `+r.table("entity_edges")+` e
		SET valid_until = CASE WHEN b.keeps_expiry THEN e.valid_until WHEN b.plain THEN (SELECT f.valid_until FROM `+r.table("facts")+` f WHERE f.id = e.id) ELSE b.valid_until END,
		    decay_epoch = b.decay_epoch, confidence = coalesce(CASE WHEN b.plain THEN (SELECT f.confidence FROM `+r.table("facts")+` f WHERE f.id = e.id) ELSE b.confidence END, e.confidence)
		FROM unnest($1::text[], $2::bool[], $3::bool[], $4::text[], $5::bigint[], $6::float4[], $7::float4[])
			AS b(id, plain, keeps_expiry, valid_until, decay_epoch, confidence, gave)
		WHERE e.id = `+anyKey+` AND e.id = b.id AND e.decay_epoch = $9 AND e.confidence = b.gave
		  AND (b.keeps_expiry OR e.valid_until = $8)`,
		a.ids, a.plain, a.keepsExpiry, a.until, a.epoch, a.confidence, a.gave, r.AsOf, r.Epoch)
	return err
}

// retractions deletes the rows that the job added to the retraction log.
func (r *restorer) retractions(ctx context.Context) error {
	ids := r.Retractions()
	if len(ids) == 0 {
		return nil
	}
	_, err := r.tx.Exec(ctx, `DELETE FROM `+r.table("fact_retractions")+` WHERE id = `+anyKey, ids)
	return err
}

// vectors asks the node to make the vectors again that the job deleted.
func (r *restorer) vectors(ctx context.Context) error {
	ids := r.LostVectors()
	if !r.vec || !r.backfill || len(ids) == 0 {
		return nil
	}
	made := map[string]bool{} // by the node, meanwhile
	if _, err := collect(ctx, r.tx, func(id string) { made[id] = true }, `SELECT fact_id FROM `+r.table("vec_facts")+` WHERE fact_id = `+anyKey, ids); err != nil {
		return err
	}
	ids = slices.DeleteFunc(ids, func(id string) bool { return made[id] })
	_, err := r.tx.Exec(ctx, `
		INSERT INTO `+r.table("fact_embedding_status")+` AS s (fact_id, embedding_missing, updated_at, updated_by)
		SELECT f.id, 1, $2, $3 FROM `+r.table("facts")+` f WHERE f.id = `+anyKey+`
		ON CONFLICT (fact_id) DO UPDATE
		SET embedding_missing = 1, updated_at = excluded.updated_at, updated_by = excluded.updated_by`,
		ids, fact.FormatSecond(r.params.Now()), store.Actor)
	return err
}

// changeArrays is changes column by column, as arguments of one statement.
type changeArrays struct {
	ids      []string
	now, was overrideArrays
}

func (a *changeArrays) add(c job.Change, was fact.Override) {
	a.ids = append(a.ids, c.FactID)
	a.now.add(c.After)
	a.was.add(was)
}
