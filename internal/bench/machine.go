package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// machine says in one line on what a run was measured.
func machine(folder string) string {
	line := fmt.Sprintf("%d cores", runtime.NumCPU())
	if model := lineOf("/proc/cpuinfo", "model name"); model != "" {
		line += " of " + model
	}
	if memory := lineOf("/proc/meminfo", "MemTotal"); memory != "" {
		var kb int
		if _, err := fmt.Sscan(memory, &kb); err == nil {
			line += fmt.Sprintf(", %d GB of memory", (kb+mega/2)/mega)
		}
	}
	if kernel, err := os.ReadFile("/proc/sys/kernel/ostype"); err == nil {
		line += ", " + strings.TrimSpace(string(kernel))
	}
	line += ", " + runtime.GOARCH
	if took, err := syncing(folder); err == nil {
		line += fmt.Sprintf("; writing 4 KB down to the disk takes %.1f ms", milliseconds(took))
	}
	return line
}

// busyShare is the share of the processors' time that is used while this program waits: by others,
// whose work makes every figure worse. 0 where the system does not tell.
func busyShare(ctx context.Context) float64 {
	used, all := processorTime()
	select {
	case <-time.After(500 * time.Millisecond):
	case <-ctx.Done():
	}
	usedThen, allThen := processorTime()
	if allThen == all {
		return 0
	}
	return float64(usedThen-used) / float64(allThen-all)
}

// processorTime is what the processors have worked so far, and what they might have.
func processorTime() (used, all int64) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, 0
	}
	line, _, _ := strings.Cut(string(text), "\n")
	for i, field := range strings.Fields(line) {
		n, err := strconv.ParseInt(field, 10, 64)
		if i > 8 || err != nil { // what guests use is in it already; the first is a name
			continue
		}
		all += n
		if i != 4 && i != 5 { // idle, and waiting for a disk
			used += n
		}
	}
	return used, all
}

// lineOf is what stands behind a name in a file of lines such as those in /proc.
func lineOf(path, name string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		if key, value, _ := strings.Cut(line, ":"); strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// syncing is how long the disk takes to keep 4 KB: every commit waits for that.
func syncing(folder string) (took time.Duration, err error) {
	file, err := os.CreateTemp(folder, "sync")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, file.Close(), os.Remove(file.Name())) }()
	var all []time.Duration
	for range 50 {
		started := time.Now()
		if _, err := file.Write(make([]byte, 4096)); err != nil {
			return 0, err
		}
		if err := file.Sync(); err != nil {
			return 0, err
		}
		all = append(all, time.Since(started))
	}
	return median(all), nil
}
