package sqlite

import (
	"context"

	"decayctl/internal/job"
	"decayctl/internal/store"
)

// findTriggers finds the triggers on the tables that an undo reads.
func (s *Store) findTriggers(ctx context.Context) (err error) {
	s.triggers.Names, err = s.strings(ctx, s.read, `
		SELECT name || ' on ' || tbl_name FROM sqlite_schema
		WHERE type = 'trigger' AND lower(tbl_name) IN ($1, $2, $3) ORDER BY 1`,
		store.UndoTables[0], store.UndoTables[1], store.UndoTables[2])
	return err
}

// noteOverrides reads the overrides before the batch, for findOwn.
func (w *writer) noteOverrides(ctx context.Context) (err error) {
	if len(w.triggers.Names) > 0 {
		w.overridesBefore, err = w.overrides(ctx)
	}
	return err
}

// findOwn finds the overrides that this transaction wrote, if there are triggers. A trigger may have changed the columns by
// which an override is recognised, or have written it in place of the statement. An override that is not found is neither
// verified nor counted.
func (w *writer) findOwn(ctx context.Context) error {
	if len(w.triggers.Names) == 0 {
		return nil
	}
	now, err := w.overrides(ctx)
	byID := store.NewByID(w.batch.Unwritten())
	for id, override := range now {
		if override != w.overridesBefore[id] {
			byID.MarkWritten(id)
		}
	}
	return err
}

// overrides reads the overrides of the batch's facts, each as one text.
func (w *writer) overrides(ctx context.Context) (map[string]string, error) {
	all, found := packFacts(w.batch.All()), map[string]string{}
	var id, override string
	return found, onRows(ctx, w.tx)(`
		SELECT fact_id, quote(valid_until) || ' ' || quote(confidence) || ' ' || quote(reason) || ' ' || quote(updated_at) || ' ' || quote(updated_by)
		FROM fact_validity_overrides WHERE fact_id IN (`+all.sql+`)`, []any{all.json}, []any{&id, &override}, func() error {
		found[id] = override
		return nil
	})
}

// verify checks that an undo will find what was written; see store.Triggers.Verify.
func (w *writer) verify(ctx context.Context) error {
	return w.triggers.Verify(w.batch, w.verified, func(v *store.Verified, _, ended []*store.Expiry) error {
		at := w.batch.Range()
		for p, more := (store.ChangesParams{Job: w.batch.Job, After: at.After}), "-"; more != ""; p.After = store.After(more) {
			var found []job.Change
			var err error
			if found, more, err = w.changes(ctx, w.tx, p, at.Last.ID); err != nil {
				return err
			}
			v.Found = append(v.Found, found...)
		}
		list := packFacts(ended)
		return w.tx.QueryRowContext(ctx, "SELECT count(*) FROM entity_edges WHERE id IN ("+list.sql+") AND valid_until = $2 AND decay_epoch = $3",
			list.json, w.asOf, w.batch.AsOf.UnixMilli()).Scan(&v.Edges)
	}, w.note)
}
