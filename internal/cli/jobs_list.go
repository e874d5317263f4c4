package cli

import (
	"bytes"
	"context"
	"errors"
	"io"

	"github.com/spf13/cobra"

	"decayctl/internal/config"
	"decayctl/internal/job"
	"decayctl/internal/report"
	"decayctl/internal/store"
)

func (a *app) newJobsListCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List jobs, the newest first",
		Long: `List the jobs of a store, the newest first: their state, scope, progress, age
and owner, and why they stopped. Jobs that the node made are marked.`,
		Example: `  decayctl jobs list
  decayctl jobs list --state paused,failed
  decayctl jobs list -o json | jq -r '.jobs[] | select(.status == "failed") | .job_id'`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.load(cmd)
			if err != nil {
				return err
			}
			return a.runJobsList(cmd.Context(), c.Store, c.Jobs)
		},
	}
	config.AddListFlags(cmd.Flags())
	return cmd
}

func (a *app) runJobsList(ctx context.Context, at config.Store, which config.Jobs) error {
	out := &held{to: a.Stdout}
	err := a.withStore(ctx, at, func(s store.Store) error {
		if !out.takeBack() {
			return errors.New("the store was written to meanwhile, so the list may have gaps; list again")
		}
		return a.write(out, report.Jobs{Target: at.Display, Now: a.Now(), Each: func(use func(job.Job) error) error {
			return s.List(ctx, store.ListParams{States: which.States, Limit: which.Limit}, func(j job.Job) error {
				noteGone(j)
				return use(j)
			})
		}})
	})
	switch {
	case err != nil && out.begun:
		return reported{err} // a part of a document is on stdout, and no other must follow
	case err != nil:
		return err
	}
	return out.flush()
}

// held buffers the beginning of the output, so that a short list can be written again if the store changed while it was
// read.
type held struct {
	to    io.Writer
	kept  bytes.Buffer
	begun bool // the buffer was exceeded and written
}

const mostHeld = 256 << 10 // bytes; some hundred jobs

func (h *held) Write(p []byte) (int, error) {
	if h.kept.Len()+len(p) > mostHeld {
		if err := h.flush(); err != nil {
			return 0, err
		}
	}
	return h.kept.Write(p)
}

func (h *held) flush() error {
	h.begun = h.begun || h.kept.Len() > 0
	_, err := h.kept.WriteTo(h.to)
	return err
}

// takeBack discards the buffer. It is false if a part has been written.
func (h *held) takeBack() bool {
	h.kept.Reset()
	return !h.begun
}
