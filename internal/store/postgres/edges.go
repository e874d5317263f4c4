package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"decayctl/internal/fact"
	"decayctl/internal/store"
)

// expireEdges stamps the edge that a fact made: graph traversal reads the edge alone. Edges are read
// first, since an undo needs to know what they were, and it is the last moment to keep that.
func (w *writer) expireEdges(ctx context.Context) error {
	done := w.batch.Done()
	if len(done) == 0 {
		return nil
	}
	byID := store.NewByID(done)
	edged, err := w.idsWithEdge(ctx, done, byID)
	if err != nil {
		return err
	}
	rows, err := w.tx.Query(ctx, `
		SELECT l.id, l.valid_until, l.decay_epoch, l.confidence
		FROM unnest($1::text[]) AS b(id)
		CROSS JOIN LATERAL (
			SELECT e.id, e.valid_until, e.decay_epoch, e.confidence FROM `+w.table("entity_edges")+` e WHERE e.id = b.id FOR UPDATE) l`,
		edged)
	if err != nil {
		return err
	}
	var id string
	var edge fact.Edge
	var confidence *float32
	if _, err = pgx.ForEachRow(rows, []any{&id, &edge.ValidUntil, &edge.DecayEpoch, &confidence}, func() error {
		found := edge
		found.Confidence = fromFloat4(confidence)
		byID.SetEdge(id, &found)
		return nil
	}); err != nil {
		return err
	}
	if err := w.keepBeforeImages(ctx, store.BeforeImages(done)); err != nil {
		return err
	}
	plain, withConfidence := store.WithEdges(done)
	if err := w.setEdgeConfidences(ctx, withConfidence); err != nil || len(plain) == 0 {
		return err
	}
	_, err = w.tx.Exec(ctx, `
		UPDATE `+w.table("entity_edges")+` SET valid_until = $2, decay_epoch = $3 WHERE id = `+anyKey,
		idArray(plain), w.asOf, w.batch.AsOf.UnixMilli())
	return err
}

// idsWithEdge are the ids among which the facts that have an edge are. Where the batch has a good part of the
// facts in its range, these are found by reading the edges of the range, which are fewer.
func (w *writer) idsWithEdge(ctx context.Context, done []*store.Expiry, byID store.ByID) ([]string, error) {
	if !w.batch.FillsRange(len(done)) {
		return idArray(done), nil
	}
	where, args := within(w.batch.Range(), "id")
	ids := []string{}
	_, err := collect(ctx, w.tx, func(id string) {
		if byID[id] != nil {
			ids = append(ids, id)
		}
	}, `SELECT id FROM `+w.table("entity_edges")+` WHERE `+where+` ORDER BY id`, args...)
	return ids, err
}

// setEdgeConfidences gives edges the confidence of their facts, and of those that end the expiry too.
func (w *writer) setEdgeConfidences(ctx context.Context, of []*store.Expiry) error {
	if len(of) == 0 {
		return nil
	}
	var keepsExpiry []bool
	var confidences []*float32
	for _, e := range of {
		keepsExpiry, confidences = append(keepsExpiry, e.KeepsExpiry()), append(confidences, toFloat4(e.NewConfidence()))
	}
	_, err := w.tx.Exec(ctx, `
		UPDATE `+w.table("entity_edges")+` e
		SET valid_until = CASE WHEN b.keeps_expiry THEN e.valid_until ELSE $2 END, decay_epoch = $3, confidence = b.confidence
		FROM unnest($1::text[], $4::bool[], $5::float4[]) AS b(id, keeps_expiry, confidence)
		WHERE e.id = `+anyKey+` AND e.id = b.id`,
		idArray(of), w.asOf, w.batch.AsOf.UnixMilli(), keepsExpiry, confidences)
	return err
}
