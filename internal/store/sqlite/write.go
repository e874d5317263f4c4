package sqlite

import (
	"context"
	"time"

	"decayctl/internal/fact"
	"decayctl/internal/job"
	"decayctl/internal/store"
)

// Apply writes one batch, and with it the claim that it was read under and the job's counts.
func (s *Store) Apply(ctx context.Context, b store.Batch) (store.Applied, error) {
	w := writer{Store: s, batch: b, written: store.Written{}, asOf: fact.FormatInstant(b.AsOf), stamp: fact.FormatSecond(b.Stamp)}
	var applied store.Applied
	err := s.within(ctx, func(tx querier) error {
		w.tx, w.locked = tx, s.params.Now()
		w.undisturbed = store.Mark(s.mark.Load()) == b.Mark
		steps := []func(context.Context) error{w.lockClaim}
		if len(b.Expiries) > 0 {
			steps = append(steps, w.insertOverrides, w.updateOverrides, w.retract, w.expireEdges)
			if s.vec {
				steps = append(steps, w.deleteVectors)
			}
			steps = append(steps, w.staleCards)
		}
		for _, step := range steps {
			if err := step(ctx); err != nil {
				return err
			}
		}
		var err error
		applied.Counts, err = w.settle(ctx)
		return err
	})
	if err != nil {
		return store.Applied{}, s.translate(err, "write a batch")
	}
	applied.Changed, applied.Locked = b.Changed(w.written), s.params.Now().Sub(w.locked)
	s.checkpoint(ctx)
	return applied, nil
}

// checkpoint moves the log into the database without the write lock: other writers go on. The batch
// is committed by now, so nothing here is a failure of it; what a checkpoint leaves, the next one
// takes.
func (s *Store) checkpoint(ctx context.Context) {
	if !s.wal || s.take(ctx) != nil {
		return
	}
	defer s.release()
	_, _ = s.conn.ExecContext(ctx, "PRAGMA wal_checkpoint(PASSIVE)")
}

// writer is one batch on its way into one transaction.
type writer struct {
	*Store
	tx      querier
	locked  time.Time
	batch   store.Batch
	asOf    string
	stamp   string
	written store.Written

	undisturbed bool // nobody else has written since the batch was read
}

// insertOverrides writes the facts that had no override row. A row that has appeared meanwhile
// stays as it is: ON CONFLICT DO UPDATE could not tell a rejection committed since from nothing.
func (w *writer) insertOverrides(ctx context.Context) error {
	fresh := w.batch.Fresh()
	if len(fresh) == 0 {
		return nil
	}
	guarded := `SELECT f.id FROM (` + idsSQL + `) b CROSS JOIN facts f ON f.id = b.id
		WHERE NOT (` + heldSQL + `) AND NOT (` + pendingSQL + `)`
	if w.undisturbed { // the guard would see what the read saw, fact by fact, for most of the time
		guarded = idsSQL
	}
	return collect(ctx, w.tx, w.written, `
		INSERT INTO fact_validity_overrides (fact_id, valid_until, confidence, reason, updated_at, updated_by)
		SELECT id, $2, NULL, $3, $4, $5 FROM (`+guarded+`) WHERE true
		ON CONFLICT (fact_id) DO NOTHING
		RETURNING fact_id`, idArray(fresh), w.asOf, store.Reason, w.stamp, store.Actor)
}

// updateOverrides writes the facts that had an override row, while every column of it still is
// what was read. Its confidence is kept: a rejected fact stays rejected. Few facts are live under
// an override, so a statement for each is cheap, and bound values compare exactly.
func (w *writer) updateOverrides(ctx context.Context) error {
	overridden := w.batch.Overridden()
	if len(overridden) == 0 {
		return nil
	}
	update, err := w.tx.PrepareContext(ctx, `
		UPDATE fact_validity_overrides AS o
		SET valid_until = $1, reason = $2, updated_at = $3, updated_by = $4
		WHERE o.fact_id = $5 AND o.valid_until IS $6 AND o.confidence IS $7 AND o.reason IS $8
		  AND o.updated_at IS $9 AND o.updated_by IS $10
		  AND EXISTS (SELECT 1 FROM facts f WHERE f.id = o.fact_id AND NOT (`+heldSQL+`) AND NOT (`+pendingSQL+`))`)
	if err != nil {
		return err
	}
	defer func() { _ = update.Close() }()
	for _, e := range overridden {
		o := e.Fact.Override
		result, err := update.ExecContext(ctx, w.asOf, store.Reason, w.stamp, store.Actor,
			e.Fact.ID, o.ValidUntil, o.Confidence, o.Reason, o.UpdatedAt, o.UpdatedBy)
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil {
			return err
		} else if n == 1 {
			w.written[e.Fact.ID] = true
		}
	}
	return nil
}

// retract logs the facts that a floor expired, once for each expiry: a sweep repeated at the same
// as-of, after its override was taken back, finds its row there already.
func (w *writer) retract(ctx context.Context) error {
	retracted := w.batch.Retracted(w.written)
	if len(retracted) == 0 {
		return nil
	}
	rows := jsonArray{}
	for _, e := range retracted {
		rows.retraction(e.Retraction, e.Fact.ID, e.SweptAt())
	}
	_, err := w.tx.ExecContext(ctx, `
		INSERT INTO fact_retractions (id, fact_id, retracted_at, retracted_by)
		SELECT b.id, b.fact_id, $2, $3
		FROM (SELECT value ->> 0 AS id, CAST(unhex(value ->> 1) AS TEXT) AS fact_id, value ->> 2 AS earlier FROM json_each($1)) b
		WHERE NOT EXISTS (
			SELECT 1 FROM fact_retractions r WHERE r.fact_id = b.fact_id AND r.retracted_at IN ($2, b.earlier))`,
		rows.String(), w.asOf, store.Actor)
	return err
}

// expireEdges stamps the edge that a fact made: graph traversal reads the edge alone. What an undo will
// need of the edges and the overrides is kept first.
func (w *writer) expireEdges(ctx context.Context) error {
	done := w.batch.Done(w.written)
	if len(done) == 0 {
		return nil
	}
	edges, ids, err := w.findEdges(ctx, done)
	if err != nil {
		return err
	}
	if err := w.keep(ctx, w.batch.Images(w.written, edges)); err != nil {
		return err
	}
	if len(edges) == 0 {
		return nil
	}
	_, err = w.tx.ExecContext(ctx, `
		UPDATE entity_edges SET valid_until = $2, decay_epoch = $3 WHERE id IN (`+idsSQL+`)`,
		ids, w.asOf, w.batch.AsOf.UnixMilli())
	return err
}

// findEdges reads the edges of the facts that were written, and lists their ids. SQLite keeps text in
// a column of integers if it is told to: that is no epoch, and must not keep the fact from expiring.
func (w *writer) findEdges(ctx context.Context, done []store.Expiry) (store.Edges, string, error) {
	rows, err := w.tx.QueryContext(ctx, `
		SELECT id, valid_until, CAST(decay_epoch AS INTEGER) FROM entity_edges WHERE id IN (`+idsSQL+`)`,
		idArray(done))
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = rows.Close() }()
	edges, ids := store.Edges{}, jsonArray{}
	for rows.Next() {
		var id string
		var edge job.Edge
		if err := rows.Scan(&id, &edge.ValidUntil, &edge.DecayEpoch); err != nil {
			return nil, "", err
		}
		edges[id] = edge
		ids.hex(id)
	}
	return edges, ids.String(), rows.Err()
}

// keep writes before-images. They are few: most facts had no override, and an edge as the node made it.
// One that is there already is older, and what an undo is to give back.
func (w *writer) keep(ctx context.Context, images []store.Image) error {
	if len(images) == 0 {
		return nil
	}
	insert, err := w.tx.PrepareContext(ctx, `
		INSERT INTO decayctl_before (job_id, fact_id, had_override, valid_until, confidence, reason, updated_at, updated_by,
			had_edge, edge_valid_until, edge_decay_epoch)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
		ON CONFLICT (job_id, fact_id) DO NOTHING`)
	if err != nil {
		return err
	}
	defer func() { _ = insert.Close() }()
	for _, image := range images {
		args := []any{w.batch.Lease.JobID, image.FactID, 0, nil, nil, nil, nil, nil, 0, nil, nil}
		if o := image.Override; o != nil {
			copy(args[2:], []any{1, o.ValidUntil, o.Confidence, o.Reason, o.UpdatedAt, o.UpdatedBy})
		}
		if image.Edge != nil {
			copy(args[8:], []any{1, image.Edge.ValidUntil, image.Edge.DecayEpoch})
		}
		if _, err := insert.ExecContext(ctx, args...); err != nil {
			return err
		}
	}
	return nil
}

// deleteVectors: semantic recall tests no expiry, so a vector that stays keeps the fact in it. One
// statement for each fact, since vec0 answers IN by reading every vector there is.
func (w *writer) deleteVectors(ctx context.Context) error {
	remove, err := w.tx.PrepareContext(ctx, `DELETE FROM vec_facts WHERE fact_id = $1`)
	if err != nil {
		return err
	}
	defer func() { _ = remove.Close() }()
	for _, e := range w.batch.Done(w.written) {
		if _, err := remove.ExecContext(ctx, e.Fact.ID); err != nil {
			return err
		}
	}
	return nil
}

// staleCards marks the memory cards that were made of a fact now expired. The plus leaves the primary
// key as the only way to them: most cards of a tenant and scope are fresh.
func (w *writer) staleCards(ctx context.Context) error {
	cards := w.batch.Cards(w.written)
	if len(cards) == 0 {
		return nil
	}
	keys := jsonArray{}
	for _, card := range cards {
		keys.hexes(card.Entity, card.Tenant, card.Scope)
	}
	_, err := w.tx.ExecContext(ctx, `
		UPDATE memory_cards SET is_stale = 1
		WHERE +is_stale = 0 AND (entity_uri, tenant_id, scope) IN (
			SELECT CAST(unhex(value ->> 0) AS TEXT), CAST(unhex(value ->> 1) AS TEXT), CAST(unhex(value ->> 2) AS TEXT)
			FROM json_each($1))`, keys.String())
	return err
}

// collect runs a statement that returns the ids it wrote.
func collect(ctx context.Context, tx querier, written store.Written, query string, args ...any) error {
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return err
		}
		written[id] = true
	}
	return rows.Err()
}
