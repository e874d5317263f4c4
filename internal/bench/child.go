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

// cost is the time and memory that a program took on a store.
type cost struct {
	started, ended time.Time
	peak           int64 // peak resident memory in bytes; 0 if the system does not report it
	log            int64 // growth of the store's write-ahead log, in bytes
}

// timed runs a program on a store. If it fails, the error has its stderr.
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

// observed measures a process on a store: from start to the end of wait.
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

// residentPeak is the peak resident memory of a running process, on Linux; 0 elsewhere. The value that wait4 reports
// cannot be used: it includes the memory that the parent had at the fork.
func residentPeak(pid int) int64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, line, _ := strings.Cut(string(status), "VmHWM:")
	line, _, _ = strings.Cut(line, "kB")
	n, err := strconv.ParseInt(strings.TrimSpace(line), 10, 64)
	if err != nil {
		return 0 // the process has ended
	}
	return n << 10
}
