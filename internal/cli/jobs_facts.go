package cli

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"decayctl/internal/config"
	"decayctl/internal/job"
	"decayctl/internal/report"
	"decayctl/internal/store"
)

func (a *app) newJobsFactsCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "facts ID",
		Short: "List every fact that a job changed",
		Long: `List every fact that a job changed, with its rule and with its override before
and after, in id order. Lines are written while the store is read, so the list
may be as long as it likes. Facts that another process has changed since are
not listed: the store does not say any more what the job wrote there. A note on
stderr counts them.`,
		Example: `  decayctl jobs facts 3f2a
  decayctl jobs facts 3f2a --format csv > changed.csv
  decayctl jobs facts 3f2a --format ndjson | jq -r 'select(.before != null) | .fact_id'`,
		Args:              oneID,
		ValidArgsFunction: a.jobs(job.States...),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.load(cmd)
			if err != nil {
				return err
			}
			return a.runJobsFacts(cmd.Context(), c, args[0])
		},
	}
	config.AddFactsFlags(cmd.Flags())
	return cmd
}

func (a *app) runJobsFacts(ctx context.Context, c config.Config, id string) error {
	s, err := a.open(ctx, c.Store, store.OpenParams{ReadOnly: true})
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }()
	j, err := own(ctx, s, id)
	if err != nil {
		return err
	}
	form := c.Jobs.Format
	if form == "" && c.Output.Form == config.OutputJSON {
		form = "ndjson"
	}
	lines, err := report.NewChanges(a.Stdout, form)
	if err != nil {
		return err
	}
	listed := int64(0)
	engine, done := a.quietEngine(s, c.Run.MaxRuntime) // the lines show the progress
	defer done()
	err = engine.Changes(ctx, j, func(change job.Change) error {
		listed++
		return lines.Write(change)
	})
	// After a failed write, Flush fails with the same error, which is reported once.
	if flushed := lines.Flush(); err == nil {
		err = flushed
	}
	if err == nil {
		var unchanged bool
		if unchanged, err = store.Unchanged(ctx, s); err == nil && !unchanged {
			err = errors.New("the store was written to meanwhile, so the list may have gaps; list again")
		}
	}
	if err != nil && listed > 0 {
		return reported{err} // a JSON error must not follow the lines
	}
	if err != nil {
		return err
	}
	if since := j.Counts.Decayed - j.Counts.Restored - listed; since > 0 {
		a.logger().Warn("some facts have been changed by others since, and are not listed", "job", j.ID, "facts", since)
	}
	return nil
}
