package sqlite

import (
	"context"
	"strconv"

	"decayctl/internal/fact"
	"decayctl/internal/job"
	"decayctl/internal/store"
)

// What policies do beside expiring: confidences, of facts and of their edges.

// packWeighed makes a list of facts with the confidence of each in front of its id.
func packWeighed(expiries []*store.Expiry) headed {
	return packHeaded(expiries, func(e *store.Expiry) string { return strconv.FormatFloat(*e.Confidence, 'g', -1, 64) })
}

// weighEdges gives edges the confidence of their facts, and of those that end the expiry too.
func (w *writer) weighEdges(ctx context.Context, weighed []*store.Expiry) error {
	if len(weighed) == 0 {
		return nil
	}
	update, err := w.tx.PrepareContext(ctx, `
		UPDATE entity_edges
		SET valid_until = CASE WHEN $2 THEN valid_until ELSE $3 END, decay_epoch = $4, confidence = $5
		WHERE id = $1`)
	if err != nil {
		return err
	}
	defer func() { _ = update.Close() }()
	for _, e := range weighed {
		if _, err := update.ExecContext(ctx, e.Fact.ID, e.Lives, w.asOf, w.batch.AsOf.UnixMilli(), *e.Confidence); err != nil {
			return err
		}
	}
	return nil
}

// weighedEdges gives edges their confidence back too, as far as they still are what the job made of them.
func (r *restorer) weighedEdges(ctx context.Context, weighed []job.Change) error {
	if len(weighed) == 0 {
		return nil
	}
	update, err := r.tx.PrepareContext(ctx, `
		UPDATE entity_edges AS e
		SET valid_until = CASE WHEN $2 THEN e.valid_until WHEN $3 THEN f.valid_until ELSE $4 END,
		    decay_epoch = $5, confidence = CASE WHEN $3 THEN f.confidence ELSE coalesce($6, e.confidence) END
		FROM facts f
		WHERE e.id = $1 AND f.id = e.id AND e.decay_epoch = $7 AND e.confidence = $8 AND ($2 OR e.valid_until = $9)`)
	if err != nil {
		return err
	}
	defer func() { _ = update.Close() }()
	for _, c := range weighed {
		was := fact.Edge{}
		if c.Edge != nil {
			was = *c.Edge
		}
		lives := c.After.ValidUntil == nil || *c.After.ValidUntil != r.asOf
		if _, err := update.ExecContext(ctx, c.FactID, lives, c.Edge == nil, was.ValidUntil, was.DecayEpoch, was.Confidence,
			r.epoch, c.After.Confidence, r.asOf); err != nil {
			return err
		}
	}
	return nil
}
