package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"time"

	"decayctl/internal/fact"
)

// measurement is one run of a contestant through one case.
type measurement struct {
	cost
	locked  time.Duration // the longest write transaction
	decayed int64         // facts expired; in a dry run, facts that would expire
	job     string
	writer  *latency // of the facts that were written during the sweep; nil if none were
	queries *latency // of the queries during the sweep; nil if there were none
	tally   tally
}

func (c cost) wall() time.Duration { return c.ended.Sub(c.started) }

// once runs a contestant through one case.
func (s *series) once(ctx context.Context, t target, contestant, of, job string) (measurement, error) {
	at := instantsOf(instantOf(of))
	switch contestant {
	case nodeMethod:
		return child(ctx, t, exec.CommandContext(ctx, s.self, rowByRowChild, s.store, address(t), at.asOf))
	case script:
		return scripted(ctx, t, s.store, of, at)
	default:
		return s.decayctl(ctx, t, contestant, of, job)
	}
}

// decayctl runs the program under test, with an empty environment.
func (s *series) decayctl(ctx context.Context, t target, contestant, of, job string) (measurement, error) {
	args := []string{"--store", t.store(), "-o", "json", "--quiet"}
	rules := []string{"--ttl", ttlText, "--min-confidence", floor, "--as-of", fact.FormatInstant(instantOf(of))}
	switch of {
	case dryRunCase:
		args = append(append(args, "dry-run", "--all-tenants"), rules...)
	case undoCase:
		args = append(args, "jobs", "undo", job, "--yes", "--pace", "1")
	case neighbourCase:
		args = append(append(args, "sweep", "--all-tenants"), rules...)
	case nodeCase: // a node's own sweep covers this tenant only
		args = append(append(args, "sweep"), rules...)
	default:
		args = append(append(args, "sweep", "--all-tenants", "--pace", "1"), rules...)
	}
	if contestant == decayctlTwo || contestant == decayctlNoFK {
		args = append(args, "--workers", "2")
	}
	if contestant == decayctlNoFK {
		args = append(args, "--no-fk-checks")
	}
	program := s.program
	switch {
	case contestant == before:
		program = s.former
	case s.profile != "":
		s.profiles = append(s.profiles, filepath.Join(s.folder, fmt.Sprintf("%d.pprof", len(s.profiles))))
		program, args = s.self, append([]string{profiledChild, s.profiles[len(s.profiles)-1]}, args...)
	}
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir, cmd.Env = s.folder, []string{"HOME=" + s.folder}
	out, c, err := timed(ctx, t, cmd)
	if err != nil {
		return measurement{}, err
	}
	var report struct {
		JobID         string           `json:"job_id"`
		Scanned       int64            `json:"scanned"`
		Decayed       int64            `json:"decayed"`
		Restored      int64            `json:"restored"`
		FailedCount   int64            `json:"failed_count"`
		Skipped       map[string]int64 `json:"skipped"`
		LongestLockMS int64            `json:"longest_lock_ms"`
	}
	if err := json.Unmarshal(out, &report); err != nil {
		return measurement{}, fmt.Errorf("%w: %s", err, out)
	}
	one := measurement{
		cost: c, decayed: report.Decayed, job: report.JobID, locked: time.Duration(report.LongestLockMS) * time.Millisecond,
	}
	switch {
	case report.FailedCount > 0 || report.Skipped["changed_meanwhile"] > 0:
		return one, fmt.Errorf("facts that no other process changes were left: %s", out)
	case of == dryRunCase:
		one.decayed = report.Scanned
	case of == undoCase:
		one.decayed = report.Restored
	}
	return one, nil
}

// child runs the row-by-row method in a process of its own.
func child(ctx context.Context, t target, cmd *exec.Cmd) (measurement, error) {
	out, c, err := timed(ctx, t, cmd)
	if err != nil {
		return measurement{}, err
	}
	var told rowByRowReport
	if err := json.Unmarshal(out, &told); err != nil {
		return measurement{}, fmt.Errorf("%w: %s", err, out)
	}
	return measurement{cost: c, decayed: told.Decayed, locked: told.Locked}, nil
}

// address is a target's address, for child processes.
func address(t target) string {
	if file, ok := t.(*sqliteTarget); ok {
		return file.path
	}
	return t.store()
}
