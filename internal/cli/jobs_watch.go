package cli

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"decayctl/internal/config"
	"decayctl/internal/job"
	"decayctl/internal/report"
	"decayctl/internal/store"
	"decayctl/internal/sweep"
)

func (a *app) newJobsWatchCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "watch ID",
		Short: "Show the progress of a job until it ends",
		Long: `Show how far a job has come that another process works on, until it ends, and
then its report. The exit code is the one that the job's own command ends with:
0 if it is done or undone, 1 if it failed or was cancelled, 3 if it was paused
or no process works on it any more. Nothing is written, and to interrupt 'jobs
watch' does not touch the job.`,
		Example: `  decayctl jobs watch 3f2a
  decayctl jobs watch 3f2a --quiet && echo done`,
		Args:              oneID,
		ValidArgsFunction: a.jobs(),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.load(cmd)
			if err != nil {
				return err
			}
			return a.runJobsWatch(cmd.Context(), c.Store, args[0])
		},
	}
	addPages(cmd)
	return cmd
}

const watchInterval = time.Second // between looks at a job; a batch takes a part of that

func (a *app) runJobsWatch(ctx context.Context, at config.Store, id string) error {
	progress := a.progress(a.output.Quiet)
	run, err := a.watch(ctx, at, id, progress.Update)
	progress.Done()
	if err != nil {
		return err
	}
	run.Now, run.Made = a.Now(), a.made()
	return errors.Join(watchedOutcome(run.Job), a.printTo(run))
}

// watch looks at a job until it ends or no process works on it.
func (a *app) watch(ctx context.Context, at config.Store, id string, show func(sweep.Progress)) (report.Run, error) {
	run := report.Run{Target: at.Display}
	for {
		// Each look opens the store anew: a SQLite file may be read without locks, and then only as it is at one moment.
		err := a.withStore(ctx, at, func(s store.Store) (err error) {
			if run.Job, err = s.Find(ctx, id); err != nil {
				return err
			}
			if run.Job.Node {
				return &job.Foreign{ID: run.Job.ID}
			}
			noteGone(run.Job)
			run.Notes = s.Notes()
			return nil
		})
		if err != nil || !run.Job.State.Worked() || run.Job.Dead() {
			return run, err
		}
		id = run.Job.ID // whole: a later job may begin alike
		show(progressOf(run.Job))
		if err := sleep(ctx, watchInterval); err != nil {
			return run, err
		}
	}
}

// progressOf is how far a job has come, as its own process shows it.
func progressOf(j job.Job) sweep.Progress {
	if j.State == job.Undoing {
		return sweep.Progress{Phase: sweep.Undoing, Examined: j.Counts.Restored, Total: j.Counts.Decayed}
	}
	return sweep.Progress{
		Phase: sweep.Sweeping, Examined: j.Counts.Examined, Total: max(j.Total, j.Counts.Examined),
		Selected: j.Counts.Selected, Decayed: j.Counts.Decayed,
	}
}

// watchedOutcome is the error that a watched job ends its command with; nil if it came to its end.
func watchedOutcome(j job.Job) error {
	switch {
	case slices.Contains([]job.State{job.Done, job.Undone}, j.State):
		return nil
	case slices.Contains([]job.State{job.Failed, job.Cancelled}, j.State):
		return reported{errors.New(cmp.Or(j.StopReason, jobIs(j)))}
	}
	why := "no process works on the job"
	if j.State == job.Paused && j.StopReason != "" {
		why = j.StopReason
	}
	return reported{hinted{&sweep.Stopped{Why: why}, "'" + resumeCommand(j) + "' goes on"}}
}
