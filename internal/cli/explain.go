package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"decayctl/internal/config"
	"decayctl/internal/job"
	"decayctl/internal/report"
	"decayctl/internal/rule"
	"decayctl/internal/store"
	"decayctl/internal/sweep"
)

func (a *app) newExplainCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "explain FACT-ID",
		Short: "Show what a sweep would do with one fact, and why",
		Long: `Judge one fact as a sweep with the same settings would, and say why: the fact
with its override and all that protects it, every rule in the order in which
they are tried, the verdict, and when the fact will next change. Nothing is
written.`,
		Example: `  decayctl explain 0193a7f2-5c1e-7b31-9a52-d0b6a1c3e4f5 --ttl 90d
  decayctl explain 0193a7f2-5c1e-7b31-9a52-d0b6a1c3e4f5 --policies policies.yaml
  decayctl explain 0193a7f2-5c1e-7b31-9a52-d0b6a1c3e4f5 -o json | jq .verdict`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 && args[0] != "" {
				return nil
			}
			return usageError{"give the id of one fact; see '" + cmd.CommandPath() + " --help'"}
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.load(cmd)
			if err != nil {
				return err
			}
			return a.runExplain(cmd.Context(), c, args[0])
		},
	}
	config.AddRuleFlags(cmd.Flags())
	return cmd
}

func (a *app) runExplain(ctx context.Context, c config.Config, id string) error {
	if err := checkRules(c.Rules); err != nil {
		return err
	}
	p := a.judgedBy(c, c.Rules)
	x := report.Explanation{Target: c.Store.Display, AsOf: p.AsOf, Rules: c.Rules}
	err := a.withStore(ctx, c, func(s store.Store) (err error) {
		engine, done := a.quietEngine(c, s)
		defer done()
		x.Explained, err = engine.Explain(ctx, p, id)
		x.Notes = s.Notes()
		return err
	})
	if err != nil {
		return err
	}
	return a.printTo(c, x)
}

// judgedBy is the parameters of a judgement without a job: as-of is now unless the settings have one.
func (a *app) judgedBy(c config.Config, rules rule.Set) sweep.Params {
	p := sweep.ParamsOf(job.Job{Rules: rules, AsOf: c.AsOf, Scope: c.Scope, Tenant: c.Tenant})
	if p.AsOf.IsZero() {
		p.AsOf = a.Now().UTC().Truncate(time.Microsecond) // what the store can hold
	}
	return p
}

// quietEngine is an engine without progress, for quick work.
func (a *app) quietEngine(c config.Config, s store.Store) (engine *sweep.Engine, done func()) {
	c.Quiet = true
	return a.engine(c, s)
}
