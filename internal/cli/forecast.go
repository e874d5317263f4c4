package cli

import (
	"context"
	"slices"

	"github.com/spf13/cobra"

	"decayctl/internal/config"
	"decayctl/internal/report"
	"decayctl/internal/stats"
	"decayctl/internal/store"
)

func (a *app) newForecastCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "forecast",
		Short: "Show how many facts will expire on the days to come",
		Long: `Judge every live fact by the rules of today, and count on which day it will
change: as if a sweep ran now and once a day from now on, and no other process
wrote. 'decayctl explain' says the same of one fact. Nothing is written, and the
store is opened read-only, as by dry-run.

Facts that are not yet asserted cannot be forecast. Neither can what other
processes do to confidence, expiries, holds and the newest facts of a group.`,
		Example: `  decayctl forecast --ttl 90d
  decayctl forecast --ttl 90d --days 365 --by relation
  decayctl forecast --policies policies.yaml -o json | jq '.days[] | [.until, .expire]'`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.load(cmd)
			if err != nil {
				return err
			}
			return a.runForecast(cmd.Context(), c)
		},
	}
	config.AddRuleFlags(cmd.Flags())
	config.AddForecastFlags(cmd.Flags())
	addPages(cmd)
	return cmd
}

func (a *app) runForecast(ctx context.Context, c config.Config) error {
	if err := checkRules(c.Selection.Rules); err != nil {
		return err
	}
	p := a.judgedBy(c.Selection)
	p.Live, p.Ahead = true, c.Forecast.Days
	forecast := report.Forecast{Target: c.Store.Display, Rules: p.Rules, Scope: p.Scope, Tenant: p.Tenant, Made: a.made()}
	err := a.withStore(ctx, c.Store, func(s store.Store) error {
		engine, done := a.engine(s, c.Run.MaxRuntime)
		defer done()
		p, err := engine.Clocked(ctx, p)
		if err != nil {
			return err
		}
		counted := stats.NewCollector(stats.Params{Rules: p.Rules, AsOf: p.AsOf, Now: p.Now, Days: p.Ahead, By: c.Forecast.By})
		if _, err := engine.Preview(ctx, p, counted); err != nil {
			return err
		}
		forecast.Forecast = counted.Statistics().Forecast
		others, err := tenantNotes(ctx, s, p.Tenant)
		forecast.Notes = append(slices.Clone(s.Notes()), others...)
		return err
	})
	if err != nil {
		return err
	}
	return a.printDone(forecast, "the forecast is done")
}
