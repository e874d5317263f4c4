package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"decayctl/internal/config"
	"decayctl/internal/job"
	"decayctl/internal/report"
	"decayctl/internal/store"
	"decayctl/internal/sweep"
)

// Shared by the commands that work on jobs: sweep, jobs resume and jobs undo.

// openToWork opens the store for writing, and creates decayctl's own tables if necessary. checks come before anything is
// written. 0 connections are what one worker needs.
func (a *app) openToWork(ctx context.Context, at config.Store, connections int, checks ...func(store.Store) error) (store.Store, error) {
	s, err := a.open(ctx, at, store.OpenParams{Connections: connections})
	if err != nil {
		return nil, err
	}
	for _, check := range append(checks, func(s store.Store) error { return s.Prepare(ctx) }) {
		if err = check(s); err != nil {
			break
		}
	}
	if err != nil {
		_ = s.Close()
		return nil, err
	}
	return s, nil
}

// findFirst refuses an id that no job of decayctl has. It comes before decayctl's own tables are created: a command that
// fails must not change the store.
func findFirst(ctx context.Context, id string) func(store.Store) error {
	return func(s store.Store) error {
		if err := s.CheckOwn(ctx); err != nil {
			return err
		}
		_, err := own(ctx, s, id)
		return err
	}
}

// checkWorkers refuses several workers if the store allows only one.
func checkWorkers(workers int, s store.Store) error {
	if alone := s.Tuning().SingleWorkerReason; alone != "" && workers > 1 {
		return usageError{fmt.Sprintf("--workers %d: %s", workers, alone)}
	}
	return nil
}

// skipForeignKeys makes the store write without checking foreign keys, if the settings say so. It comes before
// anything is written.
func skipForeignKeys(ctx context.Context, with config.Run, s store.Store) error {
	if !with.NoFKChecks {
		return nil
	}
	can, err := store.SkipForeignKeys(ctx, s)
	if !can {
		return usageError{"--no-fk-checks: only on PostgreSQL can foreign keys be left unchecked; leave the option out"}
	}
	return err
}

// worker is this process as it joins a job.
func worker(lease time.Duration) store.WorkerParams {
	here := thisOwner()
	return store.WorkerParams{Owner: here, Lease: lease, Gone: func(o job.Owner) bool { return gone(here, o) }}
}

// sweepJob sweeps a job that this process has joined, and reports the result.
func (a *app) sweepJob(ctx context.Context, s store.Store, in store.Joined, with config.Run, target string) error {
	a.tellJoined(in)
	run := report.Run{Target: target, Job: in.Job}
	run.History, run.Notes = lastSweeps(ctx, s, in.Job)
	said := run.Warnings()
	a.logWarnings(in.Job, said) // early, so that the operator can stop the sweep
	engine, done := a.engine(s, with.MaxRuntime)
	j, err := engine.Sweep(ctx, in, with.Work)
	done()
	// Counted at the end, so that no lease ends meanwhile. After another error the store may be unreachable.
	if stopped := (*sweep.Stopped)(nil); err == nil || errors.As(err, &stopped) {
		others, failed := tenantNotes(ctx, s, j.Tenant)
		if failed != nil { // the work is done, and its report does not depend on the count
			others = []string{"the facts of other tenants could not be counted: " + failed.Error()}
		}
		run.Notes = append(run.Notes, others...)
	}
	if is[*sweep.Stopped](err) {
		if recent, failed := recentSweeps(ctx, s); failed == nil { // a comparison is not worth an error
			run.Stopped = job.StoppedInARow(recent)
		}
	}
	if run.Job = j; !a.forPeople() {
		a.logWarnings(j, slices.DeleteFunc(run.Warnings(), func(w report.Warning) bool {
			return slices.ContainsFunc(said, func(before report.Warning) bool { return before.Code == w.Code })
		}))
	}
	return a.conclude(ctx, s, in, run, err)
}

// lastSweeps is the results of the last sweeps with the rules, scope and tenant of a job. If they cannot be read, a
// note says so, and the sweep goes on without a comparison.
func lastSweeps(ctx context.Context, s store.Store, j job.Job) (h job.History, notes []string) {
	past, err := s.Past(ctx, store.PastParams{
		Fingerprint: j.Rules.Fingerprint(), Scope: j.Scope, Tenant: j.Tenant, Before: j.Started, Limit: job.PastJobs,
	})
	if err != nil {
		return h, []string{"the last sweeps by these rules could not be read: " + err.Error()}
	}
	return job.HistoryOf(past, j.Started), nil
}

// logWarnings logs what is unusual about a sweep, for the logs of cron jobs.
func (a *app) logWarnings(j job.Job, warnings []report.Warning) {
	for _, w := range warnings {
		a.logger().Warn(w.Text, "code", w.Code, "job", j.ID)
	}
}

// tellJoined logs the jobs that were paused, and the workers that were removed, when this process joined.
func (a *app) tellJoined(in store.Joined) {
	log := a.logger()
	for _, dead := range in.Paused {
		log.Warn("paused a job that its process had left behind", "job", dead.ID, "resume", resumeCommand(dead))
	}
	for _, w := range in.RemovedWorkers {
		log.Warn("took over from a worker that is gone", "job", in.Job.ID, "host", w.Host, "pid", w.PID)
	}
	log.Debug("joined", "job", in.Job.ID, "worker", in.Lease.Worker, "as_of", in.Job.AsOf)
}

// conclude prints the state of a job with the notes of the store and the run. It returns an error if the job did not do
// what was asked for.
func (a *app) conclude(ctx context.Context, s store.Store, in store.Joined, run report.Run, err error) error {
	j := run.Job
	stillIn := slices.ContainsFunc(j.Workers, func(w job.Worker) bool { return w.Owner == in.Worker.Owner }) // it may have joined again
	a.came(ctx, s, j, false)
	var refused *sweep.Refused
	switch {
	case errors.As(err, &refused):
		return err // nothing was done, and the error is the whole report
	case err != nil && stillIn && !sweep.IsLost(err):
		// The end of the job could not be stored, so the report shows its row.
		return hinted{err, fmt.Sprintf("what is committed stays; '%s' goes on", resumeCommand(j))}
	}
	outcome := jobOutcome(in, j, err)
	run.Notes, run.Made = append(slices.Clone(s.Notes()), run.Notes...), a.made()
	failed := a.printDone(run, jobIs(j))
	if outcome != nil && isClosedPipe(failed) {
		return outcome
	}
	return errors.Join(outcome, failed)
}

// jobOutcome is the error of a command whose job has been reported; nil if the job did what was asked for.
func jobOutcome(in store.Joined, j job.Job, err error) error {
	switch {
	case err == nil && j.State == job.Failed:
		return reported{errors.New(j.StopReason + "; the report lists them")}
	case err == nil && j.State == job.Undone && j.Counts.FailedCount > in.Job.Counts.FailedCount:
		return reported{errors.New("some facts could not be restored; the report lists them")}
	case err == nil && j.State == job.Undone && j.Counts.Restored == 0 && j.Counts.Decayed > 0:
		return reported{errors.New("nothing was given back: no override still is what the job wrote; another sweep, another process or a trigger has changed them")}
	case err == nil:
		return nil
	case j.State == job.Paused || j.State == job.Failed || j.State.Worked():
		return reported{hinted{err, fmt.Sprintf("'%s' goes on", resumeCommand(j))}}
	}
	return reported{err}
}

// jobIs is the state of a job, in words.
func jobIs(j job.Job) string { return "job " + report.ShortID(j.ID) + " is " + string(j.State) }

// tenantNotes are notes on the facts of other tenants, and on a tenant without facts.
func tenantNotes(ctx context.Context, s store.Store, tenant string) ([]string, error) {
	notes, _, err := countOthers(ctx, s, tenant)
	return notes, err
}

// countOthers counts the facts that a sweep of one tenant leaves alone, and says so in notes.
func countOthers(ctx context.Context, s store.Store, tenant string) (notes []string, others int64, err error) {
	if tenant == "" {
		return nil, 0, nil
	}
	found, err := s.OtherTenants(ctx, tenant)
	if err != nil {
		return nil, 0, err
	}
	return report.TenantNotes(tenant, found), found.Facts, nil
}

// hinted is an error with a hint on what to do.
type hinted struct {
	error
	hint string
}

func (e hinted) Error() string { return e.error.Error() + "; " + e.hint }

func (e hinted) Unwrap() error { return e.error }

// resumeCommand is the command that continues a job.
func resumeCommand(j job.Job) string {
	if j.State == job.Undoing {
		return report.Command("undo", j)
	}
	return report.Command("resume", j)
}
