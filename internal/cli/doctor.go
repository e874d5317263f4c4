package cli

import (
	"context"
	"slices"

	"github.com/spf13/cobra"

	"decayctl/internal/config"
	"decayctl/internal/job"
	"decayctl/internal/report"
	"decayctl/internal/store"
)

func (a *app) newDoctorCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check a store: schema, privileges, indexes, clock, timestamps, jobs",
		Long: `Look a store over, and write nothing: which schema it has and whether decayctl
can work with it, which privileges the role holds and which are missing, which
indexes are missing that sweeps would be faster with and the statements that
make them, how far the clocks are apart, how many timestamps are odd or
unreadable, which jobs were left behind with the command that mends each, and
what is kept for undos.

With --ddl, print the statements that make decayctl's own tables, for an
administrator to run where the role may not.`,
		Example: `  decayctl doctor
  decayctl doctor --ddl | psql -d stigmem`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.load(cmd)
			if err != nil {
				return err
			}
			return a.runDoctor(cmd.Context(), c.Store, c.DDL)
		},
	}
	config.AddDoctorFlags(cmd.Flags())
	addEnding(cmd)
	return cmd
}

func (a *app) runDoctor(ctx context.Context, at config.Store, ddl bool) error {
	health := report.Health{Target: at.Display}
	statements := ""
	err := a.withStore(ctx, at, func(s store.Store) (err error) {
		if ddl {
			statements, err = s.DDL(ctx)
			return err
		}
		health.Notes = s.Notes()
		if health.Found, err = s.Diagnose(ctx); err != nil || health.Found.OwnBroken || health.Found.Cluster.HidesJobs() {
			return err
		}
		err = a.lookAtJobs(ctx, s, &health)
		if health.JobsHidden = store.Is(err, store.NotPermitted); health.JobsHidden {
			health.Notes, err = append(slices.Clone(health.Notes), "the jobs are not known: "+err.Error()), nil
		}
		return err
	})
	if err != nil {
		return err
	}
	if ddl {
		return a.printTo(report.Statements{SQL: statements})
	}
	health.Now = a.Now()
	return a.printTo(health)
}

// lookAtJobs adds what the jobs of the store say to the result.
func (a *app) lookAtJobs(ctx context.Context, s store.Store, health *report.Health) (err error) {
	a.countJobs(ctx, s)
	if health.History, health.Stopped, err = a.lately(ctx, s); err != nil {
		return err
	}
	health.Left, err = a.leftBehind(ctx, s)
	return err
}

// lately is how sweeps went: those by the rules of the newest one, and how many in a row a time limit stopped.
func (a *app) lately(ctx context.Context, s store.Store) (h job.History, stopped int, err error) {
	recent, err := recentSweeps(ctx, s)
	if err != nil || len(recent) == 0 {
		return h, 0, err
	}
	now := recent[0]
	now.Started = a.Now()
	h, _ = lastSweeps(ctx, s, now)
	return h, job.StoppedInARow(recent), nil
}

// recentSweeps are the newest jobs of decayctl, the newest first.
func recentSweeps(ctx context.Context, s store.Store) (recent []job.Job, err error) {
	err = s.List(ctx, store.ListParams{Limit: job.PastJobs}, func(j job.Job) error {
		if !j.Node {
			recent = append(recent, j)
		}
		return nil
	})
	return recent, err
}

// unfinished are the states of jobs that are neither done, cancelled nor undone.
var unfinished = []job.State{job.Pending, job.Running, job.Paused, job.Failed, job.Undoing}

// leftBehind are the unfinished jobs without a live worker.
func (a *app) leftBehind(ctx context.Context, s store.Store) ([]report.LeftJob, error) {
	here := thisOwner()
	var found []report.LeftJob
	err := s.List(ctx, store.ListParams{States: unfinished}, func(j job.Job) error {
		if deserted(j, func(o job.Owner) bool { return gone(here, o) }) {
			// Without rules and counts, since there may be very many jobs.
			slim := job.Job{ID: j.ID, State: j.State, Workers: j.Workers, Created: j.Created, StopReason: j.StopReason}
			found = append(found, report.LeftJob{Job: slim, Command: resumeCommand(j)})
		}
		return nil
	})
	return found, err
}
