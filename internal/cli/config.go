package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"decayctl/internal/config"
	"decayctl/internal/report"
)

func (a *app) newConfigCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Show, check and begin the settings",
		Long: `Settings come from flags, variables, a config file and the node's own
environment and .env. These commands tell which are in force, and open no store.`,
		Example: `  decayctl config show
  decayctl config init
  decayctl config check --config /etc/decayctl/main.yaml`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.newConfigShowCmd(), a.newConfigCheckCmd(), a.newConfigInitCmd())
	return cmd
}

func (a *app) newConfigShowCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show [KEY…]",
		Short: "Show every setting in force, and where it is from",
		Long: `Show every setting in force, or those that are named, and the flag, the variable
or the line of a file that set it. Passwords and the paths of notification
addresses are left out.`,
		Example: `  decayctl config show
  decayctl config show ttl store
  decayctl config show -o json | jq -r '.settings[] | select(.from != "default") | .key'`,
		Args:              settingKeys,
		ValidArgsFunction: cobra.FixedCompletions(config.Keys(), cobra.ShellCompDirectiveNoFileComp),
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := a.load(cmd); err != nil {
				return err
			}
			shown, err := config.Show(a.source(cmd), a.Now())
			if err != nil {
				return err
			}
			settings := report.Settings{}
			for _, s := range shown {
				if len(args) == 0 || slices.Contains(args, s.Key) {
					settings.List = append(settings.List, report.Setting(s))
				}
			}
			return a.printTo(settings)
		},
	}
	config.AddLastingFlags(cmd.Flags())
	return cmd
}

// settingKeys are names of settings, as a config file has them.
func settingKeys(_ *cobra.Command, args []string) error {
	for _, arg := range args {
		if !slices.Contains(config.Keys(), arg) {
			return usageError{fmt.Sprintf("there is no setting %q; 'decayctl config show' shows those there are", report.Clean(arg))}
		}
	}
	return nil
}

func (a *app) newConfigCheckCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check all settings, and open no store",
		Long: `Read all settings as the other commands do: flags, variables, the config file,
the policies and the node's settings. Whatever is wrong ends with exit code 2
and one line that says where it stands.`,
		Example: `  decayctl config check
  decayctl config check --config /etc/decayctl/main.yaml`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.load(cmd)
			if err != nil {
				return err
			}
			return a.printTo(report.Usable{Target: c.Store.Display, Rules: c.Selection.Rules})
		},
	}
	config.AddLastingFlags(cmd.Flags())
	return cmd
}

const newConfigFile = "decayctl.yaml"

func (a *app) newConfigInitCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "init [FILE]",
		Short: "Write a config file with every setting, each as a comment",
		Long: `Write a config file that has every setting with its meaning and its default,
each as a comment: it changes nothing until a line is uncommented. FILE is
decayctl.yaml if it is not given, and - is standard output. A file that exists
is left alone.`,
		Example: `  decayctl config init
  decayctl config init /etc/decayctl/main.yaml
  decayctl config init - | less`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usageError{"config init takes one file at most"}
			}
			return nil
		},
		ValidArgsFunction: cobra.FixedCompletions(nil, cobra.ShellCompDirectiveDefault),
		RunE: func(_ *cobra.Command, args []string) error {
			name := newConfigFile
			if len(args) == 1 {
				name = args[0]
			}
			if strings.TrimSpace(name) == "" {
				return usageError{"the name of the file is empty"}
			}
			return a.runConfigInit(name)
		},
	}
}

func (a *app) runConfigInit(name string) error {
	if name == "-" {
		_, err := io.WriteString(a.Stdout, config.Template())
		return err
	}
	file, err := os.OpenFile(a.inDir(name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // the operator names it
	var failed *fs.PathError
	switch {
	case errors.Is(err, fs.ErrExist):
		return usageError{fmt.Sprintf("%s exists; name another file, or look at 'decayctl config init -'", report.Clean(name))}
	case errors.As(err, &failed):
		return usageError{fmt.Sprintf("%s cannot be written: %s", report.Clean(name), failed.Err)}
	case err != nil:
		return err
	}
	_, err = io.WriteString(file, config.Template())
	if err = errors.Join(err, file.Close()); err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	_, err = fmt.Fprintf(a.Stdout, "Wrote %s. Every setting in it is a comment.\n", report.Clean(filepath.Clean(name)))
	return err
}
