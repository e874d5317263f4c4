package sqlite

import (
	"context"

	"decayctl/internal/fact"
	"decayctl/internal/store"
)

// readEdges reads the edges of the batch's facts before anything is written, since a trigger may change edges when an
// override is written.
//
// A column of numbers may hold text on SQLite. Such an epoch or confidence must not keep the fact from expiring.
func (w *writer) readEdges(ctx context.Context) error {
	all := w.batch.All()
	byID := store.NewByID(all)
	var where string
	var args store.Args
	if w.batch.FillsRange(len(all)) {
		where = within(w.batch.Range(), "e.id", args.Add)
	} else {
		list := packFacts(all)
		where, args = "e.id IN ("+list.sql+")", store.Args{list.json}
	}
	var id string
	var edge fact.Edge
	return onRows(ctx, w.tx)(`
		SELECT e.id, e.valid_until, CAST(e.decay_epoch AS INTEGER), CASE typeof(e.confidence) WHEN 'real' THEN e.confidence END
		FROM entity_edges e WHERE `+where, args, []any{&id, &edge.ValidUntil, &edge.DecayEpoch, &edge.Confidence}, func() error {
		found := edge
		byID.SetEdge(id, &found)
		return nil
	})
}

// expireEdges writes the before-images, and ends the edges of the written facts: the node's graph traversal looks at the
// edge, and not at the fact.
func (w *writer) expireEdges(ctx context.Context) error {
	done := w.batch.Done()
	if err := w.keepBeforeImages(ctx, store.BeforeImages(done)); err != nil {
		return err
	}
	plain, withConfidence := store.WithEdges(done)
	if err := execEach(ctx, w.tx, `
		UPDATE entity_edges
		SET valid_until = CASE WHEN $2 THEN valid_until ELSE $3 END, decay_epoch = $4, confidence = $5
		WHERE id = $1`, withConfidence, func(e *store.Expiry) []any {
		return []any{e.ID, e.KeepsExpiry(), w.asOf, w.batch.AsOf.UnixMilli(), *e.NewConfidence()}
	}, nil); err != nil || len(plain) == 0 {
		return err
	}
	list := packFacts(plain)
	_, err := w.tx.ExecContext(ctx, "UPDATE entity_edges SET valid_until = $2, decay_epoch = $3 WHERE id IN ("+list.sql+")",
		list.json, w.asOf, w.batch.AsOf.UnixMilli())
	return err
}
