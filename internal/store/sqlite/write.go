package sqlite

import (
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"

	"decayctl/internal/fact"
	"decayctl/internal/store"
)

// Ids travel to SQLite in one JSON array and as hex digits: an id is any text, and JSON would
// change what is not UTF-8. That is far cheaper than a statement for each fact.
const idsSQL = `SELECT CAST(unhex(value) AS TEXT) AS id FROM json_each($1)`

// Apply writes one batch. The transaction begins with the write lock, so what its statements see
// stays true until COMMIT.
func (s *Store) Apply(ctx context.Context, b store.Batch) (store.Applied, error) {
	if s.write == nil {
		return store.Applied{}, store.ErrReadOnly
	}
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return store.Applied{}, s.translate(err, "write to the store")
	}
	defer func() { _ = tx.Rollback() }()
	locked := s.params.Now()
	mark, err := s.takeMark(ctx, tx)
	if err != nil {
		return store.Applied{}, s.translate(err, "write to the store")
	}
	w := writer{tx: tx, batch: b, written: store.Written{}, undisturbed: mark == b.Mark, asOf: fact.FormatInstant(b.AsOf), stamp: fact.FormatSecond(b.Stamp)}
	steps := []func(context.Context) error{w.insertOverrides, w.updateOverrides, w.retract, w.expireEdges}
	if s.vec {
		steps = append(steps, w.deleteVectors)
	}
	for _, step := range append(steps, w.staleCards) {
		if err = step(ctx); err != nil {
			break
		}
	}
	if err == nil {
		err = tx.Commit()
	}
	if err != nil && ctx.Err() != nil { // whatever the driver calls it, this is why
		return store.Applied{}, ctx.Err()
	}
	if err != nil {
		return store.Applied{}, s.translate(err, "write a batch")
	}
	applied := store.Applied{Changed: b.Changed(w.written), Locked: s.params.Now().Sub(locked)}
	s.checkpoint(ctx)
	return applied, nil
}

// takeMark notes the state of the file at the start of a write transaction. data_version moves with
// every commit of another connection, and not with this one's own: where it is what it was before a
// range was read, everything that was read still holds.
func (s *Store) takeMark(ctx context.Context, tx *sql.Tx) (store.Mark, error) {
	var version int64
	if err := tx.QueryRowContext(ctx, "PRAGMA data_version").Scan(&version); err != nil {
		return 0, err
	}
	mark := version + 1 // never 0, which tells nothing
	s.mark.Store(mark)
	return store.Mark(mark), nil
}

// checkpoint moves the log into the database without the write lock: other writers go on. The batch
// is committed by now, so nothing here is a failure of it; what a checkpoint leaves, the next one
// takes.
func (s *Store) checkpoint(ctx context.Context) {
	if s.wal {
		_, _ = s.write.ExecContext(ctx, "PRAGMA wal_checkpoint(PASSIVE)")
	}
}

// writer is one batch on its way into one transaction.
type writer struct {
	tx      *sql.Tx
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
	rows, err := w.tx.QueryContext(ctx, `
		INSERT INTO fact_validity_overrides (fact_id, valid_until, confidence, reason, updated_at, updated_by)
		SELECT id, $2, NULL, $3, $4, $5 FROM (`+guarded+`) WHERE true
		ON CONFLICT (fact_id) DO NOTHING
		RETURNING fact_id`, idArray(fresh), w.asOf, store.Reason, w.stamp, store.Actor)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return err
		}
		w.written[id] = true
	}
	return rows.Err()
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

// expireEdges stamps the edge that a fact made: graph traversal reads the edge alone.
func (w *writer) expireEdges(ctx context.Context) error {
	done := w.batch.Done(w.written)
	if len(done) == 0 {
		return nil
	}
	_, err := w.tx.ExecContext(ctx, `
		UPDATE entity_edges SET valid_until = $2, decay_epoch = $3 WHERE id IN (`+idsSQL+`)`,
		idArray(done), w.asOf, w.batch.AsOf.UnixMilli())
	return err
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

func idArray(expiries []store.Expiry) string {
	ids := jsonArray{}
	for _, e := range expiries {
		ids.hex(e.Fact.ID)
	}
	return ids.String()
}

// jsonArray grows a JSON array of hex strings, or of small arrays of them.
type jsonArray struct{ buf []byte }

func (a *jsonArray) String() string { return string(append(a.buf, ']')) }

func (a *jsonArray) next() {
	if len(a.buf) == 0 {
		a.buf = append(a.buf, '[')
	} else {
		a.buf = append(a.buf, ',')
	}
}

func (a *jsonArray) quoteHex(value string) {
	a.buf = append(a.buf, '"')
	a.buf = hex.AppendEncode(a.buf, []byte(value))
	a.buf = append(a.buf, '"')
}

func (a *jsonArray) hex(value string) {
	a.next()
	a.quoteHex(value)
}

func (a *jsonArray) hexes(values ...string) {
	a.next()
	for i, value := range values {
		a.buf = append(a.buf, "[,"[min(i, 1)])
		a.quoteHex(value)
	}
	a.buf = append(a.buf, ']')
}

// retraction is an id of ours, a fact's id, and a stamp that was read: any text, but one of another
// form is no stamp of a retraction.
func (a *jsonArray) retraction(id, factID, earlier string) {
	a.next()
	a.buf = append(a.buf, '[')
	a.quote(id)
	a.buf = append(a.buf, ',')
	a.quoteHex(factID)
	a.buf = append(a.buf, ',')
	a.quote(earlier)
	a.buf = append(a.buf, ']')
}

func (a *jsonArray) quote(value string) {
	quoted, _ := json.Marshal(value) //nolint:errchkjson // a string always marshals
	a.buf = append(a.buf, quoted...)
}
