package sqlite

import (
	"context"
	"errors"
	"slices"

	"decayctl/internal/fact"
	"decayctl/internal/store"
)

// waryFor is how many batches read edges before they change them, once one has met an edge that is not as it was
// taken to be: there may be more of them.
const waryFor = 16

// errEdgesDiffer has a batch written once more, by a look at its edges.
var errEdgesDiffer = errors.New("an edge is not as the node made it")

// findEdges finds the edges of the batch's facts, and reads those of which an undo may need to know what they were, before
// anything is written: a trigger may follow what is.
//
// Nearly all are as the node made them, and each lies on another page: these are not read, but changed on condition that
// they are. With an expiry of the fact's own, which few have, each would have a condition of its own.
func (w *writer) findEdges(ctx context.Context) error {
	edged, err := w.edged(ctx)
	if err != nil {
		return err
	}
	var others []*store.Expiry
	for _, e := range edged {
		if w.wary || e.Confidence != nil || e.Fact.ValidUntil != nil {
			others = append(others, e)
		} else {
			w.asMade = append(w.asMade, e)
		}
	}
	return w.readEdges(ctx, others)
}

// edged are those of the facts that have an edge, as was noted when they were read, where that still holds. Where it
// does not and the batch has a good part of the facts in its range, the edges of the range are read in order.
func (w *writer) edged(ctx context.Context) (edged []*store.Expiry, err error) {
	b := w.batch
	if w.undisturbed && b.EdgesNoted {
		return b.WithEdge(), nil
	}
	all := b.All()
	byID := store.NewByID(all)
	add := func(id string) {
		if e := byID[id]; e != nil {
			edged = append(edged, e)
		}
	}
	if b.FillsRange(len(all)) {
		err = edgesIn(ctx, w.tx, b.Range(), add)
	} else {
		list := packFacts(all)
		err = collect(ctx, w.tx, add, "SELECT e.id FROM entity_edges e WHERE e.id IN ("+list.sql+")", list.json)
	}
	return edged, err
}

// expireEdges stamps the edge that a fact made: graph traversal reads the edge alone. What an undo will need of the
// edges and the overrides is kept first.
func (w *writer) expireEdges(ctx context.Context) error {
	done := w.batch.Done()
	if len(done) == 0 {
		return nil
	}
	w.asMade = slices.DeleteFunc(w.asMade, func(e *store.Expiry) bool { return !e.Written })
	n, err := w.endEdges(ctx, w.asMade, " AND valid_until IS NULL AND decay_epoch IS NULL")
	switch {
	case err != nil:
		return err
	case n != int64(len(w.asMade)):
		return errEdgesDiffer
	}
	if err := w.keepBeforeImages(ctx, store.BeforeImages(done)); err != nil {
		return err
	}
	plain, withConfidence := store.Edged(done)
	if err := w.setEdgeConfidences(ctx, withConfidence); err != nil {
		return err
	}
	for _, e := range w.asMade { // for verify; before, they would have been among those that are still to end
		e.Edge = &fact.Edge{}
	}
	_, err = w.endEdges(ctx, plain, "")
	return err
}

// setEdgeConfidences gives edges the confidence of their facts, and of those that end the expiry too.
func (w *writer) setEdgeConfidences(ctx context.Context, of []*store.Expiry) error {
	return execEach(ctx, w.tx, `
		UPDATE entity_edges
		SET valid_until = CASE WHEN $2 THEN valid_until ELSE $3 END, decay_epoch = $4, confidence = $5
		WHERE id = $1`, of, func(e *store.Expiry) []any {
		return []any{e.Fact.ID, e.Lives, w.asOf, w.batch.AsOf.UnixMilli(), *e.Confidence}
	}, nil)
}

// endEdges ends the edges of facts that meet a condition; in the order of their rows, for each page to be read and written
// once.
func (w *writer) endEdges(ctx context.Context, of []*store.Expiry, condition string) (ended int64, err error) {
	if len(of) == 0 {
		return 0, nil
	}
	list := packFacts(of)
	theirs := "id IN (" + list.sql + ")"
	if w.keyed {
		theirs = "rowid IN (SELECT e.rowid FROM entity_edges e WHERE e." + theirs + ")"
	}
	result, err := w.tx.ExecContext(ctx, `
		UPDATE entity_edges SET valid_until = $2, decay_epoch = $3 WHERE `+theirs+condition,
		list.json, w.asOf, w.batch.AsOf.UnixMilli())
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// edgedOf tells which of n facts of a range, whose ids are given in their order, have an edge. Edges come in it too, so
// that those of no fact, of which there may be any number, are not kept.
func edgedOf(ctx context.Context, tx querier, r store.Range, n int, id func(i int) string) ([]bool, error) {
	edged, next := make([]bool, n), 0
	err := edgesIn(ctx, tx, r, func(of string) {
		for next < n && id(next) < of {
			next++
		}
		if next < n && id(next) == of {
			edged[next] = true
		}
	})
	return edged, err
}

// edgesIn reads the ids of the edges of a range of facts, in their order. The index has them: no row is read.
func edgesIn(ctx context.Context, tx querier, r store.Range, add func(id string)) error {
	args := store.Args{}
	return collect(ctx, tx, add, "SELECT e.id FROM entity_edges e WHERE "+within(r, "e.id", args.Add)+" ORDER BY e.id", args...)
}

// readEdges reads the edges of facts. SQLite keeps text in a column of numbers if it is told to: that is no epoch and no
// confidence, and must not keep the fact from expiring.
func (w *writer) readEdges(ctx context.Context, of []*store.Expiry) error {
	if len(of) == 0 {
		return nil
	}
	list, byID := packFacts(of), store.NewByID(of)
	var id string
	var edge fact.Edge
	return onRows(ctx, w.tx)(`
		SELECT e.id, e.valid_until, CAST(e.decay_epoch AS INTEGER), CASE typeof(e.confidence) WHEN 'real' THEN e.confidence END
		FROM entity_edges e WHERE e.id IN (`+list.sql+`)`, []any{list.json}, []any{&id, &edge.ValidUntil, &edge.DecayEpoch, &edge.Confidence}, func() error {
		found := edge
		byID.Found(id, &found)
		return nil
	})
}
