package sqlite

import (
	"context"
	"time"

	"decayctl/internal/fact"
	"decayctl/internal/job"
	"decayctl/internal/store"
)

// Changes reads what a job did to the facts of a key range. The range is bounded by the overrides that
// are there, whoever wrote them: a job's own may be few among many.
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

// changes reads as many as are kept in memory, and tells behind which of them there are more; "" is none.
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

// edgeConfidence is where the confidence of edges is kept: nowhere, in tables of an older decayctl that
// nothing has been written to since.
func (s *Store) edgeConfidence(ctx context.Context, tx querier) (column string, err error) {
	var there bool
	err = tx.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM pragma_table_info('decayctl_before') WHERE name = 'edge_confidence')").Scan(&there)
	if there {
		return "b.edge_confidence", err
	}
	return "NULL", err
}

// Restore undoes changes in one transaction.
func (s *Store) Restore(ctx context.Context, p store.RestoreParams) (store.Restored, error) {
	var done store.Restored
	var locked time.Time
	err := s.within(ctx, func(tx querier) error {
		locked = s.params.Now()
		if err := s.LockUndo(ctx, jobTx{tx}, p.Lease); err != nil {
			return err
		}
		r := restorer{Store: s, tx: tx, Restoration: store.NewRestoration(p)}
		for _, step := range []func(context.Context) error{r.overrides, r.edges, r.retractions, r.vectors} {
			if err := step(ctx); err != nil {
				return err
			}
		}
		var err error
		done.Counts, err = s.SettleUndo(ctx, jobTx{tx}, p.Lease, r.Restoration)
		return err
	})
	if err != nil {
		return store.Restored{}, s.translate(err, "undo a batch")
	}
	done.Timing = s.timing(locked)
	done.After = s.checkpoint(ctx)
	return done, nil
}

func text(value *string) string {
	if value == nil {
		return ""
	}
	return *value
}
