package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"decayctl/internal/config"
	"decayctl/internal/store/sample"
)

func (a *app) newDemoCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "demo [FOLDER]",
		Short: "Make a sample store and walk through the commands on it",
		Long: `Make a new folder with a sample store in it: a SQLite file as a node would have
it, with 20,000 varied facts. Then run dry-run, sweep, sweep again and jobs list
on it, showing each command and its report. The folder stays, to try things on.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usageError{"demo takes one folder at most"}
			}
			return nil
		},
		ValidArgsFunction: cobra.FixedCompletions(nil, cobra.ShellCompDirectiveFilterDirs),
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, flag := range []string{"store", "config", "env-file", "pg-schema"} {
				if cmd.Flags().Changed(flag) {
					return usageError{"demo makes a store of its own, so --" + flag + " says nothing here"}
				}
			}
			if a.output.Form == config.OutputJSON {
				return usageError{"demo shows reports to people; it has no JSON form"}
			}
			folder := ""
			if len(args) == 1 {
				folder = args[0]
			}
			return a.runDemo(cmd.Context(), folder)
		},
	}
}

func (a *app) runDemo(ctx context.Context, folder string) error {
	folder, err := a.newFolder(folder)
	if err != nil {
		return err
	}
	file := filepath.Join(folder, "stigmem.db")
	options := sample.Options{Facts: sample.DefaultFacts, AsOf: a.Now(), Seed: 1, NearExpiries: true}
	if err := sample.CreateSQLite(ctx, a.inDir(file)); err != nil {
		return fmt.Errorf("cannot make the sample store: %w", err)
	}
	if err := sample.FillSQLite(ctx, a.inDir(file), options); err != nil {
		return fmt.Errorf("cannot fill the sample store: %w", err)
	}
	_, _ = fmt.Fprintf(a.Stdout, "Made %s, a sample fact store with %d facts.\n\n$ cd %s\n", file, options.Facts, folder)
	for _, command := range []string{
		"dry-run --ttl 90d --min-confidence 0.4 --samples 3",
		"sweep --ttl 90d --min-confidence 0.4",
		"sweep --ttl 90d --min-confidence 0.4",
		"jobs list",
	} {
		if err := ctx.Err(); err != nil {
			return err
		}
		_, _ = fmt.Fprintf(a.Stdout, "$ decayctl %s\n", command)
		step := a.Process
		step.Args = append(strings.Fields(command), "--quiet")
		// The environment or the folder of a node must not lead the demo to a real store.
		step.Environ, step.Dir = []string{"TERM=" + a.variable("TERM")}, a.inDir(folder)
		switch exit := Main(step); exit {
		case exitDone:
		case exitBrokenPipe:
			return outputError{syscall.EPIPE}
		default:
			return fmt.Errorf("decayctl %s ended with exit code %d", command, exit)
		}
		_, _ = fmt.Fprintln(a.Stdout)
	}
	_, err = fmt.Fprintf(a.Stdout, `The second sweep found nothing more to do. The store stays, to try things on:
  cd %[1]s
  decayctl jobs undo JOB            # the id of the sweep that expired facts
  decayctl dry-run --ttl 30d --scope local
  decayctl dry-run --ttl 90d --all-tenants
  decayctl dry-run --min-confidence 0.8 -o json | jq .by_rule
  decayctl sweep --ttl 30d --max-expire 5%%
`, folder)
	return err
}

// newFolder creates the folder of the demo. It fails if the folder exists.
func (a *app) newFolder(folder string) (string, error) {
	if folder != "" {
		if err := os.Mkdir(a.inDir(folder), 0o755); err != nil {
			return "", fmt.Errorf("demo needs a new folder: %w", err)
		}
		return folder, nil
	}
	for i := 1; ; i++ {
		folder := "decayctl-demo"
		if i > 1 {
			folder = fmt.Sprintf("%s-%d", folder, i)
		}
		err := os.Mkdir(a.inDir(folder), 0o755)
		if err == nil {
			return folder, nil
		}
		if !os.IsExist(err) {
			return "", fmt.Errorf("demo needs a new folder: %w", err)
		}
	}
}

// inDir is a path, relative to the working directory of the command.
func (a *app) inDir(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(a.Dir, path)
}
