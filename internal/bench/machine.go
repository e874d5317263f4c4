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

// machine describes this machine in one line: processors, memory, disk, system.
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

// busyShare is the share of processor time, 0 to 1, that other processes use. Their work makes every figure worse. It is
// 0 if the system does not report it.
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

// processorTime is the busy and the total time of all processors since boot, in ticks.
func processorTime() (used, all int64) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, 0
	}
	line, _, _ := strings.Cut(string(text), "\n")
	for i, field := range strings.Fields(line) {
		n, err := strconv.ParseInt(field, 10, 64)
		if i > 8 || err != nil { // the first field is a name; those after the eighth are counted in earlier ones
			continue
		}
		all += n
		if i != 4 && i != 5 { // idle, and waiting for a disk
			used += n
		}
	}
	return used, all
}

// lineOf is the value of a name in a file of /proc, with a name and a value per line.
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

// syncing is the time that the disk takes to write and sync 4 KB. Every commit waits for a sync.
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
