package cli

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"decayctl/internal/config"
	"decayctl/internal/job"
	"decayctl/internal/store"
)

func (a *app) newJobsCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "jobs",
		Short: "Look at sweeps, resume them, take them back",
		Long: `Every sweep is a job that its store remembers: with which rules, how far it
came, who works on it and why it stopped. Ids may be shortened to any prefix
that no other job has.

` + exitCodeHelp,
		Example: `  decayctl jobs list
  decayctl jobs resume              # from crontab: goes on with what was left
  decayctl jobs undo 3f2a           # take a sweep back`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.newJobsListCmd(), a.newJobsShowCmd(), a.newJobsWatchCmd(), a.newJobsFactsCmd(), a.newJobsResumeCmd(),
		a.newJobsPauseCmd(), a.newJobsCancelCmd(), a.newJobsUndoCmd(), a.newJobsPruneCmd())
	return cmd
}

// oneID checks for one argument: the id of a job, or a prefix of it.
func oneID(cmd *cobra.Command, args []string) error {
	if len(args) == 1 && args[0] != "" {
		return nil
	}
	return usageError{"give the id of one job, or the beginning of it; 'decayctl jobs list' shows them; see '" + cmd.CommandPath() + " --help'"}
}

// withStore opens the store read-only and calls work.
func (a *app) withStore(ctx context.Context, at config.Store, use func(store.Store) error) error {
	s, err := a.open(ctx, at, store.OpenParams{ReadOnly: true})
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }()
	for {
		err := use(s)
		// A file that is read without locks may have changed meanwhile.
		unchanged, checkErr := store.Unchanged(ctx, s)
		if unchanged || checkErr != nil || ctx.Err() != nil {
			return errors.Join(err, checkErr)
		}
	}
}

// own finds a job of decayctl.
func own(ctx context.Context, s store.Store, prefix string) (job.Job, error) {
	j, err := s.Find(ctx, prefix)
	if err == nil && j.Node {
		err = &job.Foreign{ID: j.ID}
	}
	return j, err
}
