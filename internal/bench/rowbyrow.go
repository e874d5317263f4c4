package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"decayctl/internal/fact"
	"decayctl/internal/store"
	"decayctl/internal/store/sample"

	"github.com/google/uuid"
)

// rowByRowChild is the process that sweeps as the node does.
const rowByRowChild = "row-by-row-child"

// rowByRowReport is what the process prints, as JSON.
type rowByRowReport struct {
	Decayed int64
	Locked  time.Duration // from its first write to the end of its transaction
}

// rowByRow sweeps as the node does. It reads the ids of each rule into memory. Then one transaction writes fact by fact
// and table by table, one statement each. It has the node's protections only, and like the node it sets the confidence of
// an override to NULL. Arguments: kind of store, address, as-of.
func rowByRow(ctx context.Context, args []string, w io.Writer) error {
	if len(args) != 3 {
		return fmt.Errorf("%s takes 3 arguments", rowByRowChild)
	}
	asOf, err := fact.ParseInstant(args[2])
	if err != nil {
		return err
	}
	db, err := openAsNode(args[0], args[1])
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	db.SetMaxOpenConns(1)
	report, err := nodeSweep(ctx, db, args[0], asOf)
	if err != nil {
		return err
	}
	return json.NewEncoder(w).Encode(report)
}

// openAsNode opens a store with the node's settings: foreign keys, and on SQLite a busy timeout of 5 s.
func openAsNode(kind, address string) (*sql.DB, error) {
	if kind == sqliteStore {
		return sample.OpenSQLite(address)
	}
	return openPostgres(address)
}

const (
	nodeExempt = `((f.entity LIKE 'stigmem:%' AND f.entity NOT LIKE 'stigmem://%')
		OR (f.relation LIKE 'stigmem:%' AND f.relation NOT LIKE 'stigmem://%'))`
	nodeFacts = `SELECT f.id FROM facts f LEFT JOIN fact_validity_overrides o ON o.fact_id = f.id `
	nodeOld   = nodeFacts + `WHERE f.timestamp <= $1 AND coalesce(o.valid_until, f.valid_until) IS NULL AND NOT ` + nodeExempt
	nodeWeak  = nodeFacts + `WHERE coalesce(o.confidence, f.confidence) < ` + floor + ` AND coalesce(o.confidence, f.confidence) > 0.0
		AND (coalesce(o.valid_until, f.valid_until) IS NULL OR coalesce(o.valid_until, f.valid_until) > $1) AND NOT ` + nodeExempt
)

func nodeSweep(ctx context.Context, db *sql.DB, kind string, asOf time.Time) (report rowByRowReport, err error) {
	at := instantsOf(asOf)
	// Python's SQLite driver begins a transaction at the first write, its PostgreSQL driver at the first statement.
	var read querier = db
	var tx *sql.Tx
	begin := func() (err error) {
		tx, err = db.BeginTx(ctx, nil)
		return err
	}
	if kind == postgresStore {
		if err := begin(); err != nil {
			return report, err
		}
		read = tx
	}
	old, err := ids(ctx, read, nodeOld, at.cutoff)
	if err != nil {
		return report, err
	}
	weak, err := ids(ctx, read, nodeWeak, at.asOf)
	if err != nil {
		return report, err
	}
	stale := map[string]bool{}
	for _, found := range [][]string{old, weak} {
		for _, id := range found {
			stale[id] = true
		}
	}
	report.Decayed = int64(len(stale))
	if kind == sqliteStore {
		if err := begin(); err != nil {
			return report, err
		}
	}
	defer func() { _ = tx.Rollback() }()
	begun := time.Now()
	write := writes{ctx: ctx, tx: tx, prepares: kind == sqliteStore}
	write.begin(`
		INSERT INTO fact_validity_overrides (fact_id, valid_until, confidence, reason, updated_at, updated_by)
		VALUES ($1, $2, NULL, $3, $4, $5)
		ON CONFLICT (fact_id) DO UPDATE SET valid_until = excluded.valid_until, confidence = excluded.confidence,
			reason = excluded.reason, updated_at = excluded.updated_at, updated_by = excluded.updated_by`)
	for id := range stale {
		write.exec(id, at.asOf, store.Reason, at.stamp, store.Actor)
	}
	write.begin(`INSERT INTO fact_retractions (id, fact_id, retracted_at, retracted_by) VALUES ($1, $2, $3, $4)`)
	for _, id := range weak {
		write.exec(uuid.NewString(), id, at.asOf, store.Actor)
	}
	write.begin(`UPDATE entity_edges SET valid_until = $1, decay_epoch = $2 WHERE id = $3`)
	for id := range stale {
		write.exec(at.asOf, asOf.UnixMilli(), id)
	}
	if write.err != nil {
		return report, write.err
	}
	if err := tx.Commit(); err != nil {
		return report, err
	}
	report.Locked = time.Since(begun)
	return report, nil
}

// querier reads, in a transaction or without one.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

func ids(ctx context.Context, q querier, query, argument string) (found []string, err error) {
	rows, err := q.QueryContext(ctx, query, argument)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		found = append(found, id)
	}
	return found, rows.Err()
}

// writes runs statements one by one. After the first error it runs none.
type writes struct {
	ctx      context.Context
	tx       *sql.Tx
	prepares bool // Python's SQLite driver keeps compiled statements, its PostgreSQL driver sends text
	query    string
	compiled *sql.Stmt
	err      error
}

// begin sets the statement to run next.
func (w *writes) begin(query string) {
	w.query = query
	if w.err == nil && w.prepares {
		w.compiled, w.err = w.tx.PrepareContext(w.ctx, query)
	}
}

func (w *writes) exec(args ...any) {
	switch {
	case w.err != nil:
	case w.prepares:
		_, w.err = w.compiled.ExecContext(w.ctx, args...)
	default:
		_, w.err = w.tx.ExecContext(w.ctx, w.query, args...)
	}
}
