package main

import (
	"context"
	"database/sql"
	"os/exec"
)

// database keeps filled stores and makes copies of them.
type database interface {
	// fill makes a store of this size to copy from.
	fill(ctx context.Context, facts int) error
	// copied is a new copy of it, as warm as every other: just written, and down to the disk.
	copied(ctx context.Context) (target, error)
	// versions say what runs here.
	versions(ctx context.Context) (string, error)
	close() error
}

// target is one copy of a store.
type target interface {
	// store is its address, for --store.
	store() string
	// shell is the database's own, told to run a script.
	shell(ctx context.Context, script string) *exec.Cmd
	// open connects to it.
	open() (*sql.DB, error)
	// begin, watch and end measure how far the log grows: before, during and after, in bytes.
	begin(ctx context.Context) error
	watch()
	end(ctx context.Context) (int64, error)
	remove() error
}

// tally is what a store holds of a sweep's work.
type tally struct {
	Overrides, Confidences, Retractions, Edges, Cards int64
	Protected                                         int64 // overrides of facts that decayctl protects
}

// tallied counts what was written at an instant, and the cards that are stale.
func tallied(ctx context.Context, t target, at instants) (n tally, err error) {
	db, err := t.open()
	if err != nil {
		return n, err
	}
	defer func() { _ = db.Close() }()
	err = db.QueryRowContext(ctx, `
		SELECT (SELECT count(*) FROM fact_validity_overrides WHERE valid_until = $1),
		       (SELECT count(*) FROM fact_validity_overrides WHERE valid_until = $1 AND confidence IS NOT NULL),
		       (SELECT count(*) FROM fact_retractions WHERE retracted_at = $1),
		       (SELECT count(*) FROM entity_edges WHERE valid_until = $1 AND decay_epoch IS NOT NULL),
		       (SELECT count(*) FROM memory_cards WHERE is_stale = 1),
		       (SELECT count(*) FROM fact_validity_overrides o JOIN facts f ON f.id = o.fact_id
		        WHERE o.valid_until = $1 AND (f.relation LIKE 'rel:%'
		           OR coalesce((SELECT quarantine_status FROM fact_quarantine_status q WHERE q.fact_id = f.id),
		                       f.quarantine_status, '') = 'pending'
		           OR EXISTS (
		                SELECT 1 FROM tombstones t
		                WHERE t.entity_uri = f.entity AND t.tenant_id = f.tenant_id AND t.legal_hold <> 0
		                  AND (t.scope = f.scope OR t.scope NOT IN ('local', 'team', 'company', 'public'))
		                  AND NOT EXISTS (SELECT 1 FROM tombstone_revocations r WHERE r.tombstone_id = t.id AND r.signed_by = t.signed_by))))`, at.asOf).
		Scan(&n.Overrides, &n.Confidences, &n.Retractions, &n.Edges, &n.Cards, &n.Protected)
	return n, err
}
