package cli

import (
	"context"

	"github.com/spf13/cobra"

	"decayctl/internal/config"
	"decayctl/internal/job"
	"decayctl/internal/report"
)

func (a *app) newJobsPauseCmd() *cobra.Command {
	return a.newMoveCmd(job.Paused, &cobra.Command{
		Use:   "pause ID",
		Short: "Stop a job; resume goes on with it",
		Long: `Stop a job, whether a process works on it or not. A process that does finds out
at its next batch, writes nothing more, and exits 3.`,
	})
}

func (a *app) newJobsCancelCmd() *cobra.Command {
	return a.newMoveCmd(job.Cancelled, &cobra.Command{
		Use:   "cancel ID",
		Short: "Give up a job; what it has written stays",
		Long: `Give a job up for good, whether a process works on it or not. A process that
does finds out at its next batch, writes nothing more, and exits 1. What has
expired stays expired; 'decayctl jobs undo' takes it back.`,
	})
}

func (a *app) newMoveCmd(to job.State, cmd *cobra.Command) *cobra.Command {
	cmd.Args = oneID
	cmd.ValidArgsFunction = a.jobs(job.Sources(to)...)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := a.load(cmd)
		if err != nil {
			return err
		}
		return a.runMove(cmd.Context(), c.Store, to, args[0])
	}
	return cmd
}

func (a *app) runMove(ctx context.Context, at config.Store, to job.State, id string) error {
	s, err := a.openToWork(ctx, at, 0, findFirst(ctx, id))
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }()
	j, err := own(ctx, s, id)
	if err != nil {
		return err
	}
	if j, err = s.Move(ctx, j.ID, to, string(to)+" by an operator"); err != nil {
		return err
	}
	return a.printDone(report.Run{Target: at.Display, Job: j, Notes: s.Notes(), Now: a.Now()}, jobIs(j))
}
