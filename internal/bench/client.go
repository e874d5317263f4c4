package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"decayctl/internal/interop/nodeproc"
	"decayctl/internal/store/sample"

	"github.com/google/uuid"
)

// clientChild is the process that uses a node during a sweep.
const clientChild = "client-child"

// clientEvery is the time between two facts, and between two queries. Facts and queries alternate.
const clientEvery = 50 * time.Millisecond

// warming is the number of facts, and of queries, that are sent before any is counted: the first requests to a node are
// slower, since it loads and caches much then.
const warming = 20

// client asserts facts to a node and queries others.
type client struct {
	nodeproc.Client
	ids []string // of the facts to query
}

// useNode asserts 20 facts and sends 20 queries per second until its input ends. It does not wait for earlier answers.
// It prints ready, then an event for each. Arguments: the node's URL, the path of its SQLite file.
func useNode(ctx context.Context, args []string, stdin io.Reader, stdout io.Writer) error {
	if len(args) != 2 {
		return fmt.Errorf("%s takes 2 arguments", clientChild)
	}
	c := client{Client: nodeproc.Client{URL: args[0]}}
	if err := c.choose(ctx, args[1]); err != nil {
		return err
	}
	for n := range warming {
		for _, e := range []event{c.tell(ctx, n, time.Now()), c.ask(ctx, n, time.Now())} {
			if e.Failure != "" {
				return fmt.Errorf("before anything is measured: %s", e.Failure)
			}
		}
	}
	lines := bufio.NewWriter(stdout)
	fmt.Fprintln(lines, ready)
	if err := lines.Flush(); err != nil {
		return err
	}
	until, stop := untilEnd(ctx, stdin)
	defer stop()
	events, written := make(chan event), make(chan error, 1)
	go func() {
		var failed error
		for encoder := json.NewEncoder(lines); ; {
			e, more := <-events
			if !more {
				break
			}
			if err := encoder.Encode(e); failed == nil {
				failed = err
			}
		}
		written <- failed
	}()
	var requests sync.WaitGroup
	ticks := time.NewTicker(clientEvery / 2)
	defer ticks.Stop()
	for n, more := 0, true; more; n++ {
		select {
		case <-ticks.C:
			due, send := time.Now(), c.tell
			if n%2 == 1 {
				send = c.ask
			}
			requests.Go(func() { events <- send(ctx, n/2, due) })
		case <-until.Done():
			more = false
		}
	}
	requests.Wait()
	close(events)
	if err := <-written; err != nil {
		return err
	}
	return lines.Flush()
}

// choose picks facts that the node serves. Ids are random, so the first in order are a random choice.
func (c *client) choose(ctx context.Context, path string) error {
	db, err := sample.OpenSQLite(path)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	rows, err := db.QueryContext(ctx, `
		SELECT id FROM facts WHERE tenant_id = 'default' AND value_type IN ('string', 'text')
			AND garden_id IS NULL AND id NOT IN (SELECT fact_id FROM fact_garden_membership)
			AND quarantine_status IS NULL AND id NOT IN (SELECT fact_id FROM fact_quarantine_status)
			AND entity NOT IN (SELECT entity_uri FROM tombstones)
		ORDER BY id LIMIT 1000`)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return err
		}
		c.ids = append(c.ids, id)
	}
	return rows.Err()
}

// tell asserts a fact.
func (c *client) tell(ctx context.Context, _ int, due time.Time) event {
	ctx, cancel := context.WithTimeout(ctx, nodeproc.Patience)
	defer cancel()
	status, answer, err := c.Ask(ctx, http.MethodPost, "/v1/facts", nil, map[string]any{
		"entity": "session:" + uuid.NewString(), "relation": "memory:context", "source": "agent:planner", "scope": "local", "confidence": 0.9,
		"value": map[string]any{"type": "text", "v": "Told while a sweep may run"},
	})
	e := happened(due, refused(http.StatusCreated, status, answer, err))
	if e.Failure == "" {
		e.ID, _ = answer["id"].(string)
	}
	return e
}

// ask queries a fact by its id. A query by entity, relation or scope would make the node read all facts, which takes
// longer than clientEvery in a large store.
func (c *client) ask(ctx context.Context, n int, due time.Time) event {
	ctx, cancel := context.WithTimeout(ctx, nodeproc.Patience)
	defer cancel()
	status, answer, err := c.Ask(ctx, http.MethodGet, "/v1/facts/"+c.ids[n%len(c.ids)], nil, nil)
	e := happened(due, refused(http.StatusOK, status, answer, err))
	e.Query = true
	return e
}

// refused is the error of a request with an unexpected status.
func refused(want, status int, answer map[string]any, err error) error {
	if err != nil || status == want {
		return err
	}
	why := answer["text"]
	if why == nil {
		why = answer
	}
	return fmt.Errorf("status %d: %v", status, why)
}
