package sqlite

import (
	"context"
	"strconv"
	"time"

	"decayctl/internal/fact"
	"decayctl/internal/store"
)

// Apply implements store.Facts.
func (s *Store) Apply(ctx context.Context, b store.Batch) (store.Applied, error) {
	w := writer{Store: s, batch: b.CloneForAttempt(), asOf: fact.FormatInstant(b.AsOf), stamp: fact.FormatSecond(b.Stamp)}
	var applied store.Applied
	var locked, otherWroteAt time.Time
	if err := s.within(ctx, func(tx querier) error {
		w.tx, locked, otherWroteAt = tx, s.params.Now(), s.otherWroteAt
		if err := s.LockClaim(ctx, jobTx{tx}, &w.batch); err != nil {
			return err
		}
		if len(b.Expiries) > 0 {
			for _, step := range []func(context.Context) error{
				w.excludeProtected, w.readEdges, w.noteOverrides, w.insertOverrides, w.updateOverrides, w.findOwn,
				w.retract, w.expireEdges, w.deleteVectors, w.staleCards, w.verify,
			} {
				if err := step(ctx); err != nil {
					return err
				}
			}
		}
		var err error
		applied.Counts, err = s.RecordBatch(ctx, jobTx{tx}, &w.batch, locked)
		return err
	}); err != nil {
		return store.Applied{}, s.translate(err, "write a batch")
	}
	applied.Changed, applied.Timing = w.batch.Changed(), s.timing(locked, otherWroteAt)
	applied.AfterCommit = s.checkpoint(ctx)
	return applied, nil
}

// writer writes one batch in one transaction.
type writer struct {
	*Store
	tx    querier
	batch store.Batch
	asOf  string
	stamp string

	overridesBefore map[string]string // overrides before the batch by fact; only read if there are triggers
	verified        store.Verified    // numbers of rows that the statements wrote
}

// excludeProtected excludes the facts that a legal hold or a quarantine protects by now. The transaction has the write lock,
// so no other process can protect a fact before the COMMIT.
func (w *writer) excludeProtected(ctx context.Context) error {
	// For a few facts, looking their holds up takes less time under the write lock than reading very many tombstones.
	protections, err := w.loadProtections(ctx, w.tx, new(w.batch.Range()), min(len(w.batch.Expiries)+1_000, store.MaxTombstones))
	if err != nil {
		return err
	}
	if protections.Complete() {
		protections.ExcludeProtected(w.batch)
		return nil
	}
	all := w.batch.All()
	list := packFacts(all)
	return collect(ctx, w.tx, store.NewByID(all).MarkExcluded, `
		SELECT f.id FROM (`+list.sql+`) b CROSS JOIN facts f ON f.id = b.id WHERE `+heldSQL+` OR `+pendingSQL, list.json)
}

// insertOverrides inserts the overrides of facts that had none. If another process has inserted one since, that one stays:
// it may be a rejection.
func (w *writer) insertOverrides(ctx context.Context) error {
	for _, group := range store.GroupByOverride(w.batch.WithoutOverride(), w.asOf) {
		list, confidence := packFacts(group.List), "NULL"
		if group.SetsConfidence {
			list, confidence = pack([]string{"id", "confidence"}, len(group.List), func(i int) []string {
				e := group.List[i]
				return []string{e.ID, strconv.FormatFloat(*e.NewConfidence(), 'g', -1, 64)}
			}), "CAST(b.confidence AS REAL)"
		}
		n, err := jobTx{w.tx}.Exec(ctx, `
			INSERT INTO fact_validity_overrides (fact_id, valid_until, confidence, reason, updated_at, updated_by)
			SELECT b.id, $2, `+confidence+`, $3, $4, $5 FROM (`+list.sql+`) b WHERE true
			ON CONFLICT (fact_id) DO NOTHING`, list.json, group.ValidUntil, group.Reason, w.stamp, store.Actor)
		if err != nil {
			return err
		}
		w.verified.Rows += n
		if group.Inserted(n) {
			continue
		}
		// Some were not inserted. RETURNING would tell which, but slows every statement down. No other job has this stamp,
		// and a job writes a fact once. If triggers change an override, findOwn finds it.
		if err := collect(ctx, w.tx, store.NewByID(group.List).MarkWritten, `
			SELECT fact_id FROM fact_validity_overrides
			WHERE fact_id IN (SELECT b.id FROM (`+list.sql+`) b) AND valid_until IS $2 AND reason = $3 AND updated_at = $4 AND updated_by = $5`,
			list.json, group.ValidUntil, group.Reason, w.stamp, store.Actor); err != nil {
			return err
		}
	}
	return nil
}

// updateOverrides updates the overrides of which every column is what was read. It keeps the confidence, unless a policy
// reduces it: a rejected fact stays rejected. It runs a statement for each fact, since bound values compare exactly.
func (w *writer) updateOverrides(ctx context.Context) error {
	return execEach(ctx, w.tx, `
		UPDATE fact_validity_overrides
		SET valid_until = $1, confidence = $2, reason = $3, updated_at = $4, updated_by = $5
		WHERE fact_id = $6 AND valid_until IS $7 AND confidence IS $8 AND reason IS $9
		  AND updated_at IS $10 AND updated_by IS $11`, w.batch.Overridden(), func(e *store.Expiry) []any {
		o, becomes := e.Override(), e.After(w.asOf, w.stamp)
		return []any{
			becomes.ValidUntil, becomes.Confidence, becomes.Reason, w.stamp, store.Actor,
			e.ID, o.ValidUntil, o.Confidence, o.Reason, o.UpdatedAt, o.UpdatedBy,
		}
	}, func(e *store.Expiry) {
		e.Written = true
		w.verified.Rows++
	})
}

// retract logs the facts that a floor expired, once for each expiry. The log may already have a row: of a sweep with the
// same as-of whose override was removed, or of the sweep that wrote the fact's present expiry.
func (w *writer) retract(ctx context.Context) error {
	retracted := w.batch.Retracted()
	if len(retracted) == 0 {
		return nil
	}
	byEarlier := map[string][]*store.Expiry{} // most have no earlier expiry
	for _, e := range retracted {
		byEarlier[e.SweptAt()] = append(byEarlier[e.SweptAt()], e)
	}
	for earlier, group := range byEarlier {
		list := pack([]string{"id", "fact_id"}, len(group), func(i int) []string {
			return []string{group[i].Retraction, group[i].ID}
		})
		n, err := jobTx{w.tx}.Exec(ctx, `
			INSERT INTO fact_retractions (id, fact_id, retracted_at, retracted_by)
			SELECT b.id, b.fact_id, $2, $3 FROM (`+list.sql+`) b
			WHERE NOT EXISTS (SELECT 1 FROM fact_retractions r WHERE r.fact_id = b.fact_id AND r.retracted_at IN ($2, $4))`,
			list.json, w.asOf, store.Actor, earlier)
		if err != nil {
			return err
		}
		w.verified.Logged += n
	}
	return nil
}

// keepBeforeImages inserts before-images. They are few: most facts had no override, and an edge as the node makes it. If
// there is an older one, it stays: an undo has to restore the oldest.
func (w *writer) keepBeforeImages(ctx context.Context, images []store.BeforeImage) error {
	return execEach(ctx, w.tx, `
		INSERT INTO decayctl_before (job_id, fact_id, had_override, valid_until, confidence, reason, updated_at, updated_by,
			had_edge, edge_valid_until, edge_decay_epoch, edge_confidence)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
		ON CONFLICT (job_id, fact_id) DO NOTHING`, images, func(image store.BeforeImage) []any {
		args := []any{w.batch.Lease.JobID, image.FactID, 0, nil, nil, nil, nil, nil, 0, nil, nil, nil}
		if o := image.Override; o != nil {
			copy(args[2:], []any{1, o.ValidUntil, o.Confidence, o.Reason, o.UpdatedAt, o.UpdatedBy})
		}
		if image.Edge != nil {
			copy(args[8:], []any{1, image.Edge.ValidUntil, image.Edge.DecayEpoch, image.Edge.Confidence})
		}
		return args
	}, nil)
}

// deleteVectors deletes the vectors of expired facts: the node's semantic recall does not check expiries. It runs a
// statement for each fact, since vec0 reads all vectors for an IN.
func (w *writer) deleteVectors(ctx context.Context) error {
	if !w.vec {
		return nil
	}
	return execEach(ctx, w.tx, `DELETE FROM vec_facts WHERE fact_id = $1`, w.batch.LosingVectors(), func(e *store.Expiry) []any {
		return []any{e.ID}
	}, nil)
}

// staleCards marks the memory cards of expired facts as stale. Most facts have no card, or one that is stale already. If
// there are fewer fresh cards than expired facts, all fresh cards are read; otherwise the card of each fact is looked up.
func (w *writer) staleCards(ctx context.Context) error {
	cards := w.batch.Cards()
	expired := make(map[store.Card]bool, len(cards))
	for _, card := range cards {
		expired[card] = true
	}
	fresh := len(cards)
	if w.cardsByState {
		if err := w.tx.QueryRowContext(ctx, "SELECT count(*) FROM (SELECT 1 FROM memory_cards WHERE is_stale = 0 LIMIT $1)", len(cards)).Scan(&fresh); err != nil {
			return err
		}
	}
	where, args := "likelihood(is_stale = 0, 0.0001)", []any{} // the planner's statistics may expect many more
	if fresh == len(cards) {
		list := pack([]string{"entity"}, len(cards), func(i int) []string { return []string{cards[i].Entity} })
		where, args = "+is_stale = 0 AND entity_uri IN ("+list.sql+")", []any{list.json} // the plus leaves only the index on entity_uri
	}
	var stale []store.Card
	var card store.Card
	if err := onRows(ctx, w.tx)("SELECT entity_uri, tenant_id, scope FROM memory_cards WHERE "+where, args,
		[]any{&card.Entity, &card.Tenant, &card.Scope}, func() error {
			if expired[card] {
				stale = append(stale, card)
			}
			return nil
		}); err != nil {
		return err
	}
	return execEach(ctx, w.tx, "UPDATE memory_cards SET is_stale = 1 WHERE entity_uri = $1 AND tenant_id = $2 AND scope = $3", stale, func(c store.Card) []any {
		return []any{c.Entity, c.Tenant, c.Scope}
	}, nil)
}

// execEach runs a statement for each of some values. It calls wrote, unless that is nil, for each value for which the
// statement wrote one row.
func execEach[T any](ctx context.Context, tx querier, query string, of []T, args func(T) []any, wrote func(T)) error {
	if len(of) == 0 {
		return nil
	}
	statement, err := tx.PrepareContext(ctx, query)
	if err != nil {
		return err
	}
	defer func() { _ = statement.Close() }()
	for _, each := range of {
		result, err := statement.ExecContext(ctx, args(each)...)
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil {
			return err
		} else if n == 1 && wrote != nil {
			wrote(each)
		}
	}
	return nil
}

// collect runs a statement and calls add for each id that it returns.
func collect(ctx context.Context, tx querier, add func(id string), query string, args ...any) error {
	var id string
	return onRows(ctx, tx)(query, args, []any{&id}, func() error {
		add(id)
		return nil
	})
}
