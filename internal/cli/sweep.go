package cli

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"decayctl/internal/config"
	"decayctl/internal/job"
	"decayctl/internal/plan"
	"decayctl/internal/report"
	"decayctl/internal/rule"
	"decayctl/internal/store"
	"decayctl/internal/sweep"
)

func (a *app) newSweepCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "sweep",
		Short: "Expire stale facts",
		Long: `Expire every fact that the rules select: older than a time to live (--ttl), or
below a confidence floor (--min-confidence); policies (--policies) say otherwise
for some facts, and may lower their confidence instead. Facts are never deleted:
each gets an expiry in the override table. System facts, relations in rel:,
facts under a legal hold and facts pending in quarantine are left alone, and
counted.

A sweep is a job, written in short transactions. It may be interrupted or killed
at any time: what was committed stays, 'decayctl jobs resume' goes on from
there, and 'decayctl jobs undo' takes it back. Two sweeps of overlapping scopes
do not run at once. Without --tenant or --all-tenants it is of the tenant
default.

With --plan the rules, the scope, the tenant and the as-of are those of a plan
that 'decayctl dry-run --save' has made. If other facts would change now than
those that were reviewed, nothing is written.

` + exitCodeHelp,
		Example: `  decayctl sweep --ttl 90d --min-confidence 0.4
  decayctl sweep --ttl 30d --scope local --max-expire 5%
  decayctl sweep --ttl 30d --all-tenants
  decayctl sweep --policies policies.yaml
  decayctl sweep --plan plan.json --allow-drift 1%
  decayctl sweep --wait 10m --max-runtime 2h
  decayctl sweep -o json | jq .decayed`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.load(cmd)
			if err != nil {
				return err
			}
			return a.runSweep(cmd.Context(), c)
		},
	}
	config.AddRuleFlags(cmd.Flags())
	config.AddSweepFlags(cmd.Flags())
	addPages(cmd)
	addEnding(cmd)
	return cmd
}

func (a *app) runSweep(ctx context.Context, c config.Config) error {
	var saved *plan.Plan
	if c.Start.Plan != "" {
		var err error
		if saved, err = a.readPlan(c.Start.Plan); err != nil {
			return err
		}
		c.Selection = config.Selection{Rules: saved.Rules, AsOf: saved.AsOf, Scope: saved.Scope, Tenant: saved.Tenant}
	} else if err := a.checkSweep(ctx, c.Selection, c.Store.Display, c.Yes); err != nil {
		return err
	}
	s, err := a.open(ctx, c.Store, store.OpenParams{Connections: c.Run.Work.Connections()})
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }()
	if err := skipForeignKeys(ctx, c.Run, s); err != nil {
		return err
	}
	if err := checkWorkers(c.Run.Work.Workers, s); err != nil {
		return err
	}
	by, target := c.Selection, c.Store.Display
	p := store.StartParams{
		ID: uuid.NewString(), Rules: by.Rules, AsOf: by.AsOf, Scope: by.Scope, Tenant: by.Tenant,
		MaxExpire: c.Start.MaxExpire, Worker: worker(c.Run.Lease),
	}
	if saved != nil {
		if p.Plan, p.Check, err = forJob(ctx, c.Start, c.Store, s, saved); err != nil {
			return err
		}
	}
	if err := s.Prepare(ctx); err != nil {
		return err
	}
	a.announce(by.Rules, target)

	if p.Total, err = s.Estimate(ctx); err != nil {
		return err
	}
	if c.Start.Detach {
		// The count stops at the threshold: it must not take longer than the work.
		n, err := s.CountUpTo(ctx, by.Scope, by.Tenant, min(c.Start.Threshold, math.MaxInt64-1)+1)
		if err != nil {
			return err
		}
		p.Later = n > c.Start.Threshold
	}
	joined, err := a.start(ctx, s, p, c.Start.Wait)
	if err != nil {
		return err
	}
	if p.Later {
		return a.printDone(report.Pending{Target: target, Job: joined.Job}, jobIs(joined.Job))
	}
	if !a.forPeople() { // the log of a killed sweep must name the job to resume
		a.logger().Info("began", "job", joined.Job.ID, "as_of", joined.Job.AsOf)
	}
	return a.sweepJob(ctx, s, joined, c.Run, target)
}

// checkSweep refuses an empty set of rules, and asks before rules that expire nearly everything. It does not ask for a
// plan, whose numbers the operator has seen.
func (a *app) checkSweep(ctx context.Context, by config.Selection, target string, yes bool) error {
	if err := checkRules(by.Rules); err != nil {
		return err
	}
	if by.AsOf.After(a.Now()) {
		return usageError{"--as-of lies in the future; a sweep judges by a time that has come (a dry run may look ahead)"}
	}
	if why := sweep.ExpiresNearlyAll(by.Rules, by.Scope, by.Tenant); why != "" && !yes {
		return a.confirm(ctx, why, target, "add --scope, or --yes if that is what you want")
	}
	return nil
}

// start starts the job. It waits for an overlapping job to end, but not longer than wait.
func (a *app) start(ctx context.Context, s store.Store, p store.StartParams, wait time.Duration) (store.Joined, error) {
	const look = 500 * time.Millisecond
	until, waiting := a.Now().Add(wait), false
	for {
		joined, err := s.Start(ctx, p)
		var busy *job.Busy
		if !errors.As(err, &busy) || !a.Now().Before(until) {
			return joined, err
		}
		if !waiting {
			waiting = true
			a.logger().Info("waiting for another sweep to end", "job", busy.Job.ID, "state", string(busy.Job.State), "at_most", wait.String())
		}
		if err := sleep(ctx, min(look, until.Sub(a.Now()))); err != nil {
			return joined, err
		}
	}
}

func checkRules(rules rule.Set) error {
	if rules.Empty() {
		return usageError{"no rule is on: give --ttl, --min-confidence or --policies, or set DECAYCTL_TTL, DECAYCTL_MIN_CONFIDENCE, DECAYCTL_POLICIES or the node's STIGMEM_DECAY_* variables"}
	}
	return nil
}

// announce prints the target before anything is written: as text for a person, else as a log line.
func (a *app) announce(rules rule.Set, target string) {
	if a.forPeople() {
		_, _ = fmt.Fprintf(a.Stderr, "Sweeping %s: %s\n", report.Clean(target), rules.Words())
		return
	}
	a.logger().Info("sweeping", "store", target, "rules", rules.Words(), "fingerprint", rules.Fingerprint())
}
