package main

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"time"

	"decayctl/internal/fact"

	"github.com/google/uuid"
)

// writerChild is the process that writes beside a sweep.
const writerChild = "writer-child"

// writerEvery is how often a fact comes.
const writerEvery = 10 * time.Millisecond

// latency is what a writer noticed.
type latency struct {
	P50, P99, Max time.Duration
	Inserts       int
	Failures      int
	Failure       string `json:",omitempty"` // the first
}

// write inserts a fact every 10 ms, each in a transaction of its own on one connection with the node's
// settings, until its input ends. It answers one line when it is ready and one for each fact: when it
// was due and how long it took, in nanoseconds, and the error where it failed. A fact that comes while
// the one before it is still being written waits, and its wait counts. Arguments: kind of store, address.
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
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		defer stop()
		_, _ = io.Copy(io.Discard, stdin)
	}()
	var last time.Time // until when facts come; not known before the input ends
	lines := bufio.NewWriter(stdout)
	fmt.Fprintln(lines, "ready")
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
			due = time.Now() // waking late is this process's own fault, not the store's
		} else if ctx.Err() != nil && last.IsZero() {
			last = time.Now() // what came before has waited, and is written
		}
		if !last.IsZero() && due.After(last) {
			return lines.Flush()
		}
		err := insertFact(context.WithoutCancel(ctx), db)
		took := time.Since(due)
		if err != nil {
			fmt.Fprintln(lines, due.UnixNano(), int64(took), err)
			continue
		}
		fmt.Fprintln(lines, due.UnixNano(), int64(took))
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

// writer is such a process.
type writer struct {
	cmd    *exec.Cmd
	stdin  io.Closer
	lines  *bufio.Reader
	told   chan []byte // all it has said
	stderr bytes.Buffer
}

// startWriter starts a writer on a target and waits until it writes.
func startWriter(ctx context.Context, self, kind string, t target) (*writer, error) {
	w := &writer{cmd: exec.CommandContext(ctx, self, writerChild, kind, address(t)), told: make(chan []byte, 1)}
	w.cmd.Stderr = &w.stderr
	stdin, err := w.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := w.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	w.stdin, w.lines = stdin, bufio.NewReader(stdout)
	if err := w.cmd.Start(); err != nil {
		return nil, err
	}
	if _, err := w.lines.ReadString('\n'); err != nil {
		return nil, errors.Join(fmt.Errorf("the writer does not begin: %w\n%s", err, w.stderr.Bytes()), w.kill())
	}
	go func() {
		rest, _ := io.ReadAll(w.lines)
		w.told <- rest
	}()
	return w, nil
}

// kill ends the writer where nobody wants to know what it noticed.
func (w *writer) kill() error {
	err := errors.Join(w.cmd.Process.Kill(), w.stdin.Close())
	_ = w.cmd.Wait() // it was killed
	return err
}

// stop ends the writer and says what it noticed between two instants.
func (w *writer) stop(from, to time.Time) (*latency, error) {
	if err := w.stdin.Close(); err != nil {
		return nil, err
	}
	told := <-w.told
	if err := w.cmd.Wait(); err != nil {
		return nil, fmt.Errorf("the writer: %w\n%s", err, w.stderr.Bytes())
	}
	return noticed(told, from, to)
}

// noticed reads a writer's lines.
func noticed(told []byte, from, to time.Time) (*latency, error) {
	var l latency
	var took []time.Duration
	for line := range bytes.Lines(told) {
		var due, took1 int64
		if _, err := fmt.Sscan(string(line), &due, &took1); err != nil {
			return nil, fmt.Errorf("the writer says %q", line)
		}
		if due < from.UnixNano() || due > to.UnixNano() {
			continue
		}
		took = append(took, time.Duration(took1))
		if fields := bytes.SplitN(bytes.TrimSpace(line), []byte(" "), 3); len(fields) == 3 {
			if l.Failures++; l.Failure == "" {
				l.Failure = string(fields[2])
			}
		}
	}
	slices.Sort(took)
	l.Inserts = len(took)
	l.P50, l.P99, l.Max = percentile(took, 50), percentile(took, 99), percentile(took, 100)
	return &l, nil
}
