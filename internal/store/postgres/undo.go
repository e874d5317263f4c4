package postgres

import (
	"context"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"decayctl/internal/fact"
	"decayctl/internal/job"
	"decayctl/internal/store"
)

// overrideArrays is overrides column by column, as arguments of one statement.
type overrideArrays struct {
	validUntil, reason, updatedBy []*string
	updatedAt                     []string
	confidence                    []*float32
}

func (a *overrideArrays) add(o fact.Override) {
	a.validUntil, a.reason, a.updatedBy = append(a.validUntil, o.ValidUntil), append(a.reason, o.Reason), append(a.updatedBy, o.UpdatedBy)
	a.updatedAt = append(a.updatedAt, o.UpdatedAt)
	a.confidence = append(a.confidence, toFloat4(o.Confidence))
}

func toFloat4(confidence *float64) *float32 {
	if confidence == nil {
		return nil
	}
	value := float32(*confidence)
	return &value
}

func boolInt(is bool) int32 {
	if is {
		return 1
	}
	return 0
}

// Changes bounds the range by the overrides of all writers: those of the job may be few among many. The first range is not read
// before all that was committed can be seen.
func (s *Store) Changes(ctx context.Context, p store.ChangesParams) (store.Changes, error) {
	var changes store.Changes
	var more string
	err := s.within(ctx, reading, func(tx pgx.Tx) error {
		if !s.layout.looksUp() {
			if err := s.layout.set(ctx, tx, "enable_seqscan = off"); err != nil {
				return err
			}
		}
		where, args := "", []any{p.Size}
		if p.After.Set {
			where, args = "WHERE fact_id > $2", append(args, p.After.ID)
		} else if err := s.layout.settled(ctx, tx); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `
			SELECT fact_id
			FROM (SELECT fact_id, sum(octet_length(fact_id)) OVER (ORDER BY fact_id ROWS UNBOUNDED PRECEDING) - octet_length(fact_id) AS before
				FROM (SELECT fact_id FROM `+s.table("fact_validity_overrides")+` `+where+` ORDER BY fact_id LIMIT $1) o) o
			WHERE before <= `+strconv.Itoa(store.MaxPartText)+` ORDER BY fact_id`, args...)
		if err != nil {
			return err
		}
		ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil || len(ids) == 0 {
			return err
		}
		changes.Last = store.After(ids[len(ids)-1])
		changes.List, more, err = s.changes(ctx, tx, p.Job, ids)
		return err
	})
	if more != "" { // the reading was cancelled after the rows that fit into memory
		changes.Last, err = store.After(more), nil
	}
	if err != nil {
		return store.Changes{}, s.translate(err, "read what the job changed")
	}
	return changes, nil
}

// changes reads which of some overrides are what a job wrote. If their text is too long, it stops: more is the id after which
// there are more changes, or "". Without LATERAL, the planner may read all retractions of the job.
func (s *Store) changes(ctx context.Context, tx pgx.Tx, j job.Job, ids []string) (list []job.Change, more string, err error) {
	ids, images, cut, err := s.beforeImages(ctx, tx, j.ID, ids)
	if err != nil {
		return nil, "", err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	// The concatenation keeps the index on retracted_at from being used, since all rows of the job have the same value.
	rows, err := tx.Query(ctx, `
		SELECT o.fact_id, o.valid_until, o.confidence, o.reason, o.updated_at, o.updated_by,
		       coalesce(b.had_override, 0) <> 0, b.valid_until, b.confidence, b.reason, b.updated_at, b.updated_by,
		       coalesce(b.had_edge, 0) <> 0, b.edge_valid_until, b.edge_decay_epoch, b.edge_confidence, coalesce(r.id, ''),
		       coalesce(f.id, ''), coalesce(f.timestamp, ''), f.valid_until, coalesce(f.confidence, 0)
		FROM `+s.table("fact_validity_overrides")+` o
		LEFT JOIN `+imageList(8)+` ON b.fact_id = o.fact_id
		LEFT JOIN LATERAL (
			SELECT r.id FROM `+s.table("fact_retractions")+` r
			WHERE r.fact_id = o.fact_id AND r.retracted_at || '' = $2 AND r.retracted_by = $5 AND right(r.id, 12) = $6 LIMIT 1) r ON true
		LEFT JOIN LATERAL (
			SELECT f.id, f.timestamp, f.valid_until, f.confidence FROM `+s.table("facts")+` f
			WHERE f.id = o.fact_id AND starts_with(o.reason, $7) LIMIT 1) f ON true
		WHERE o.fact_id = `+anyKey+`
		  AND o.updated_at = $4 AND o.updated_by = $5
		  AND (o.valid_until = $2 AND o.reason = $3 AND o.confidence IS NOT DISTINCT FROM b.confidence OR starts_with(o.reason, $7))
		ORDER BY o.fact_id`,
		append([]any{ids, fact.FormatInstant(j.AsOf), store.Reason, fact.FormatSecond(j.Stamp), store.Actor, j.Tag(), store.PolicyReason}, images.args()...)...)
	if err != nil {
		return nil, "", err
	}
	changes := store.ChangeList{Job: j}
	var row store.ChangeRow
	var baseConfidence float32
	var confidence, confidenceBefore, edgeWas *float32
	c := &row.Change
	_, err = pgx.ForEachRow(rows, []any{
		&c.FactID, &c.After.ValidUntil, &confidence, &c.After.Reason, &c.After.UpdatedAt, &c.After.UpdatedBy,
		&row.HadOverride, &row.Override.ValidUntil, &confidenceBefore, &row.Override.Reason, &row.UpdatedAt, &row.Override.UpdatedBy,
		&row.HadEdge, &row.Edge.ValidUntil, &row.Edge.DecayEpoch, &edgeWas, &c.Retraction,
		&row.Fact.ID, &row.Fact.Timestamp, &row.Fact.ValidUntil, &baseConfidence,
	}, func() error {
		c.After.Confidence, row.Override.Confidence, row.Edge.Confidence = fromFloat4(confidence), fromFloat4(confidenceBefore), fromFloat4(edgeWas)
		row.Fact.Confidence = shortest(baseConfidence)
		if changes.Add(row) && c.FactID != ids[len(ids)-1] {
			more = c.FactID
			stop() // else the driver would read all remaining rows before it closes them
			return context.Canceled
		}
		return nil
	})
	if err == nil {
		more = cut
	}
	return changes.List, more, err
}

// Restore locks in the same order as Apply: facts in the order of ids, the job's row last.
func (s *Store) Restore(ctx context.Context, p store.RestoreParams) (store.Restored, error) {
	var locked time.Time
	var counts job.Counts
	again := int64(0)
	err := s.withinBatch(ctx, func(tx pgx.Tx) error {
		locked = s.params.Now()
		p.Count.Retries += again
		again = 1
		if err := s.LockUndo(ctx, jobTx{tx}, p); err != nil {
			return err
		}
		r := restorer{Store: s, tx: tx, Restoration: store.NewRestoration(p)}
		err := s.runSteps(ctx, tx, locked, r.overrides, r.edges, r.retractions, r.vectors)
		if err != nil {
			return err
		}
		counts, err = s.RecordUndo(ctx, jobTx{tx}, p.Lease, r.Restoration)
		return err
	})
	if err != nil {
		return store.Restored{}, s.translate(err, "undo a batch")
	}
	return store.Restored{Counts: counts, Timing: store.Timing{Locked: s.params.Now().Sub(locked)}}, nil
}

// fromFloat4 is shortest for a confidence that may be NULL.
func fromFloat4(confidence *float32) *float64 {
	if confidence == nil {
		return nil
	}
	value := shortest(*confidence)
	return &value
}
