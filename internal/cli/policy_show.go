package cli

import (
	"github.com/spf13/cobra"

	"decayctl/internal/config"
	"decayctl/internal/report"
)

func (a *app) newPolicyShowCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Show the rules in the order in which they are tried",
		Long: `Show every rule that is on, in the order in which they are tried: the most
specific policy first, with defaults filled in and where each value was set. No
store is opened.`,
		Example: `  decayctl policy show
  decayctl policy show --policies policies.yaml -o json | jq '.rules.policies[].id'`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.load(cmd)
			if err != nil {
				return err
			}
			return a.printTo(report.Policies{
				Rules: c.Selection.Rules, Origin: c.Origins.Policies, TTLOrigin: c.Origins.TTL, FloorOrigin: c.Origins.Floor,
				Place: func(id string) string { return c.Origins.Policy[id].Place },
				Field: func(id, field string) string { return c.Origins.Policy[id].From(field) },
			})
		},
	}
	config.AddRuleFlags(cmd.Flags())
	return cmd
}
