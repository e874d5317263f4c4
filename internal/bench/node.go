package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"decayctl/internal/interop/nodeproc"
)

// withoutCIDs makes the facts of a sample such as the node tells: the sample has made-up content ids, and the
// node refuses to tell a fact whose id does not match it. The node keeps others from updating facts by a trigger.
func withoutCIDs(ctx context.Context, db *sql.DB) error {
	var trigger string
	if err := db.QueryRowContext(ctx, "SELECT sql FROM sqlite_schema WHERE name = 'facts_no_update'").Scan(&trigger); err != nil {
		return err
	}
	_, err := db.ExecContext(ctx, "BEGIN; DROP TRIGGER facts_no_update; UPDATE facts SET cid = NULL; "+trigger+"; COMMIT")
	return err
}

// newNodeStores is for stores that a node's own migrations made.
func newNodeStores(installed nodeproc.Installation, plain *sqliteDatabase) *sqliteDatabase {
	stores := *plain
	stores.kind, stores.adapt = "node-"+nodeproc.Newest, withoutCIDs
	stores.create = func(_ context.Context, path string) error {
		n, err := startNode(installed, path)
		if err != nil {
			return err
		}
		return n.stop()
	}
	return &stores
}

// node is a node on a SQLite file.
type node struct {
	*nodeproc.Node
	folder string
}

// startNode starts the newest node on a file, with its own defaults but for quotas and keys. It answers a
// sweep itself instead of by a job, however many facts there are.
func startNode(installed nodeproc.Installation, path string) (*node, error) {
	folder, err := os.MkdirTemp(filepath.Dir(path), "node-")
	if err != nil {
		return nil, err
	}
	running, err := installed.Start(nodeproc.Newest, folder, nodeproc.NoAuth, "STIGMEM_ASYNC_JOB_THRESHOLD=1000000000",
		"STIGMEM_STORAGE_BACKEND=sqlite", "STIGMEM_DB_PATH="+path)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(folder))
	}
	return &node{running, folder}, nil
}

func (n *node) stop() error { return errors.Join(n.Stop(), os.RemoveAll(n.folder)) }

// sweep has the node sweep its tenant default by the rules of every sweep here. It judges by the present, to
// which the age is stretched.
func (n *node) sweep(ctx context.Context, t target) (one measurement, err error) {
	query := url.Values{"min_confidence": {floor}}
	var status int
	var answer map[string]any
	one.cost, err = observed(ctx, t, func() (int, error) {
		query.Set("ttl_seconds", strconv.Itoa(int((time.Since(asOf)+ttl)/time.Second)))
		return n.PID(), nil
	}, func() (err error) {
		status, answer, err = nodeproc.Client{URL: n.URL}.Ask(ctx, http.MethodPost, "/v1/decay/sweep", query, nil)
		return err
	})
	if err != nil {
		return one, err
	}
	decayed, ok := answer["decayed"].(float64)
	if status != http.StatusOK || !ok {
		return one, fmt.Errorf("the node's own sweep: status %d, %v: %s", status, answer, n.Log())
	}
	one.decayed = int64(decayed)
	return one, nil
}

// sweptAt is the as-of of the node's own sweep, the latest in the store.
func sweptAt(ctx context.Context, t target) (at instants, err error) {
	db, err := t.open()
	if err != nil {
		return at, err
	}
	defer func() { _ = db.Close() }()
	err = db.QueryRowContext(ctx, `SELECT max(valid_until) FROM fact_validity_overrides WHERE reason = 'decay_sweep'`).Scan(&at.asOf)
	return at, err
}

// lost counts the facts that a node acknowledged and the store does not have.
func lost(ctx context.Context, t target, acknowledged []string) (n int, err error) {
	ids, err := json.Marshal(acknowledged)
	if err != nil {
		return 0, err
	}
	var db *sql.DB
	if db, err = t.open(); err != nil {
		return 0, err
	}
	defer func() { _ = db.Close() }()
	err = db.QueryRowContext(ctx, `SELECT count(*) FROM json_each($1) WHERE NOT EXISTS (SELECT 1 FROM facts WHERE id = value)`, string(ids)).Scan(&n)
	return n, err
}
