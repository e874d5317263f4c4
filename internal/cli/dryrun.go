package cli

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"decayctl/internal/config"
	"decayctl/internal/job"
	"decayctl/internal/plan"
	"decayctl/internal/report"
	"decayctl/internal/stats"
	"decayctl/internal/store"
	"decayctl/internal/sweep"
)

func (a *app) newDryRunCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dry-run",
		Short: "Show what a sweep would do, and why; write nothing",
		Long: `Judge every fact as a sweep with the same settings would, and report what it
would expire and what it would keep. The store is opened read-only: this works
on a read-only file, beside a live node, on a hot standby, and with a role that
may only SELECT.

With --save the dry run is written down as a plan. 'decayctl sweep --plan'
changes the facts that were reviewed, in the way that was reviewed, or nothing.

` + exitCodeHelp,
		Example: `  decayctl dry-run --ttl 90d
  decayctl dry-run --ttl 90d --samples 5
  decayctl dry-run --ttl 90d --save plan.json
  decayctl dry-run --ttl 90d --detailed-exitcode --quiet || echo "something to decay"`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.load(cmd)
			if err != nil {
				return err
			}
			return a.runDryRun(cmd.Context(), c)
		},
	}
	config.AddRuleFlags(cmd.Flags())
	config.AddDryRunFlags(cmd.Flags())
	addPages(cmd)
	addEnding(cmd)
	return cmd
}

func (a *app) runDryRun(ctx context.Context, c config.Config) error {
	if err := checkRules(c.Selection.Rules); err != nil {
		return err
	}
	if c.DryRun.Save != "" {
		if err := a.checkPlanPlace(c.DryRun.Save); err != nil {
			return err
		}
	}
	s, err := a.open(ctx, c.Store, store.OpenParams{ReadOnly: true})
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }()
	p, began := a.judgedBy(c.Selection), a.Now()
	p.Samples = c.DryRun.Samples
	j := job.Job{State: job.Done, Rules: p.Rules, AsOf: p.AsOf, Scope: p.Scope, Tenant: p.Tenant, Created: began, Started: began}
	sum := plan.NewSum(p.Rules, p.AsOf)
	var with []sweep.Collector
	if c.DryRun.Save != "" {
		with = append(with, sum)
	}
	counted, preview, err := a.preview(ctx, s, p, c.Run.MaxRuntime, with)
	if err != nil {
		return err // an incomplete dry run has no report
	}
	notes, others, err := countOthers(ctx, s, p.Tenant)
	if err != nil {
		return err
	}
	if counted != nil && p.Scope == "" { // how many facts other scopes have is not known
		counted.CountExpired(preview.Examined - others)
	}
	j.Completed, j.Counts, j.Total = a.Now(), preview.Counts, preview.Total
	a.came(ctx, s, j, true)
	a.run.facts = factsOf(counted)
	cost, err := store.CostOf(ctx, s, preview.Due())
	if err != nil {
		return err
	}
	history, unread := lastSweeps(ctx, s, j)
	run := report.Run{
		Target: c.Store.Display, Job: j, Preview: preview, History: history,
		Notes: slices.Concat(s.Notes(), notes, unread, report.CostNotes(cost)), Cost: cost, Stats: counted, Now: j.Completed, Made: a.made(),
	}
	if !a.forPeople() {
		a.logWarnings(j, run.Warnings())
	}
	var unsaved error
	if c.DryRun.Save != "" {
		if unsaved = a.saveDryRun(ctx, c.DryRun.Save, c.Store, s, j, sum); unsaved == nil {
			run.Job.Plan, run.Saved = sum.Digest(), c.DryRun.Save
		}
	}
	if err := errors.Join(a.printDone(run, "the dry run is done"), unsaved); err != nil {
		return err
	}
	if c.DryRun.DetailedExitCode && preview.Due() > 0 {
		return errSomething
	}
	return nil
}

// preview judges everything. It counts what pictures show if an output has any: then all live facts are read, and not only
// those that a rule may select.
func (a *app) preview(ctx context.Context, s store.Store, p sweep.Params, limit time.Duration, with []sweep.Collector) (*stats.Statistics, *sweep.Result, error) {
	engine, done := a.engine(s, limit)
	defer done()
	if !a.hasPictures() {
		found, err := engine.Preview(ctx, p, with...)
		return nil, found, err
	}
	p.Live, p.Ahead = true, stats.DefaultDays
	p, err := engine.Clocked(ctx, p)
	if err != nil {
		return nil, nil, err
	}
	counted := stats.NewCollector(stats.Params{Rules: p.Rules, AsOf: p.AsOf, Now: p.Now, Days: p.Ahead})
	found, err := engine.Preview(ctx, p, append(with, counted)...)
	if err != nil {
		return nil, nil, err
	}
	return counted.Statistics(), found, nil
}

// hasPictures tells whether an output shows pictures: a page, on stdout or in a file, or text on a terminal.
func (a *app) hasPictures() bool {
	page := func(form string) bool { return form == config.OutputMarkdown || form == config.OutputHTML }
	return page(a.output.Form) || a.output.Form == config.OutputText && a.style().Draws() || slices.ContainsFunc(a.output.Reports, func(r config.Report) bool { return page(r.Form) })
}
