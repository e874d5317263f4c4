package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"decayctl/internal/config"
	"decayctl/internal/job"
	"decayctl/internal/report"
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
	if err := checkRules(c.Selection.Rules); err != nil {
		return err
	}
	p := a.judgedBy(c.Selection)
	x := report.Explanation{Target: c.Store.Display, AsOf: p.AsOf, Rules: p.Rules}
	err := a.withStore(ctx, c.Store, func(s store.Store) (err error) {
		engine, done := a.quietEngine(s, c.Run.MaxRuntime)
		defer done()
		x.Explained, err = engine.Explain(ctx, p, id)
		x.Notes = s.Notes()
		return err
	})
	if err != nil {
		return err
	}
	return a.printTo(x)
}

// judgedBy is the parameters of a judgement without a job: as-of is now unless the settings have one.
func (a *app) judgedBy(by config.Selection) sweep.Params {
	p := sweep.ParamsOf(job.Job{Rules: by.Rules, AsOf: by.AsOf, Scope: by.Scope, Tenant: by.Tenant})
	if p.AsOf.IsZero() {
		p.AsOf = a.Now().UTC().Truncate(time.Microsecond) // what the store can hold
	}
	return p
}
