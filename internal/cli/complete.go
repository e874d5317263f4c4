package cli

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"decayctl/internal/config"
	"decayctl/internal/job"
	"decayctl/internal/report"
	"decayctl/internal/store"
)

// What a shell offers behind a flag or an argument. Whatever goes wrong while decayctl looks for it, the shell offers nothing: an
// error would end up in the command line that the operator is typing.

// completeWithin is how long a shell waits for values from a store. Tests on a busy machine wait longer.
var completeWithin = time.Second

// mostOffered is how many values of a store a shell offers at once.
const mostOffered = 50

// completeFlags makes shells offer values for the flags of a command and of all commands below it.
func (a *app) completeFlags(cmd *cobra.Command) {
	cmd.LocalFlags().VisitAll(func(flag *pflag.Flag) {
		if offer := a.valuesOf(flag); offer != nil {
			// It fails only for a flag that is not there, or that has values already.
			_ = cmd.RegisterFlagCompletionFunc(flag.Name, offer)
		}
	})
	for _, below := range cmd.Commands() {
		a.completeFlags(below)
	}
}

// valuesOf finds the values of a flag; nil if there is nothing to offer.
func (a *app) valuesOf(flag *pflag.Flag) cobra.CompletionFunc {
	switch flag.Name {
	case "output":
		return func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
			return formsOf(cmd), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
		}
	case "tenant":
		return a.tenants
	case "policy":
		return a.policies
	case "state":
		return states
	}
	if words := config.Words(flag.Name); words != nil {
		return cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp|cobra.ShellCompDirectiveKeepOrder)
	}
	if kind, _ := pflag.UnquoteUsage(flag); kind == "FILE" || kind == "STORE" {
		return cobra.FixedCompletions(nil, cobra.ShellCompDirectiveDefault)
	}
	return nil
}

// states offers the next word of a list of states.
func states(_ *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
	before := typed[:strings.LastIndexByte(typed, ',')+1]
	var offered []string
	for _, word := range config.Words("state") {
		if !slices.Contains(strings.Split(before, ","), word) {
			offered = append(offered, before+word)
		}
	}
	return offered, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
}

// policies offers the policies in force.
func (a *app) policies(cmd *cobra.Command, _ []string, _ string) (offered []string, _ cobra.ShellCompDirective) {
	if c, err := a.settings(cmd); err == nil {
		for i := range c.Selection.Rules.Policies {
			offered = append(offered, c.Selection.Rules.Policies[i].ID)
		}
	}
	return slices.DeleteFunc(offered, untypable), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
}

// tenants offers the tenants that have facts in the store.
func (a *app) tenants(cmd *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
	found := lookUp(a, cmd, func(ctx context.Context, s store.Store) ([]string, error) {
		return s.TenantNames(ctx, typed, mostOffered)
	})
	return slices.DeleteFunc(found, untypable), cobra.ShellCompDirectiveNoFileComp
}

// jobs offers the newest jobs in some states, or in any, with what tells them apart. The node's own jobs are offered only in any state:
// they can be looked at, and nothing else.
func (a *app) jobs(in ...job.State) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, typed string) (offered []string, _ cobra.ShellCompDirective) {
		directive := cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
		if len(args) > 0 {
			return nil, directive
		}
		found := lookUp(a, cmd, func(ctx context.Context, s store.Store) (found []job.Job, err error) {
			err = s.List(ctx, store.ListParams{States: in, Limit: mostOffered}, func(j job.Job) error {
				noteGone(j)
				found = append(found, j)
				return nil
			})
			return found, err
		})
		shown := map[string]int{}
		for _, j := range found {
			shown[report.ShortID(j.ID)]++
		}
		for _, j := range found {
			id := report.ShortID(j.ID)
			if shown[id] > 1 || !strings.HasPrefix(id, typed) {
				id = j.ID
			}
			if !untypable(id) && (in == nil || !j.Node) {
				offered = append(offered, cobra.CompletionWithDesc(id, report.Hint(j, a.Now())))
			}
		}
		return offered, directive
	}
}

// untypable tells whether a value must not get into a command line: a store's texts are hostile, and a shell would run them.
func untypable(value string) bool { return !report.Typable(value) }

// lookUp reads from the store that a half-typed command line names. It waits no longer than completeWithin, whatever hangs.
func lookUp[T any](a *app, cmd *cobra.Command, read func(context.Context, store.Store) ([]T, error)) []T {
	c, err := a.settings(cmd)
	if err != nil {
		return nil
	}
	c.Store.LockTimeout = min(c.Store.LockTimeout, completeWithin/2)
	ctx, cancel := context.WithTimeout(cmd.Context(), completeWithin)
	defer cancel()
	answer := make(chan []T, 1)
	go func() {
		var found []T
		err := a.withStore(ctx, c.Store, func(s store.Store) (err error) {
			found, err = read(ctx, s)
			return err
		})
		if err != nil {
			found = nil
		}
		answer <- found
	}()
	select {
	case found := <-answer:
		return found
	case <-ctx.Done():
		return nil
	}
}
