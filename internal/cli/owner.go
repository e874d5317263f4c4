package cli

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"

	"decayctl/internal/job"
)

// thisOwner is this process as a worker of a job.
func thisOwner() job.Owner {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	pid := os.Getpid()
	_, start := processState(pid)
	return job.Owner{Host: host, PIDNamespace: processSpace(), PID: pid, Start: start}
}

// gone tells whether a process has surely ended: it would be in the process table of this one and is not, or its id
// belongs to another process. In doubt it is alive, and the end of its lease is waited for.
func gone(here, o job.Owner) bool {
	if o.Host != here.Host || o.PIDNamespace != here.PIDNamespace {
		return false
	}
	// Signal 0 only checks for the process. Windows does not have it, and there the end of the lease is waited for.
	p, err := os.FindProcess(o.PID)
	if err == nil {
		err = p.Signal(syscall.Signal(0))
	}
	if errors.Is(err, os.ErrProcessDone) || errors.Is(err, syscall.ESRCH) {
		return true
	}
	state, start := processState(o.PID)
	return state == "Z" || start != "" && o.Start != "" && start != o.Start // Z is a zombie, which has ended
}

// noteGone marks the workers that have surely ended although their leases have not.
func noteGone(j job.Job) {
	here := thisOwner()
	for i, w := range j.Workers {
		j.Workers[i].Live = w.Live && !gone(here, w.Owner)
	}
}

// processSpace identifies a process table, since containers and earlier boots may have the same host name. It is "" on
// systems other than Linux.
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

// processState reads the state of a process, and its start in ticks since boot, which do not depend on the clock. Both
// are "" if the system does not tell.
func processState(pid int) (state, start string) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", ""
	}
	// The second field is a name in parentheses, and may have any text. The state is field 3, the start field 22.
	_, rest, _ := strings.Cut(string(stat[strings.LastIndexByte(string(stat), ')')+1:]), " ")
	fields := strings.Fields(rest)
	if len(fields) < 20 {
		return "", ""
	}
	return fields[0], fields[19]
}
