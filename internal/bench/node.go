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

// withoutCIDs removes the made-up content ids of sample facts. A node does not serve a fact whose content id is wrong.
// The node's trigger that forbids updates of facts is dropped for the update.
func withoutCIDs(ctx context.Context, db *sql.DB) error {
	var trigger string
	if err := db.QueryRowContext(ctx, "SELECT sql FROM sqlite_schema WHERE name = 'facts_no_update'").Scan(&trigger); err != nil {
		return err
	}
	_, err := db.ExecContext(ctx, "BEGIN; DROP TRIGGER facts_no_update; UPDATE facts SET cid = NULL; "+trigger+"; COMMIT")
	return err
}

// newNodeStores keeps stores whose tables a node's own migrations made.
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

// startNode starts the newest node on a file, with its defaults but without quotas and keys. However many facts there
// are, the node sweeps while the request waits, and not in a job.
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

// sweep asks the node to sweep its tenant default. The node judges as of now, so the ttl is made longer by the time since
// asOf.
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

// sweptAt is the as-of of the node's own sweep: the latest one in the store.
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
