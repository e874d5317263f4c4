package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"time"
)

// ready is the first line that a process prints which uses a store during a sweep. Its other lines are events.
const ready = "ready"

// event is one fact that was written, or one query, during a sweep.
type event struct {
	Due     time.Time
	Took    time.Duration // from when it was due
	Query   bool          `json:",omitempty"` // else a fact
	ID      string        `json:",omitempty"` // of the fact, if a node acknowledged it
	Failure string        `json:",omitempty"`
}

// happened is an event that ends now.
func happened(due time.Time, err error) event {
	e := event{Due: due, Took: time.Since(due)}
	if err != nil {
		e.Failure = err.Error()
	}
	return e
}

// untilEnd is a context that ends with the input too.
func untilEnd(ctx context.Context, stdin io.Reader) (context.Context, context.CancelFunc) {
	ctx, stop := context.WithCancel(ctx)
	go func() {
		defer stop()
		_, _ = io.Copy(io.Discard, stdin)
	}()
	return ctx, stop
}

// latency is how long the facts or queries of a process took during a sweep.
type latency struct {
	P50, P99, Max time.Duration
	Times         int // number of facts or queries
	Failures      int
	Failure       string // the first error
	Lost          int    // facts that were acknowledged and are not in the store
}

// user is a process that uses a store during a sweep.
type user struct {
	cmd    *exec.Cmd
	stdin  io.Closer
	lines  *bufio.Reader
	told   chan []byte // its whole output
	stderr bytes.Buffer
}

// startUser starts this program as a user, and waits until it is ready.
func startUser(ctx context.Context, self string, args ...string) (*user, error) {
	u := &user{cmd: exec.CommandContext(ctx, self, args...), told: make(chan []byte, 1)}
	u.cmd.Stderr = &u.stderr
	stdin, err := u.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := u.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	u.stdin, u.lines = stdin, bufio.NewReader(stdout)
	if err := u.cmd.Start(); err != nil {
		return nil, err
	}
	if _, err := u.lines.ReadString('\n'); err != nil {
		return nil, errors.Join(fmt.Errorf("%s does not begin: %w\n%s", args[0], err, u.stderr.Bytes()), u.kill())
	}
	go func() {
		rest, _ := io.ReadAll(u.lines)
		u.told <- rest
	}()
	return u, nil
}

// kill ends the process without reading its events, after an error.
func (u *user) kill() error {
	err := errors.Join(u.cmd.Process.Kill(), u.stdin.Close())
	_ = u.cmd.Wait() // it was killed
	return err
}

// stop ends the process and returns its events.
func (u *user) stop() ([]event, error) {
	if err := u.stdin.Close(); err != nil {
		return nil, err
	}
	told := <-u.told
	if err := u.cmd.Wait(); err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", u.cmd.Args[1], err, u.stderr.Bytes())
	}
	return readEvents(told)
}

func readEvents(told []byte) (events []event, err error) {
	for line := range bytes.Lines(told) {
		var e event
		if err := json.Unmarshal(line, &e); err != nil {
			return nil, fmt.Errorf("the process beside says %q: %w", line, err)
		}
		events = append(events, e)
	}
	return events, nil
}

// noticed is the latency of the facts, or of the queries, that were due between two instants.
func noticed(events []event, queries bool, from, to time.Time) *latency {
	var l latency
	var took []time.Duration
	for _, e := range events {
		if e.Query != queries || e.Due.Before(from) || e.Due.After(to) {
			continue
		}
		took = append(took, e.Took)
		if e.Failure != "" {
			if l.Failures++; l.Failure == "" {
				l.Failure = e.Failure
			}
		}
	}
	slices.Sort(took)
	l.Times = len(took)
	l.P50, l.P99, l.Max = percentile(took, 50), percentile(took, 99), percentile(took, 100)
	return &l
}

// acknowledged are the ids of the facts that a node acknowledged.
func acknowledged(events []event) (ids []string) {
	for _, e := range events {
		if e.ID != "" {
			ids = append(ids, e.ID)
		}
	}
	return ids
}
