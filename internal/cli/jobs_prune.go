package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"decayctl/internal/config"
	"decayctl/internal/report"
	"decayctl/internal/sweep"
)

func (a *app) newJobsPruneCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "prune --older-than TIME",
		Short: "Forget finished jobs",
		Long: `Remove the jobs that ended some time ago, with what an undo would need. What
they expired stays expired. Jobs that are not finished are kept, however old,
and so are the node's own.

Jobs are removed in short transactions, between which the node writes (see
pace). The command may be interrupted or killed at any time; the same command
goes on.`,
		Example: `  decayctl jobs prune --older-than 90d`,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.load(cmd)
			if err != nil {
				return err
			}
			return a.runJobsPrune(cmd.Context(), c)
		},
	}
	config.AddPruneFlags(cmd.Flags())
	return cmd
}

func (a *app) runJobsPrune(ctx context.Context, c config.Config) error {
	if c.Jobs.OlderThan == 0 {
		return usageError{"say how old a job must be with --older-than, as in --older-than 90d"}
	}
	s, err := a.openToWork(ctx, c.Store, 0)
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }()
	before := a.Now().Add(-c.Jobs.OlderThan)
	engine, done := a.quietEngine(s, c.Run.MaxRuntime)
	n, err := engine.Prune(ctx, before, sweep.Work{Pace: c.Run.Work.Pace})
	done()
	if err != nil && n > 0 {
		return hinted{err, fmt.Sprintf("%d jobs were removed; the same command goes on", n)}
	}
	if err != nil {
		return err
	}
	return a.printDone(report.Pruned{Count: n, Before: before}, fmt.Sprintf("%d jobs were removed", n))
}
