package cli

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"

	"decayctl/internal/job"
)

// thisOwner is this process as the owner of a share in a job.
func thisOwner() job.Owner {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	pid := os.Getpid()
	_, start := processState(pid)
	return job.Owner{Host: host, PIDNamespace: processSpace(), PID: pid, Start: start}
}

// gone tells whether a process is surely gone: it would be in this one's table, and is not there any
// more, or its number is another's by now. In doubt it is alive, and its lease is waited for.
func gone(here, o job.Owner) bool {
	if o.Host != here.Host || o.PIDNamespace != here.PIDNamespace {
		return false
	}
	// Signal 0 goes to nobody; it only asks. Windows does not know it, and has the lease waited for.
	p, err := os.FindProcess(o.PID)
	if err == nil {
		err = p.Signal(syscall.Signal(0))
	}
	if errors.Is(err, os.ErrProcessDone) || errors.Is(err, syscall.ESRCH) {
		return true
	}
	state, start := processState(o.PID)
	return state == "Z" || start != "" && o.Start != "" && start != o.Start // Z: ended, and its parent has not looked
}

// noteGone marks the workers that are surely gone, whose leases may go on for a while.
func noteGone(j job.Job) {
	here := thisOwner()
	for i, w := range j.Workers {
		j.Workers[i].Live = w.Live && !gone(here, w.Owner)
	}
}

// processSpace tells process tables apart that share a host's name, as those of containers and of two
// boots do. Only Linux says; elsewhere there is one.
func processSpace() string {
	table, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return ""
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return table
	}
	return table + " " + strings.TrimSpace(string(boot))
}

// processState reads a process's state, and when it started in ticks since boot, which no clock moves.
// Both are "" where the system does not tell.
func processState(pid int) (state, start string) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", ""
	}
	// The second field is a name in parentheses, and may hold anything. State is field 3, start 22.
	_, rest, _ := strings.Cut(string(stat[strings.LastIndexByte(string(stat), ')')+1:]), " ")
	fields := strings.Fields(rest)
	if len(fields) < 20 {
		return "", ""
	}
	return fields[0], fields[19]
}
