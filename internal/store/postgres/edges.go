package postgres

import (
	"context"

	"decayctl/internal/fact"
	"decayctl/internal/store"
)

// expireEdges locks the edges of the written facts, writes the before-images, and ends the edges: the node's graph traversal
// looks at the edge, and not at the fact.
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
	var id string
	var edge fact.Edge
	var confidence *float32
	lock := rowLock{table: w.table("entity_edges"), key: "id", columns: "r.id, r.valid_until, r.decay_epoch, r.confidence", ids: edged}
	if err = w.layout.lockRows(ctx, w.tx, lock, []any{&id, &edge.ValidUntil, &edge.DecayEpoch, &confidence}, func() error {
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

// idsWithEdge are the ids of written facts that may have an edge. If the batch fills its range, it reads the edges of the
// range, which are fewer than the facts.
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

// setEdgeConfidences writes the confidences of edges, and ends the edges whose fact expires.
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
