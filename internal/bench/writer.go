package main

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"decayctl/internal/fact"

	"github.com/google/uuid"
)

// writerChild is the process that writes during a sweep.
const writerChild = "writer-child"

// writerEvery is the time between two facts.
const writerEvery = 10 * time.Millisecond

// write inserts a fact every 10 ms until its input ends, each in its own transaction, on one connection with the node's
// settings. It prints ready, then an event for each fact. The latency of a fact begins when it is due, and so includes
// the wait for the one before. Arguments: kind of store, address.
func write(ctx context.Context, args []string, stdin io.Reader, stdout io.Writer) error {
	if len(args) != 2 {
		return fmt.Errorf("%s takes 2 arguments", writerChild)
	}
	db, err := openAsNode(args[0], args[1])
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	db.SetMaxOpenConns(1)
	if err := insertFact(ctx, db); err != nil {
		return err
	}
	ctx, stop := untilEnd(ctx, stdin)
	defer stop()
	var last time.Time // no fact is due after it; zero until the input ends
	lines := bufio.NewWriter(stdout)
	events := json.NewEncoder(lines)
	fmt.Fprintln(lines, ready)
	if err := lines.Flush(); err != nil {
		return err
	}
	for due := time.Now(); ; due = due.Add(writerEvery) {
		if early := time.Until(due); early > 0 {
			select {
			case <-time.After(early):
			case <-ctx.Done():
				return lines.Flush()
			}
			due = time.Now() // the timer was late, which is not the store's delay
		} else if ctx.Err() != nil && last.IsZero() {
			last = time.Now() // facts that are due before it are still written
		}
		if !last.IsZero() && due.After(last) {
			return lines.Flush()
		}
		err := insertFact(context.WithoutCancel(ctx), db)
		if err := events.Encode(happened(due, err)); err != nil {
			return err
		}
	}
}

func insertFact(ctx context.Context, db *sql.DB) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	id := uuid.NewString()
	_, err = tx.ExecContext(ctx, `
		INSERT INTO facts (id, entity, relation, value_type, value_v, source, timestamp, confidence, scope, hlc, tenant_id, cid)
		VALUES ($1, $2, 'memory:context', 'text', 'Written beside a sweep', 'agent:planner', $3, 0.9, 'local', $4, 'default', $5)`,
		id, "user:"+id[:3], fact.FormatInstant(time.Now()), fmt.Sprintf("%d.0", time.Now().UnixMilli()), "sha256:"+id)
	if err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}
