package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/dustin/go-humanize/english"
	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"decayctl/internal/config"
	"decayctl/internal/report"
	"decayctl/internal/store"
	"decayctl/internal/sweep"
)

func (a *app) newSweepCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "sweep",
		Short: "Expire stale facts",
		Long: `Expire every fact that the rules select: older than a time to live (--ttl), or
below a confidence floor (--min-confidence). Facts are never deleted: each gets
an expiry in the override table. System facts, relations in rel:, facts under a
legal hold and facts pending in quarantine are left alone, and counted.

A sweep works in short transactions. It may be interrupted at any time; what was
committed stays, and the next sweep goes on from there.

` + exitCodeHelp,
		Example: `  decayctl sweep --ttl 90d --min-confidence 0.4
  decayctl sweep --ttl 30d --scope local --max-expire 5%
  decayctl sweep -o json | jq .decayed`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.load(cmd)
			if err != nil {
				return err
			}
			return a.runSweep(cmd.Context(), c)
		},
	}
	config.AddRuleFlags(cmd.Flags())
	config.AddSweepFlags(cmd.Flags())
	return cmd
}

func (a *app) runSweep(ctx context.Context, c config.Config) error {
	p, err := a.params(c)
	if err != nil {
		return err
	}
	p.Samples = 0
	if c.AsOfAhead {
		return usageError{"--as-of lies in the future; a sweep judges by a time that has come (a dry run may look ahead)"}
	}
	if why := sweep.Everything(p.Rules, p.Scope); why != "" && !c.Yes {
		if err := a.confirm(ctx, why, c.Store.Display); err != nil {
			return err
		}
	}
	s, err := a.open(ctx, c, false)
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }()
	a.announce(c, p)

	run, err := a.execute(ctx, c, s, p)
	switch {
	case err == nil && run.Result.FailedCount > 0:
		run.Status = report.StatusFailed
		run.StopReason = english.Plural(int(run.Result.FailedCount), "fact", "facts") + " could not be written"
		err = errors.New(run.StopReason + "; the report lists them")
	case err == nil:
		run.Status = report.StatusDone
	case ctx.Err() != nil:
		run.Status, run.StopReason = report.StatusPaused, context.Cause(ctx).Error()
	default:
		run.Status, run.StopReason = report.StatusFailed, err.Error()
	}
	var refused *sweep.Refused
	if errors.As(err, &refused) {
		return err // nothing was done; the error is the whole report
	}
	if failed := a.print(c, run); failed != nil {
		return errors.Join(err, failed)
	}
	if err != nil {
		return reported{err}
	}
	return nil
}

// announce names the target before anything is written: a line for people, a log line for the rest.
func (a *app) announce(c config.Config, p sweep.Params) {
	if isTerminal(a.Stderr) && c.LogFormat == config.OutputText && !c.Quiet {
		_, _ = fmt.Fprintf(a.Stderr, "Sweeping %s: %s\n", report.Clean(c.Store.Display), p.Rules)
		return
	}
	a.logger(c).Info("sweeping", "store", c.Store.Display, "rules", p.Rules.String(), "as_of", p.AsOf)
}

// params are what the settings ask of a sweep or of its dry run.
func (a *app) params(c config.Config) (sweep.Params, error) {
	if c.Rules.Empty() {
		return sweep.Params{}, usageError{"no rule is on: give --ttl or --min-confidence, or set DECAYCTL_TTL, DECAYCTL_MIN_CONFIDENCE or the node's STIGMEM_DECAY_* variables"}
	}
	now := a.Now()
	p := sweep.Params{
		Rules: c.Rules, AsOf: c.AsOf, Stamp: now.Truncate(time.Second), Scope: c.Scope, Tenant: c.Tenant,
		Samples: c.Samples, MaxExpire: c.MaxExpire, BatchSize: c.BatchSize, Pace: c.Pace,
	}
	if p.AsOf.IsZero() {
		p.AsOf = now.UTC().Truncate(time.Microsecond) // what the store can hold
	}
	return p, nil
}

// execute runs the engine with this process's clock, ids and progress.
func (a *app) execute(ctx context.Context, c config.Config, s store.Store, p sweep.Params) (report.Run, error) {
	progress := report.NewProgress(report.ProgressParams{
		Stderr: a.Stderr, Terminal: isTerminal(a.Stderr), Quiet: c.Quiet, Log: a.logger(c), Now: a.Now,
	})
	engine := sweep.Engine{
		Store: s, Sleep: sleep, Progress: progress.Update,
		Retraction: func() string { return "retract_" + uuid.Must(uuid.NewV7()).String() },
	}
	run := report.Run{Target: c.Store.Display, Params: p, Started: a.Now()}
	var err error
	run.Result, err = engine.Run(ctx, p)
	progress.Done()
	run.Completed = a.Now()
	run.Notes = s.Notes()
	return run, err
}

func (a *app) print(c config.Config, run report.Run) error {
	if c.Output == config.OutputJSON {
		return run.WriteJSON(a.Stdout)
	}
	style := report.Style{}
	if isTerminal(a.Stdout) {
		style = report.Style{Color: !c.NoColor, Width: terminalWidth(a.Stdout)}
	}
	return run.WriteText(a.Stdout, style)
}

// confirm asks before a sweep that expires nearly everything. Where nobody can answer it refuses,
// and never waits.
func (a *app) confirm(ctx context.Context, why, target string) error {
	if !isTerminal(a.Stdin) || !isTerminal(a.Stderr) {
		return &sweep.Refused{Text: why + "; add --scope, or --yes if that is what you want"}
	}
	_, _ = fmt.Fprintf(a.Stderr, "store: %s\n%s\nGo on? [y/N] ", report.Clean(target), why)
	answers := make(chan string, 1)
	go func() { // reading cannot be interrupted, the wait for it can
		answer, _ := bufio.NewReader(a.Stdin).ReadString('\n')
		answers <- strings.ToLower(strings.TrimSpace(answer))
	}()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case answer := <-answers:
		if answer == "y" || answer == "yes" {
			return nil
		}
		return &sweep.Refused{Text: "declined; nothing was written"}
	}
}

// sleep waits, or not as long as that if ctx ends first.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
