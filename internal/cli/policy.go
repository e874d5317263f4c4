package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"decayctl/internal/config"
	"decayctl/internal/fact"
	"decayctl/internal/report"
	"decayctl/internal/rule"
	"decayctl/internal/store"
	"decayctl/internal/sweep"
)

func (a *app) newPolicyCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "policy",
		Short: "Check policies, and show them in the order in which they are tried",
		Long: `Policies are rules for some facts each: by relation, entity, source, scope and
tenant. The first that matches a fact decides on it. They stand in a YAML or
JSON file (--policies), in the config file, or in the node's
STIGMEM_DECAY_POLICIES.`,
		Example: `  decayctl policy check --policies policies.yaml
  decayctl policy show`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.newPolicyCheckCmd(), a.newPolicyShowCmd())
	return cmd
}

func (a *app) newPolicyCheckCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check policies, by themselves and against the store",
		Long: `Read the policies strictly: whatever is wrong ends with exit code 2, its file
and its line. Then show what each finds in the store: how many live facts it
matches (it is the first to match them), would expire or retract now, would
lower the confidence of, and how many a protection keeps. Policies in mode
dry_run stand apart.

Then warn of what is no error and probably not meant: policies that can never
match, that match nothing in this store, that would expire most of a scope,
whose fading stops above where facts start, or that exempt a relation which they
do not match. Warnings do not change the exit code. Nothing is written. Without
a store (none is named, and the default one is not there) only the policies
themselves are checked.`,
		Example: `  decayctl policy check --policies policies.yaml
  decayctl policy check -o json | jq -e '.warnings == []'`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.load(cmd)
			if err != nil {
				return err
			}
			return a.runPolicyCheck(cmd.Context(), c)
		},
	}
	config.AddRuleFlags(cmd.Flags())
	addPages(cmd)
	return cmd
}

func (a *app) runPolicyCheck(ctx context.Context, c config.Config) error {
	rules, tenant := c.Selection.Rules, c.Selection.Tenant
	if len(rules.Policies) == 0 {
		return usageError{"there are no policies to check: name their file with --policies, DECAYCTL_POLICIES or policies in the config file, or set STIGMEM_DECAY_POLICIES"}
	}
	idle := idlePolicies(rules, tenant)
	checked := report.Checked{Rules: rules, Warnings: slices.Concat(idle, vainExemptions(rules)), Made: a.made()}
	if c.Store.Origin == config.DefaultOrigin {
		if _, err := os.Stat(c.Store.Path); errors.Is(err, fs.ErrNotExist) {
			checked.Notes = append(checked.Notes, "no store was looked at: none is named, and there is no "+c.Store.Display)
			return a.printTo(checked)
		}
	}
	checked.Target = c.Store.Display
	var found *sweep.Survey
	err := a.withStore(ctx, c.Store, func(s store.Store) (err error) {
		engine, done := a.engine(s, c.Run.MaxRuntime)
		defer done()
		found, err = engine.Survey(ctx, a.judgedBy(c.Selection))
		if err != nil {
			return err
		}
		others, err := tenantNotes(ctx, s, tenant)
		checked.Notes = append(slices.Clone(s.Notes()), others...)
		return err
	})
	if err != nil {
		return err
	}
	checked.Found = found
	checked.Warnings = append(checked.Warnings, surveyed(rules, tenant, found, idle)...)
	return a.printTo(checked)
}

// idlePolicies warns of policies that never act, whatever facts a store has. tenant is the tenant to sweep, or "" for
// all.
func idlePolicies(rules rule.Set, tenant string) (warnings []report.Warning) {
	unreachable := rules.Unreachable()
	for i := range rules.Policies {
		p := &rules.Policies[i]
		if tenant != "" && p.Tenant != "" && p.Tenant != tenant {
			warnings = append(warnings, report.Warning{Policy: p.ID, Code: "another_tenant", Text: fmt.Sprintf("it is for tenant %q, and only tenant %q is swept; add --tenant or --all-tenants", p.Tenant, tenant)})
		}
		if why := p.Idle(); why != "" {
			warnings = append(warnings, report.Warning{Policy: p.ID, Code: "never_acts", Text: "it can never act: " + why})
		}
		if by := unreachable[i]; by != nil {
			warnings = append(warnings, report.Warning{Policy: p.ID, Code: "shadowed", Text: "it can never match: policy " + by.ID + " is tried before it and matches all that it does"})
		}
	}
	return warnings
}

// vainExemptions warns of exemptions that protect no fact: the operator believes that they do.
func vainExemptions(rules rule.Set) (warnings []report.Warning) {
	for i := range rules.Policies {
		p := &rules.Policies[i]
		for _, exempt := range p.VainExemptions() {
			warnings = append(warnings, report.Warning{Policy: p.ID, Code: "exempts_nothing", Text: fmt.Sprintf(
				"its exempt_relations have %q, which has no effect: its relation %q does not match it", exempt, p.Relation)})
		}
	}
	return warnings
}

// surveyed warns about what policies find in a store, except for those of idlePolicies.
func surveyed(rules rule.Set, tenant string, found *sweep.Survey, before []report.Warning) (warnings []report.Warning) {
	whose := ""
	if tenant != "" {
		whose = fmt.Sprintf(" of tenant %q", tenant)
	}
	idle := map[string]bool{}
	for _, w := range before {
		idle[w.Policy] = true
	}
	for i := range rules.Policies {
		p := &rules.Policies[i]
		of := found.Policies[p.ID]
		warn := func(code, format string, args ...any) {
			warnings = append(warnings, report.Warning{Policy: p.ID, Code: code, Text: fmt.Sprintf(format, args...)})
		}
		if of.Matched == 0 && !idle[p.ID] {
			warn("matches_nothing", "it matches no live fact%s in this store", whose)
		}
		for _, scope := range fact.Scopes {
			if expires, live := of.Expires[scope], found.Live[scope]; expires*2 > live {
				warn("expires_most", "it would expire %s live facts in scope %s", report.Share(expires, live), scope)
			}
		}
		if of.Faint*2 > of.Matched {
			warn("stops_above_start", "its min_confidence %v stops the fading above where %s facts start, so they never fade; to expire weak facts use the setting min_confidence",
				p.MinConfidence, report.Share(of.Faint, of.Matched))
		}
	}
	return warnings
}
