package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"decayctl/internal/config"
)

// printUsage prints how a command is used, with its flags in groups: a list of forty flags in the order of their names
// does not show which of them belong together.
func (a *app) printUsage(cmd *cobra.Command) error {
	width := 0 // a pipe wraps nothing
	if isTerminal(a.Stdout) {
		width = terminalWidth(a.Stdout)
	}
	var b strings.Builder
	b.WriteString("Usage:\n")
	if cmd.Runnable() {
		fmt.Fprintf(&b, "  %s\n", cmd.UseLine())
	}
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(&b, "  %s [command]\n", cmd.CommandPath())
	}
	if cmd.HasExample() {
		fmt.Fprintf(&b, "\nExamples:\n%s\n", cmd.Example)
	}
	if cmd.HasAvailableSubCommands() {
		b.WriteString("\nCommands:\n")
		for _, sub := range cmd.Commands() {
			if sub.IsAvailableCommand() || sub.Name() == "help" {
				fmt.Fprintf(&b, "  %-*s %s\n", sub.NamePadding(), sub.Name(), sub.Short)
			}
		}
	}
	groups := map[string]*pflag.FlagSet{}
	add := func(flag *pflag.Flag) {
		if flag.Hidden {
			return
		}
		group := config.GroupOf(flag)
		if groups[group] == nil {
			groups[group] = pflag.NewFlagSet(group, pflag.ContinueOnError)
			groups[group].SortFlags = false
		}
		groups[group].AddFlag(flag)
	}
	cmd.Flags().SortFlags = false // LocalFlags copies them in this order
	cmd.LocalFlags().VisitAll(add)
	cmd.InheritedFlags().VisitAll(add)
	for _, group := range config.Groups {
		if groups[group] != nil {
			fmt.Fprintf(&b, "\n%s:\n%s", group, groups[group].FlagUsagesWrapped(width))
		}
	}
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(&b, "\n'%s [command] --help' tells more about a command.\n", cmd.CommandPath())
	}
	_, err := fmt.Fprint(cmd.OutOrStdout(), b.String())
	return err
}
