package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
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
