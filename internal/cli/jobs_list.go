package cli

import (
	"context"

	"github.com/spf13/cobra"

	"decayctl/internal/config"
	"decayctl/internal/report"
	"decayctl/internal/store"
)

func (a *app) newJobsListCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List jobs, the newest first",
		Long: `List the jobs of a store, the newest first: their state, scope, progress, age and
owner, and why they stopped. Jobs that the node made are marked.`,
		Example: `  decayctl jobs list
  decayctl jobs list --state paused,failed
  decayctl jobs list -o json | jq -r '.jobs[] | select(.status == "failed") | .job_id'`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.load(cmd)
			if err != nil {
				return err
			}
			return a.runJobsList(cmd.Context(), c)
		},
	}
	config.AddListFlags(cmd.Flags())
	return cmd
}

func (a *app) runJobsList(ctx context.Context, c config.Config) error {
	jobs := report.Jobs{Target: c.Store.Display, Now: a.Now()}
	err := a.withStore(ctx, c, func(s store.Store) (err error) {
		jobs.List, err = s.List(ctx, store.ListParams{States: c.States, Limit: c.Limit})
		for _, j := range jobs.List {
			noteGone(j)
		}
		return err
	})
	if err != nil {
		return err
	}
	return a.printTo(c, jobs)
}
