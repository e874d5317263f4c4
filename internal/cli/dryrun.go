package cli

import (
	"context"

	"github.com/spf13/cobra"

	"decayctl/internal/config"
	"decayctl/internal/report"
)

func (a *app) newDryRunCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dry-run",
		Short: "Show what a sweep would do, and why; write nothing",
		Long: `Judge every fact as a sweep with the same settings would, and report what it
would expire and what it would keep. The store is opened read-only: this works on
a read-only file, beside a live node, on a hot standby, and with a role that may
only SELECT.

` + exitCodeHelp,
		Example: `  decayctl dry-run --ttl 90d
  decayctl dry-run --ttl 90d --samples 5
  decayctl dry-run --ttl 90d --detailed-exitcode --quiet || echo "something to decay"`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.load(cmd)
			if err != nil {
				return err
			}
			return a.runDryRun(cmd.Context(), c)
		},
	}
	config.AddRuleFlags(cmd.Flags())
	config.AddDryRunFlags(cmd.Flags())
	return cmd
}

func (a *app) runDryRun(ctx context.Context, c config.Config) error {
	p, err := a.params(c)
	if err != nil {
		return err
	}
	p.DryRun, p.MaxExpire = true, nil // a limit on writing limits nothing here
	s, err := a.open(ctx, c, true)
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }()
	run, err := a.execute(ctx, c, s, p)
	if err != nil {
		return err // half a rehearsal is no report
	}
	run.Status = report.StatusDone
	if err := a.print(c, run); err != nil {
		return err
	}
	if c.DetailedExitCode && run.Result.Selected > 0 {
		return errSomething
	}
	return nil
}
