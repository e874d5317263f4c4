package main

import (
	"context"
	"database/sql"
	"os/exec"
)

// database keeps filled stores and makes copies of them.
type database interface {
	// fill makes the store that is copied. facts is its size.
	fill(ctx context.Context, facts int) error
	// copied makes a copy. Each copy is synced to the disk and in memory, so that all contestants begin alike.
	copied(ctx context.Context) (target, error)
	// versions are the versions of the database, for the page.
	versions(ctx context.Context) (string, error)
	close() error
}

// target is one copy of a store.
type target interface {
	// store is its address, as --store takes it.
	store() string
	// shell is the command of the database's own shell that runs a script.
	shell(ctx context.Context, script string) *exec.Cmd
	// open connects to the copy.
	open() (*sql.DB, error)
	// begin, watch and end measure the growth of the write-ahead log, in bytes. They are called before, during and after.
	begin(ctx context.Context) error
	watch()
	end(ctx context.Context) (int64, error)
	remove() error
}

// tally counts the rows that a sweep left in a store.
type tally struct {
	Overrides, Confidences, Retractions, Edges, Cards int64
	Protected                                         int64 // overrides of facts that decayctl protects
}

// tallied counts the rows of the sweep of an instant, and the stale cards.
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
