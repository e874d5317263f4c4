package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"decayctl/internal/config"
	"decayctl/internal/job"
	"decayctl/internal/report"
	"decayctl/internal/store"
)

func (a *app) newJobsResumeCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "resume [ID]",
		Short: "Go on with a job that was left",
		Long: `Go on with a job where it was left, with its own rules and its own as-of. With
an id, join that job: on PostgreSQL beside processes that work on it already.
Without one, take the oldest pending job, else the newest that is paused, failed
or left behind by a process that died; if there is none, say so and exit 0.

A job is not resumed if a later sweep of all its facts is done.`,
		Example: `  decayctl jobs resume 3f2a
  0 * * * *  decayctl jobs resume --quiet     # in a crontab`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return oneID(cmd, args)
		},
		ValidArgsFunction: a.jobs(job.Sources(job.Running)...),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.load(cmd)
			if err != nil {
				return err
			}
			return a.runJobsResume(cmd.Context(), c.Store, c.Run, args)
		},
	}
	config.AddResumeFlags(cmd.Flags())
	addPages(cmd)
	addEnding(cmd)
	return cmd
}

func (a *app) runJobsResume(ctx context.Context, at config.Store, with config.Run, args []string) error {
	checks := []func(store.Store) error{
		func(s store.Store) error { return skipForeignKeys(ctx, with, s) },
		func(s store.Store) error { return checkWorkers(with.Work.Workers, s) },
	}
	if len(args) == 1 {
		checks = append(checks, findFirst(ctx, args[0]))
	}
	s, err := a.openToWork(ctx, at, with.Work.Connections(), checks...)
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }()
	var joined store.Joined
	if len(args) == 1 {
		j, err := own(ctx, s, args[0])
		if err == nil {
			joined, err = s.Join(ctx, store.JoinParams{ID: j.ID, Worker: worker(with.Lease)})
		}
		if err != nil {
			return err
		}
	} else {
		joined, err = a.joinNext(ctx, s, worker(with.Lease), at.Display)
		if err != nil || joined.Job.ID == "" {
			return err
		}
	}
	a.announceJob("Resuming", joined.Job, at.Display)
	return a.sweepJob(ctx, s, joined, with, at.Display)
}

// joinNext joins the first job that can be resumed. If there is none, it tells the operator and returns a Joined
// without a job.
func (a *app) joinNext(ctx context.Context, s store.Store, here store.WorkerParams, target string) (store.Joined, error) {
	ids, err := left(ctx, s, here.Gone)
	if err != nil {
		return store.Joined{}, err
	}
	var busy error
	for _, id := range ids {
		joined, err := s.Join(ctx, store.JoinParams{ID: id, Worker: here})
		switch {
		case err == nil:
			return joined, nil
		case is[*job.Superseded](err):
			a.logger().Warn("left out a job", "job", id, "reason", err.Error())
		case is[*job.Busy](err):
			busy = errors.Join(busy, err)
		case !is[*job.Illegal](err): // another process was faster
			return store.Joined{}, err
		}
	}
	if busy != nil {
		return store.Joined{}, busy
	}
	return store.Joined{}, a.printTo(report.Nothing{Text: "There is no job to resume in " + target + "."})
}

// left are the ids of the jobs that may be resumed, in the order to try them: pending jobs, the oldest first, then all
// others, the newest first.
func left(ctx context.Context, s store.Store, gone func(job.Owner) bool) (ids []string, err error) {
	var pending, others []string
	err = s.List(ctx, store.ListParams{States: []job.State{job.Pending, job.Running, job.Paused, job.Failed}}, func(j job.Job) error {
		switch {
		case !deserted(j, gone):
		case j.State == job.Pending:
			pending = append(pending, j.ID)
		default:
			others = append(others, j.ID)
		}
		return nil
	})
	slices.Reverse(pending) // the list begins with the newest
	return append(pending, others...), err
}

// deserted tells whether a job of decayctl stopped before its end and has no live worker. A job that failed at its end
// is complete: a new sweep tries the facts again that could not be written.
func deserted(j job.Job, gone func(job.Owner) bool) bool {
	alive := slices.ContainsFunc(j.Workers, func(w job.Worker) bool { return w.Live && !gone(w.Owner) })
	ended := j.State == job.Failed && j.End && j.OpenClaims == 0
	return !j.Node && !alive && !ended
}

// announceJob prints the target and the job before anything is written.
func (a *app) announceJob(doing string, j job.Job, target string) {
	if a.forPeople() {
		_, _ = fmt.Fprintf(a.Stderr, "%s job %s on %s: %s\n", doing, report.ShortID(j.ID), report.Clean(target), j.Rules.Words())
		return
	}
	a.logger().Info(strings.ToLower(doing), "job", j.ID, "store", target, "rules", j.Rules.Words(), "fingerprint", j.Rules.Fingerprint(), "as_of", j.AsOf)
}
