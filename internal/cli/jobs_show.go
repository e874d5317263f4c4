package cli

import (
	"context"
	"slices"

	"github.com/spf13/cobra"

	"decayctl/internal/config"
	"decayctl/internal/report"
	"decayctl/internal/store"
)

func (a *app) newJobsShowCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show ID",
		Short: "Show all there is to know of a job",
		Example: `  decayctl jobs show 3f2a
  decayctl jobs show 3f2a -o json | jq .progress`,
		Args:              oneID,
		ValidArgsFunction: a.jobs(),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.load(cmd)
			if err != nil {
				return err
			}
			return a.runJobsShow(cmd.Context(), c.Store, args[0])
		},
	}
	addPages(cmd)
	return cmd
}

func (a *app) runJobsShow(ctx context.Context, at config.Store, id string) error {
	run := report.Run{Target: at.Display, Now: a.Now(), Made: a.made()}
	err := a.withStore(ctx, at, func(s store.Store) (err error) {
		run.Job, err = s.Find(ctx, id)
		noteGone(run.Job)
		run.Notes = s.Notes()
		if err == nil && !run.Job.Node {
			var unread []string
			run.History, unread = lastSweeps(ctx, s, run.Job)
			run.Notes = slices.Concat(run.Notes, unread)
		}
		return err
	})
	if err != nil {
		return err
	}
	return a.printTo(run)
}
