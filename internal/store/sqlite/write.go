package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
	"time"

	"decayctl/internal/fact"
	"decayctl/internal/store"
)

// Apply writes one batch, and with it the claim that it was read under and the job's counts.
func (s *Store) Apply(ctx context.Context, b store.Batch) (store.Applied, error) {
	w := writer{Store: s, batch: b, asOf: fact.FormatInstant(b.AsOf), stamp: fact.FormatSecond(b.Stamp)}
	w.wary = s.wary.Add(-1) >= 0 || !s.keyed
	applied, err := w.apply(ctx)
	if errors.Is(err, errEdgesDiffer) {
		s.wary.Store(waryFor)
		again := writer{Store: s, batch: b, asOf: w.asOf, stamp: w.stamp, wary: true, locked: w.locked}
		applied, err = again.apply(ctx)
	}
	return applied, s.translate(err, "write a batch")
}

func (w *writer) apply(ctx context.Context) (applied store.Applied, err error) {
	s := w.Store
	w.batch = w.batch.CloneForAttempt()
	b := w.batch
	err = s.within(ctx, func(tx querier) error {
		w.tx = tx
		if w.locked.IsZero() {
			w.locked = s.params.Now()
		}
		w.mark = store.Mark(s.mark.Load())
		w.undisturbed = w.mark == b.Mark
		if err := s.LockClaim(ctx, jobTx{tx}, &w.batch); err != nil {
			return err
		}
		var steps []func(context.Context) error
		if len(b.Expiries) > 0 {
			defer w.findCards()()
			steps = append(steps, w.findEdges, w.noteOverrides, w.insertOverrides, w.updateOverrides, w.findOwn, w.retract, w.expireEdges)
			if s.vec {
				steps = append(steps, w.deleteVectors)
			}
			steps = append(steps, w.staleCards, w.verify)
		}
		for _, step := range steps {
			if err := step(ctx); err != nil {
				return err
			}
		}
		var err error
		applied.Counts, err = s.Settle(ctx, jobTx{tx}, &w.batch, w.locked)
		return err
	})
	if err != nil {
		return store.Applied{}, err
	}
	applied.Changed, applied.Locked = b.Changed(), s.params.Now().Sub(w.locked)
	s.cards.remove(w.filled, w.staled)
	s.checkpoint(ctx)
	s.readFreshCards(ctx, w.mark)
	return applied, nil
}

// writer is one batch on its way into one transaction.
type writer struct {
	*Store
	tx     querier
	locked time.Time // since when, an attempt before this one included
	batch  store.Batch
	asOf   string
	stamp  string

	mark        store.Mark // of the store as the transaction found it
	undisturbed bool       // nobody else has written since the batch was read
	wary        bool       // no edge is taken to be as the node made it
	asMade      []*store.Expiry
	found       chan struct{}     // closed once the next two are known, see cardFilter.maybe
	earlier     map[string]string // overrides by their facts before the batch, where triggers are
	verified    store.Verified    // what the statements told
	places      []int
	filled      int
	staled      []store.Card // cards that were fresh before the batch
}

// insertOverrides writes the facts that had no override row. A row that has appeared meanwhile
// stays as it is: ON CONFLICT DO UPDATE could not tell a rejection committed since from nothing.
func (w *writer) insertOverrides(ctx context.Context) error {
	for _, group := range store.GroupByOverride(w.batch.WithoutOverride(), w.asOf) {
		if err := w.insertGroup(ctx, group); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) insertGroup(ctx context.Context, group store.OverrideGroup) error {
	ids := packFacts(group.List)
	rows, id, confidence := ids, "b.id", "NULL"
	if group.SetsConfidence {
		facts := packWithConfidence(group.List)
		rows, id, confidence = facts.idList, facts.behindBar(), "CAST("+facts.beforeBar()+" AS REAL)"
	}
	guarded := `(SELECT f.id, ` + confidence + ` AS confidence FROM (` + rows.sql + `) b CROSS JOIN facts f ON f.id = ` + id + `
		WHERE NOT (` + heldSQL + `) AND NOT (` + pendingSQL + `))`
	if w.undisturbed { // the guard would see what the read saw, fact by fact, for most of the time
		guarded = `(SELECT ` + id + ` AS id, ` + confidence + ` AS confidence FROM (` + rows.sql + `) b)`
	}
	result, err := w.tx.ExecContext(ctx, `
		INSERT INTO fact_validity_overrides (fact_id, valid_until, confidence, reason, updated_at, updated_by)
		SELECT id, $2, confidence, $3, $4, $5 FROM `+guarded+` WHERE true
		ON CONFLICT (fact_id) DO NOTHING`, rows.json, group.ValidUntil, group.Reason, w.stamp, store.Actor)
	if err != nil {
		return err
	}
	n, err := result.RowsAffected()
	w.verified.Rows += n
	if err == nil && group.Inserted(n) {
		return nil
	}
	// Which of them is seldom asked, and RETURNING would tell it row by row every time. No other job has
	// this stamp, and this one handles a fact once. Where triggers change it, findOwn finds them.
	return errors.Join(err, collect(ctx, w.tx, store.NewByID(group.List).Wrote, `
		SELECT fact_id FROM fact_validity_overrides
		WHERE fact_id IN (`+ids.sql+`) AND valid_until IS $2 AND reason = $3 AND updated_at = $4 AND updated_by = $5`,
		ids.json, group.ValidUntil, group.Reason, w.stamp, store.Actor))
}

// packWithConfidence makes a list of facts with the confidence of each in front of its id.
func packWithConfidence(expiries []*store.Expiry) headed {
	return packHeaded(expiries, func(e *store.Expiry) string { return strconv.FormatFloat(*e.Confidence, 'g', -1, 64) })
}

// updateOverrides writes the facts that had an override row, while every column of it still is
// what was read. Its confidence is kept, unless a policy lowers it: a rejected fact stays rejected. A
// statement for each is cheap, and bound values compare exactly.
func (w *writer) updateOverrides(ctx context.Context) error {
	guard := `AND EXISTS (SELECT 1 FROM facts f WHERE f.id = o.fact_id AND NOT (` + heldSQL + `) AND NOT (` + pendingSQL + `))`
	if w.undisturbed { // as for new ones
		guard = ""
	}
	return execEach(ctx, w.tx, `
		UPDATE fact_validity_overrides AS o
		SET valid_until = $1, confidence = $2, reason = $3, updated_at = $4, updated_by = $5
		WHERE o.fact_id = $6 AND o.valid_until IS $7 AND o.confidence IS $8 AND o.reason IS $9
		  AND o.updated_at IS $10 AND o.updated_by IS $11 `+guard, w.batch.Overridden(), func(e *store.Expiry) []any {
		o, becomes := e.Fact.Override, e.After(w.asOf, w.stamp)
		return []any{
			becomes.ValidUntil, becomes.Confidence, becomes.Reason, w.stamp, store.Actor,
			e.Fact.ID, o.ValidUntil, o.Confidence, o.Reason, o.UpdatedAt, o.UpdatedBy,
		}
	}, func(e *store.Expiry) {
		e.Written = true
		w.verified.Rows++
	})
}

// retract logs the facts that a floor expired, once for each expiry: a sweep repeated at the same
// as-of, after its override was taken back, finds its row there already.
func (w *writer) retract(ctx context.Context) error {
	retracted := w.batch.Retracted()
	if len(retracted) == 0 {
		return nil
	}
	first := make([]*store.Expiry, 0, len(retracted))
	for _, e := range retracted {
		earlier := e.SweptAt()
		if earlier == "" {
			first = append(first, e)
			continue
		}
		// Few: facts that an earlier sweep has expired, and somebody has brought back.
		added, err := w.tx.ExecContext(ctx, `
			INSERT INTO fact_retractions (id, fact_id, retracted_at, retracted_by)
			SELECT $1, $2, $3, $4
			WHERE NOT EXISTS (SELECT 1 FROM fact_retractions r WHERE r.fact_id = $2 AND r.retracted_at IN ($3, $5))`,
			e.Retraction, e.Fact.ID, w.asOf, store.Actor, earlier)
		if err := w.addLogged(added, err); err != nil {
			return err
		}
	}
	logged, err := w.loggedAtAsOf(ctx)
	if err != nil {
		return err
	}
	unless := "true" // to look each up is a sixth of what writing it takes
	if logged {
		unless = "NOT EXISTS (SELECT 1 FROM fact_retractions r WHERE r.fact_id = b.fact_id AND r.retracted_at = $2)"
	}
	ids := packHeaded(first, func(e *store.Expiry) string { return e.Retraction })
	added, err := w.tx.ExecContext(ctx, `
		INSERT INTO fact_retractions (id, fact_id, retracted_at, retracted_by)
		SELECT b.id, b.fact_id, $2, $3
		FROM (SELECT `+ids.beforeBar()+` AS id, `+ids.behindBar()+` AS fact_id FROM (`+ids.sql+`) b) b
		WHERE `+unless, ids.json, w.asOf, store.Actor)
	return w.addLogged(added, err)
}

func (w *writer) addLogged(added sql.Result, err error) error {
	if err != nil {
		return err
	}
	n, err := added.RowsAffected()
	w.verified.Logged += n
	return err
}

// loggedAtAsOf tells whether the log has a retraction at the job's as-of of any fact in the batch's range.
// The plus keeps the index on the instant out of it: the rows of all batches before have the same.
func (w *writer) loggedAtAsOf(ctx context.Context) (logged bool, err error) {
	var args store.Args
	err = w.tx.QueryRowContext(ctx, `
		SELECT EXISTS (SELECT 1 FROM fact_retractions r WHERE `+within(w.batch.Range(), "r.fact_id", args.Add)+`
			AND +r.retracted_at = `+args.Add(w.asOf)+`)`, args...).Scan(&logged)
	return logged, err
}

// keepBeforeImages writes before-images. They are few: most facts had no override, and an edge as the node made it.
// One that is there already is older, and what an undo is to give back.
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

// deleteVectors: semantic recall tests no expiry, so a vector that stays keeps the fact in it. One
// statement for each fact, since vec0 answers IN by reading every vector there is.
func (w *writer) deleteVectors(ctx context.Context) error {
	return execEach(ctx, w.tx, `DELETE FROM vec_facts WHERE fact_id = $1`, w.batch.Forgotten(), func(e *store.Expiry) []any {
		return []any{e.Fact.ID}
	}, nil)
}

// execEach runs a statement for each of some values. Those for which it writes one row are handed to wrote, if that is not nil.
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

// collect runs a statement that returns ids.
func collect(ctx context.Context, tx querier, add func(id string), query string, args ...any) error {
	var id string
	return onRows(ctx, tx)(query, args, []any{&id}, func() error {
		add(id)
		return nil
	})
}
