package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"decayctl/internal/config"
	"decayctl/internal/job"
	"decayctl/internal/report"
	"decayctl/internal/store"
)

func (a *app) newJobsUndoCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "undo ID",
		Short: "Take a sweep back",
		Long: `Give back what a job changed: overrides, edges and the retraction log are as
they were before it. Facts that another process has changed since are left
alone, and counted. Memory cards stay marked stale, and vectors are gone; if the
node makes embeddings, the facts are marked for new ones.

An undo may be interrupted or killed at any time; the same command goes on.`,
		Example: `  decayctl jobs undo 3f2a --dry-run
  decayctl jobs undo 3f2a --yes`,
		Args:              oneID,
		ValidArgsFunction: a.jobs(job.Sources(job.Undoing)...),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.load(cmd)
			if err != nil {
				return err
			}
			return a.runJobsUndo(cmd.Context(), c, args[0])
		},
	}
	config.AddUndoFlags(cmd.Flags())
	addPages(cmd)
	addEnding(cmd)
	return cmd
}

func (a *app) runJobsUndo(ctx context.Context, c config.Config, id string) error {
	if c.Jobs.DryRun {
		return a.rehearseUndo(ctx, c.Store, c.Run, id)
	}
	s, err := a.openToWork(ctx, c.Store, 0, func(s store.Store) error { return skipForeignKeys(ctx, c.Run, s) }, findFirst(ctx, id))
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }()
	j, err := own(ctx, s, id)
	if err != nil {
		return err
	}
	if !j.State.May(job.Undoing) {
		return &job.Illegal{ID: j.ID, From: j.State, To: job.Undoing}
	}
	if err := a.warnOfNewer(ctx, s, j); err != nil {
		return err
	}
	if !c.Yes {
		why := fmt.Sprintf("undoing job %s gives back %s facts that it changed", report.ShortID(j.ID), humanize.Comma(j.Counts.Decayed-j.Counts.Restored))
		if err := a.confirm(ctx, why, c.Store.Display, "add --yes if that is what you want, or --dry-run to look first"); err != nil {
			return err
		}
	}
	joined, err := s.Join(ctx, store.JoinParams{ID: j.ID, Undo: true, Worker: worker(c.Run.Lease)})
	if err != nil {
		return err
	}
	a.tellJoined(joined)
	a.announceJob("Undoing", joined.Job, c.Store.Display)
	engine, done := a.engine(s, c.Run.MaxRuntime)
	j, err = engine.Undo(ctx, joined, c.Run.Work)
	done()
	return a.conclude(ctx, s, joined, report.Run{Target: c.Store.Display, Job: j}, err)
}

// rehearseUndo refuses what the undo would refuse.
func (a *app) rehearseUndo(ctx context.Context, at config.Store, with config.Run, id string) error {
	undoable := report.Undoable{Target: at.Display}
	err := a.withStore(ctx, at, func(s store.Store) (err error) {
		if err := skipForeignKeys(ctx, with, s); err != nil {
			return err
		}
		if undoable.Job, err = own(ctx, s, id); err != nil {
			return err
		}
		if !undoable.Job.State.May(job.Undoing) {
			return &job.Illegal{ID: undoable.Job.ID, From: undoable.Job.State, To: job.Undoing}
		}
		engine, done := a.engine(s, with.MaxRuntime)
		defer done()
		undoable.Count, err = engine.Undoable(ctx, undoable.Job)
		return err
	})
	if err != nil {
		return err
	}
	return a.printTo(undoable)
}

// warnOfNewer warns of later sweeps: the undo does not restore what they expired.
func (a *app) warnOfNewer(ctx context.Context, s store.Store, j job.Job) error {
	const most = 3 // there may be very many
	told, enough := 0, errors.New("enough")
	p := store.ListParams{States: []job.State{job.Running, job.Paused, job.Done, job.Failed, job.Cancelled}, After: j.Stamp}
	err := s.List(ctx, p, func(other job.Job) error {
		switch {
		case !other.Overlaps(j) || other.Counts.Decayed == 0:
			return nil
		case told == most:
			a.logger().Warn("more newer sweeps of the same facts stand; 'decayctl jobs list' shows them", "job", j.ID)
			return enough
		}
		told++
		a.logger().Warn("a newer sweep of the same facts stands; undo the newest first to get back what was before both", "newer", other.ID, "job", j.ID)
		return nil
	})
	if errors.Is(err, enough) {
		return nil
	}
	return err
}
