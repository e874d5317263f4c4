package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// cost is what running a program on a store took.
type cost struct {
	started, ended time.Time
	peak           int64 // resident memory at its highest, in bytes; 0 where the system does not tell
	log            int64 // how far the store's log grew, in bytes
}

// timed runs a program on a store. What it prints on stderr is part of the error where it fails.
func timed(ctx context.Context, t target, cmd *exec.Cmd) (out []byte, c cost, err error) {
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	c, err = observed(ctx, t, func() (int, error) {
		if err := cmd.Start(); err != nil {
			return 0, err
		}
		return cmd.Process.Pid, nil
	}, cmd.Wait)
	if err != nil {
		return nil, c, fmt.Errorf("%s: %w\n%s", cmd.Args[0], err, stderr.Bytes())
	}
	return stdout.Bytes(), c, nil
}

// observed is what it costs to start something in a process and to wait for it, on a store.
func observed(ctx context.Context, t target, start func() (pid int, err error), wait func() error) (c cost, err error) {
	if err := t.begin(ctx); err != nil {
		return c, err
	}
	c.started = time.Now()
	pid, err := start()
	if err != nil {
		return c, err
	}
	ended, watched := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		const often = 2 * time.Millisecond
		for ticks := time.NewTicker(often); ; {
			t.watch()
			c.peak = max(c.peak, residentPeak(pid))
			select {
			case <-ended:
				ticks.Stop()
				return
			case <-ticks.C:
			}
		}
	}()
	err = wait()
	c.ended = time.Now()
	close(ended)
	<-watched
	if err != nil {
		return c, err
	}
	c.log, err = t.end(ctx)
	return c, err
}

// residentPeak is the highest resident memory of a process so far, on Linux; 0 elsewhere. (What the
// system tells when a child has ended includes what its parent had when it made it.)
func residentPeak(pid int) int64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, line, _ := strings.Cut(string(status), "VmHWM:")
	line, _, _ = strings.Cut(line, "kB")
	n, err := strconv.ParseInt(strings.TrimSpace(line), 10, 64)
	if err != nil {
		return 0 // it has ended, and has no memory any more
	}
	return n << 10
}
