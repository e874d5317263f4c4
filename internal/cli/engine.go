package cli

import (
	"context"
	"time"

	"decayctl/internal/job"
	"decayctl/internal/report"
	"decayctl/internal/rule"
	"decayctl/internal/store"
	"decayctl/internal/sweep"
)

// progress shows progress on stderr, unless it is quiet.
func (a *app) progress(quiet bool) *report.Progress {
	return report.NewProgress(report.ProgressParams{
		Stderr: a.Stderr, Terminal: a.hasEscapes(a.Stderr), Quiet: quiet, Log: a.logger(), Now: a.Now,
	})
}

// engine makes an engine with the clock and progress of this process, which stops when the limit has passed; 0 is no
// limit. done removes the progress.
func (a *app) engine(s store.Store, limit time.Duration) (engine *sweep.Engine, done func()) {
	return a.newEngine(s, limit, a.output.Quiet)
}

// quietEngine is an engine without progress, for quick work.
func (a *app) quietEngine(s store.Store, limit time.Duration) (engine *sweep.Engine, done func()) {
	return a.newEngine(s, limit, true)
}

func (a *app) newEngine(s store.Store, limit time.Duration, quiet bool) (engine *sweep.Engine, done func()) {
	progress := a.progress(quiet)
	began := a.Now()
	left := func() time.Duration { return limit - a.Now().Sub(began) }
	return &sweep.Engine{
		Store: s,
		Progress: func(p sweep.Progress) {
			a.run.waits.update(p.Phase, a.Now())
			progress.Update(p)
		},
		Note: func(why string) {
			if !a.output.Quiet {
				progress.Aside(func() { a.logger().Warn(why) })
			}
		},
		Sleep: func(ctx context.Context, d time.Duration) error {
			if limit > 0 {
				d = min(d, left()) // a pause must not delay the end by the time limit
			}
			began := a.Now()
			err := sleep(ctx, d)
			a.run.waits.slept(a.Now().Sub(began))
			return err
		},
		Halt: func() error {
			if limit > 0 && left() <= 0 {
				inSeconds := rule.TTL(limit / time.Second) // in the form of the setting
				return &sweep.Stopped{Why: "the time limit of " + inSeconds.String() + " is up " + job.TimeLimit}
			}
			return nil
		},
	}, progress.Done
}

// sleep waits until the time has passed or ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
