package sqlite

import (
	"context"
	"time"

	"decayctl/internal/fact"
	"decayctl/internal/job"
	"decayctl/internal/store"
)

// Changes bounds the range by the overrides of all writers: those of the job may be few among many.
func (s *Store) Changes(ctx context.Context, p store.ChangesParams) (store.Changes, error) {
	var found store.Changes
	err := s.reading(ctx, func(tx querier) error {
		from, args := "fact_id >= ''", []any{p.Size}
		if p.After.Set {
			from, args = "fact_id > $2", append(args, p.After.ID)
		}
		var last *string
		if err := tx.QueryRowContext(ctx, `
			SELECT max(fact_id)
			FROM (SELECT fact_id FROM fact_validity_overrides WHERE `+from+` AND fact_id < x'' ORDER BY fact_id LIMIT $1)`,
			args...).Scan(&last); err != nil || last == nil {
			return err
		}
		found.Last = store.After(*last)
		var err error
		var more string
		if found.List, more, err = s.changes(ctx, tx, p, *last); more != "" {
			found.Last = store.After(more)
		}
		return err
	})
	if err != nil {
		return store.Changes{}, s.translate(err, "read the changes of the job")
	}
	return found, nil
}

// changes reads the changes of a job up to the override last. If their text is too long, it stops: more is the id after
// which there are more changes, or "".
func (s *Store) changes(ctx context.Context, tx querier, p store.ChangesParams, last string) (found []job.Change, more string, err error) {
	from := "o.fact_id >= ''"
	args := []any{p.Job.ID, last, fact.FormatInstant(p.Job.AsOf), fact.FormatSecond(p.Job.Stamp), store.Reason, store.Actor, p.Job.Tag(), store.PolicyReason + "*"}
	if p.After.Set {
		from, args = "o.fact_id > $9", append(args, p.After.ID)
	}
	edgeConfidence, err := s.edgeConfidence(ctx, tx)
	if err != nil {
		return nil, "", err
	}
	rows, err := tx.QueryContext(ctx, `
		SELECT o.fact_id, o.valid_until, o.confidence, o.reason, o.updated_at, o.updated_by,
			b.had_override IS 1, b.valid_until, b.confidence, b.reason, b.updated_at, b.updated_by,
			b.had_edge IS 1, b.edge_valid_until, b.edge_decay_epoch, `+edgeConfidence+`, f.timestamp, f.valid_until, f.confidence,
			(SELECT r.id FROM fact_retractions r
				WHERE r.fact_id = o.fact_id AND r.retracted_at = $3 AND r.retracted_by = $6 AND substr(r.id, -length($7)) = $7)
		FROM fact_validity_overrides o
		LEFT JOIN decayctl_before b ON b.job_id = $1 AND b.fact_id = o.fact_id
		LEFT JOIN facts f ON o.reason GLOB $8 AND f.id = o.fact_id
		WHERE `+from+` AND o.fact_id <= $2
		  AND o.updated_at = $4 AND o.updated_by = $6
		  AND (o.reason = $5 AND o.valid_until = $3 AND o.confidence IS b.confidence OR o.reason GLOB $8)
		ORDER BY o.fact_id`, args...)
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = rows.Close() }()
	list := store.ChangeList{Job: p.Job}
	for more == "" && rows.Next() {
		var r store.ChangeRow
		var retraction, timestamp *string
		var confidence *float64
		c := &r.Change
		if err := rows.Scan(&c.FactID, &c.After.ValidUntil, &c.After.Confidence, &c.After.Reason, &c.After.UpdatedAt, &c.After.UpdatedBy,
			&r.HadOverride, &r.Override.ValidUntil, &r.Override.Confidence, &r.Override.Reason, &r.UpdatedAt, &r.Override.UpdatedBy,
			&r.HadEdge, &r.Edge.ValidUntil, &r.Edge.DecayEpoch, &r.Edge.Confidence, &timestamp, &r.Fact.ValidUntil, &confidence, &retraction); err != nil {
			return nil, "", err
		}
		c.Retraction, r.Fact.Timestamp = text(retraction), text(timestamp)
		if confidence != nil {
			r.Fact.Confidence = *confidence
		}
		if list.Add(r) {
			more = c.FactID
		}
	}
	return list.List, more, rows.Err()
}

// edgeConfidence is the column with the confidence of edges before the job. Tables that an older decayctl made do not have
// it until this version writes to the store.
func (s *Store) edgeConfidence(ctx context.Context, tx querier) (column string, err error) {
	var there bool
	err = tx.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM pragma_table_info('decayctl_before') WHERE name = 'edge_confidence')").Scan(&there)
	if there {
		return "b.edge_confidence", err
	}
	return "NULL", err
}

// Restore implements store.Facts.
func (s *Store) Restore(ctx context.Context, p store.RestoreParams) (store.Restored, error) {
	var done store.Restored
	var locked, otherWroteAt time.Time
	err := s.within(ctx, func(tx querier) error {
		locked, otherWroteAt = s.params.Now(), s.otherWroteAt
		if err := s.LockUndo(ctx, jobTx{tx}, p); err != nil {
			return err
		}
		r := restorer{Store: s, tx: tx, Restoration: store.NewRestoration(p)}
		for _, step := range []func(context.Context) error{r.overrides, r.edges, r.retractions, r.vectors} {
			if err := step(ctx); err != nil {
				return err
			}
		}
		var err error
		done.Counts, err = s.RecordUndo(ctx, jobTx{tx}, p.Lease, r.Restoration)
		return err
	})
	if err != nil {
		return store.Restored{}, s.translate(err, "undo a batch")
	}
	done.Timing = s.timing(locked, otherWroteAt)
	done.AfterCommit = s.checkpoint(ctx)
	return done, nil
}

func text(value *string) string {
	if value == nil {
		return ""
	}
	return *value
}

// restorer writes one batch of an undo in one transaction.
type restorer struct {
	*Store
	store.Restoration
	tx querier
}

// overrides deletes or restores the overrides of which every column is what the job wrote. There are few to restore; see
// updateOverrides.
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

// edges restores the edges that are what the job wrote.
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

// restoreEdgeConfidences restores the edges whose confidence the job changed, if they are what the job wrote.
func (r *restorer) restoreEdgeConfidences(ctx context.Context, of []store.RestoredEdge) error {
	return execEach(ctx, r.tx, `
		UPDATE entity_edges AS e
		SET valid_until = CASE WHEN $2 THEN e.valid_until WHEN $3 THEN f.valid_until ELSE $4 END,
		    decay_epoch = $5, confidence = CASE WHEN $3 THEN f.confidence ELSE coalesce($6, e.confidence) END
		FROM facts f
		WHERE e.id = $1 AND f.id = e.id AND e.decay_epoch = $7 AND e.confidence = $8 AND ($2 OR e.valid_until = $9)`,
		of, func(e store.RestoredEdge) []any {
			return []any{e.ID, e.KeepsExpiry, e.Plain, e.Was.ValidUntil, e.Was.DecayEpoch, e.Was.Confidence, r.Epoch, e.Gave, r.AsOf}
		}, nil)
}

// retractions deletes the rows that the job added to the retraction log.
func (r *restorer) retractions(ctx context.Context) error {
	made := r.Retractions()
	if len(made) == 0 {
		return nil
	}
	ids := packIDs(made)
	_, err := r.tx.ExecContext(ctx, `DELETE FROM fact_retractions WHERE id IN (`+ids.sql+`)`, ids.json)
	return err
}

// vectors asks the node to make the vectors again that the job deleted.
func (r *restorer) vectors(ctx context.Context) error {
	facts := r.LostVectors()
	if !r.backfill || len(facts) == 0 {
		return nil
	}
	ids := packIDs(facts)
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
