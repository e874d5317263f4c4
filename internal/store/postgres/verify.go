package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"decayctl/internal/store"
)

// findTriggers finds the triggers and rules on the tables that an undo reads, and on their partitions.
func (s *Store) findTriggers(ctx context.Context, tx pgx.Tx) error {
	rows, err := tx.Query(ctx, withRelations+`
		SELECT t.tgname || ' on ' || r.root_name
		FROM relation r JOIN pg_catalog.pg_trigger t ON t.tgrelid = r.oid AND NOT t.tgisinternal AND t.tgenabled <> 'D'
		UNION
		SELECT w.rulename || ' on ' || r.root_name
		FROM relation r JOIN pg_catalog.pg_rewrite w ON w.ev_class = r.oid AND w.ev_enabled <> 'D'
		ORDER BY 1`, s.schema, store.UndoTables)
	if err != nil {
		return err
	}
	s.triggers.Names, err = pgx.CollectRows(rows, pgx.RowTo[string])
	return err
}

// findOwn finds the overrides that this transaction wrote, if there are triggers. A trigger or rule may have changed the
// columns by which an override is recognised, or have written it in place of the statement. An override that is not found is
// neither verified nor counted.
func (w *writer) findOwn(ctx context.Context) error {
	if len(w.triggers.Names) == 0 {
		return nil
	}
	unwritten := w.batch.Unwritten()
	if len(unwritten) == 0 {
		return nil
	}
	// Of the rows that a statement sees, only those of its own transaction are in progress. A savepoint has its own id, later
	// than that of the transaction. xmin is the lower half of an id.
	_, err := collect(ctx, w.tx, store.NewByID(unwritten).MarkWritten, `
		SELECT o.fact_id
		FROM (
			SELECT fact_id, (xmin::text::bigint - txid_current()) & 4294967295 AS later
			FROM `+w.table("fact_validity_overrides")+`
			WHERE fact_id = `+anyKey+`) o
		WHERE CASE WHEN o.later < 2147483648 THEN txid_status(txid_current() + o.later) = 'in progress' END`,
		idArray(unwritten))
	return err
}

// verify checks that an undo will find what was written; see store.Triggers.Verify. It runs deferred triggers first.
func (w *writer) verify(ctx context.Context) error {
	return w.triggers.Verify(w.batch, w.verified, func(v *store.Verified, done, ended []*store.Expiry) error {
		if _, err := w.tx.Exec(ctx, "SET CONSTRAINTS ALL IMMEDIATE"); err != nil {
			return err
		}
		for rest := done; len(rest) > 0; {
			n := readable(rest)
			found, _, err := w.changes(ctx, w.tx, w.batch.Job, idArray(rest[:n]))
			if err != nil {
				return err
			}
			v.Found, rest = append(v.Found, found...), rest[n:]
		}
		return w.tx.QueryRow(ctx, `
			SELECT count(*) FROM `+w.table("entity_edges")+` WHERE id = `+anyKey+` AND valid_until = $2 AND decay_epoch = $3`,
			idArray(ended), w.asOf, w.batch.AsOf.UnixMilli()).Scan(&v.Edges)
	}, w.note)
}

// readable is how many changes can be read at once. With more text, changes would cancel the reading, and so the transaction.
func readable(of []*store.Expiry) (n int) {
	const others = 1_000 // bytes of text of a change without its id and the override before
	for text := 0; n < len(of); n++ {
		if text += len(of[n].ID) + of[n].Override().Text() + others; text > store.MaxPartText && n > 0 {
			break
		}
	}
	return n
}
