package sqlite

import (
	"context"

	"decayctl/internal/fact"
	"decayctl/internal/store"
)

// expireEdges stamps the edge that a fact made: graph traversal reads the edge alone. What an undo will
// need of the edges and the overrides is kept first.
func (w *writer) expireEdges(ctx context.Context) error {
	done := w.batch.Done()
	if len(done) == 0 {
		return nil
	}
	if err := w.findEdges(ctx, done); err != nil {
		return err
	}
	if err := w.keep(ctx, store.Images(done)); err != nil {
		return err
	}
	plain, weighed := store.Edged(done)
	if err := w.weighEdges(ctx, weighed); err != nil || len(plain) == 0 {
		return err
	}
	found := packFacts(plain)
	_, err := w.tx.ExecContext(ctx, `
		UPDATE entity_edges SET valid_until = $2, decay_epoch = $3 WHERE id IN (`+found.sql+`)`,
		found.json, w.asOf, w.batch.AsOf.UnixMilli())
	return err
}

// findEdges are the edges of the facts that were written, as they were read with the facts where that still
// holds. Where it does not and the batch has a good part of the facts in its range, the edges of the range are
// read in order.
func (w *writer) findEdges(ctx context.Context, done []*store.Expiry) error {
	if w.undisturbed && w.batch.EdgesRead {
		for _, e := range done {
			e.Edge = e.Fact.Edge
		}
		return nil
	}
	add := store.NewByID(done).Found
	if w.batch.Claim.IDs == nil && len(done) > w.batch.Covered()/8 {
		return readEdges(ctx, w.tx, w.batch.Range(), add)
	}
	list := packFacts(done)
	return scanEdges(ctx, w.tx, add, "FROM ("+list.sql+") b CROSS JOIN entity_edges e ON e.id = b.id", list.json)
}

// edgesOf reads the edges of n facts of a range, whose ids are given in their order. Edges come in it too, so that
// those of no fact, of which there may be any number, are not kept.
func edgesOf(ctx context.Context, tx querier, r store.Range, n int, id func(i int) string) ([]*fact.Edge, error) {
	edges, next := make([]*fact.Edge, n), 0
	err := readEdges(ctx, tx, r, func(of string, edge *fact.Edge) {
		for next < n && id(next) < of {
			next++
		}
		if next < n && id(next) == of {
			edges[next] = edge
		}
	})
	return edges, err
}

// readEdges reads the edges of a range of facts, in the order of their ids.
func readEdges(ctx context.Context, tx querier, r store.Range, add func(id string, edge *fact.Edge)) error {
	args := arguments{}
	return scanEdges(ctx, tx, add, "FROM entity_edges e WHERE "+within(r, "e.id", args.add)+" ORDER BY e.id", args...)
}

// scanEdges reads edges. SQLite keeps text in a column of numbers if it is told to: that is no epoch and no
// confidence, and must not keep the fact from expiring.
func scanEdges(ctx context.Context, tx querier, add func(id string, edge *fact.Edge), from string, args ...any) error {
	rows, err := tx.QueryContext(ctx, `
		SELECT e.id, e.valid_until, CAST(e.decay_epoch AS INTEGER), CASE typeof(e.confidence) WHEN 'real' THEN e.confidence END
		`+from, args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var id string
		edge := &fact.Edge{}
		if err := rows.Scan(&id, &edge.ValidUntil, &edge.DecayEpoch, &edge.Confidence); err != nil {
			return err
		}
		add(id, edge)
	}
	return rows.Err()
}
