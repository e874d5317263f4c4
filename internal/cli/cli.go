// Package cli is the command line. It is the only package that uses cobra. Each command has a file with a constructor
// and a function that runs it.
package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"decayctl/internal/config"
	"decayctl/internal/report"
)

// Process is all that a command gets from its process. No package below reads the environment, the clock or the
// standard streams.
type Process struct {
	Args    []string // without the name of the program
	Environ []string
	Dir     string
	Stdin   io.Reader
	Stdout  io.Writer
	Stderr  io.Writer
	Now     func() time.Time
}

// ThisProcess is the process of decayctl.
func ThisProcess() Process {
	dir, err := os.Getwd()
	if err != nil {
		dir = "." // the folder was removed; what needs it reports that
	}
	return Process{
		Args: os.Args[1:], Environ: os.Environ(), Dir: dir,
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Now: time.Now,
	}
}

// app is one run of one command.
type app struct {
	Process
	output config.Output // until the settings are read, only its Form is known
	signal chan os.Signal
	run    run
}

// Main runs one command and returns the exit code. It is the only place that prints errors.
func Main(p Process) int {
	out := &output{Writer: p.Stdout}
	p.Stdout = out
	a := &app{Process: p, output: config.Output{Form: formIn(p.Args, p.Environ)}, signal: make(chan os.Signal, 1)}
	ctx, stop := a.interruptible()
	defer stop()
	root := a.newRootCmd()
	root.SetArgs(p.Args)
	root.SetIn(p.Stdin)
	root.SetOut(a.Stdout)
	root.SetErr(p.Stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		err = out.err // cobra ignores errors when it prints a help text
	}
	if cause, ok := context.Cause(ctx).(interrupted); ok && err != nil { //nolint:errorlint // ours, never wrapped
		err = withCause(err, cause)
	}
	code, exit := classify(err)
	a.logEnd(exit) // before the error, which must be the last line
	a.printError(err, code, exit)
	a.end(code, exit)
	return exit
}

// interruptible is a context that the first SIGINT, SIGTERM or SIGHUP ends. A second signal has its default effect, and
// ends the process at once.
func (a *app) interruptible() (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	for s := range endings {
		if !signal.Ignored(s) { // nohup and background jobs of a shell ignore some
			signal.Notify(a.signal, s)
		}
	}
	// A log without a reader must not end a sweep.
	signal.Ignore(syscall.SIGPIPE)
	go func() {
		select {
		case s := <-a.signal:
			signal.Stop(a.signal)
			cancel(interrupted{s})
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		signal.Stop(a.signal)
		cancel(nil)
	}
}

// Commands are all commands, for documents and scripts of shells. They must not be run.
func Commands() *cobra.Command {
	root := (&app{}).newRootCmd()
	root.InitDefaultCompletionCmd()
	return root
}

func (a *app) newRootCmd() *cobra.Command {
	root := &cobra.Command{
		Use:   "decayctl",
		Short: "Expire stale facts in a Stigmem fact store",
		Long: `decayctl keeps an agent memory honest. It connects straight to a Stigmem node's
fact store (a SQLite file, or PostgreSQL), judges every fact by age and
confidence, and marks the stale ones as expired. In a node's own environment it
needs no flags.

` + exitCodeHelp,
		Example: `  decayctl dry-run --ttl 90d --min-confidence 0.4
  decayctl sweep --ttl 90d --store postgres://stigmem@localhost/stigmem
  decayctl demo`,
		Args:          noArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	// Most values are not files.
	root.CompletionOptions.SetDefaultShellCompDirective(cobra.ShellCompDirectiveNoFileComp)
	root.SetUsageFunc(a.printUsage)
	config.AddGlobalFlags(root.PersistentFlags())
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError{fmt.Sprintf("%v; see '%s --help'", err, cmd.CommandPath())}
	})
	root.AddCommand(a.newSweepCmd(), a.newDryRunCmd(), a.newForecastCmd(), a.newExplainCmd(), a.newPolicyCmd(), a.newJobsCmd(), a.newDoctorCmd(), a.newConfigCmd(), a.newDemoCmd(), a.newVersionCmd())
	a.completeFlags(root)
	return root
}

func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if cmd.HasSubCommands() {
		return usageError{fmt.Sprintf("unknown command %q; see '%s --help'", report.Clean(args[0]), cmd.CommandPath())}
	}
	return usageError{fmt.Sprintf("unexpected argument %q; '%s' takes flags only", report.Clean(args[0]), cmd.CommandPath())}
}

// source is the places from which the settings of a command are read.
func (a *app) source(cmd *cobra.Command) config.Source {
	return config.Source{Flags: cmd.Flags(), Environ: a.Environ, Dir: a.Dir}
}

// load reads the settings of a command.
func (a *app) load(cmd *cobra.Command) (config.Config, error) {
	c, err := a.settings(cmd)
	if err == nil {
		a.output = c.Output
	}
	a.begin(cmd, c)
	if err != nil {
		return c, err
	}
	if err := checkForm(cmd, c.Output.Form); err != nil {
		return c, err
	}
	if err := a.checkOutputs(c); err != nil {
		a.run.ending.MetricsFile = "" // it may be the one that must not be written
		return c, err
	}
	if len(c.Ignored) > 0 {
		a.logger().Debug("left out variables that a container platform sets", "variables", c.Ignored)
	}
	return c, nil
}

// settings reads the settings of a command without warnings.
func (a *app) settings(cmd *cobra.Command) (config.Config, error) {
	return config.Load(a.source(cmd), a.Now())
}

// forPeople tells whether output goes to a person at a terminal, who gets text in place of log lines.
func (a *app) forPeople() bool {
	return isTerminal(a.Stderr) && a.output.LogFormat == config.OutputText && !a.output.Quiet
}

// variable is an environment variable; "" if it is not set. If it is set twice, the last one counts, as in the system.
func (a *app) variable(name string) string {
	found := ""
	for _, line := range a.Environ {
		if value, ok := strings.CutPrefix(line, name+"="); ok {
			found = value
		}
	}
	return found
}

// hasEscapes tells whether a stream is a terminal that understands escape sequences. TERM tells, except on Windows,
// where terminals do not set it.
func (a *app) hasEscapes(stream any) bool {
	kind := a.variable("TERM")
	return isTerminal(stream) && kind != "dumb" && (kind != "" || runtime.GOOS == "windows")
}
