package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/pflag"

	"decayctl/internal/config"
	"decayctl/internal/job"
	"decayctl/internal/plan"
	"decayctl/internal/report"
	"decayctl/internal/store"
	"decayctl/internal/sweep"
)

// The exit codes. Cron jobs and CI depend on them. The help text and docs/exit-codes.md have the same list.
const (
	exitDone         = 0
	exitFailed       = 1
	exitUsage        = 2
	exitPaused       = 3
	exitRefused      = 4
	exitBusy         = 5
	exitUnknown      = 6
	exitNotPermitted = 7
	exitUnusable     = 8
	exitSomething    = 10
	exitHungUp       = 129
	exitInterrupted  = 130
	exitBrokenPipe   = 141
	exitTerminated   = 143
)

const exitCodeHelp = `Exit codes:
  0    done; nothing to do is done too
  1    failed, or cancelled by an operator while running
  2    usage or configuration
  3    stopped before the end (time limit, paused, lease lost); resume goes on
  4    refused by a guard, a stale plan, or declined at the prompt, and no fact
       written; a superseded job
  5    another sweep is working on this store and scope
  6    no such job or fact
  7    not permitted by the store (read-only file or role, hot standby)
  8    store missing, unreachable, not supported, no Stigmem store, or too old
  10   dry-run --detailed-exitcode: there is something to decay
  129  hung up (the terminal was closed); the job can be resumed
  130  interrupted; the job can be resumed
  141  the reader of the output has gone
  143  terminated; the job can be resumed`

// usageError is the error for a wrong command line.
type usageError struct{ text string }

func (e usageError) Error() string { return e.text }

// errSomething is the result of dry-run --detailed-exitcode. It is not a failure and is not printed.
var errSomething = errors.New("there is something to decay")

// interrupted is the cause of a context that a signal has ended.
type interrupted struct{ signal os.Signal }

func (e interrupted) Error() string {
	return endings[e.signal].text
}

// endings are the words, the JSON name and the exit code for signals. The exit code is 128 plus the signal's number, as
// in a shell.
var endings = map[os.Signal]struct {
	text, code string
	exit       int
}{
	os.Interrupt:    {"interrupted", "interrupted", exitInterrupted},
	syscall.SIGTERM: {"terminated", "terminated", exitTerminated},
	syscall.SIGHUP:  {"hung up", "hung_up", exitHungUp},
}

// withCause replaces "context canceled" by the signal that caused it, and keeps the hint. An error whose document is on
// stdout stays as it is.
func withCause(err error, cause interrupted) error {
	if !errors.Is(err, context.Canceled) {
		return fmt.Errorf("%w (%w)", err, cause)
	}
	var replaced error = cause
	var hint hinted
	if errors.As(err, &hint) {
		replaced = hinted{cause, hint.hint}
	}
	if is[reported](err) {
		replaced = reported{replaced}
	}
	return replaced
}

// classify is the exit code and the JSON name of an error.
func classify(err error) (code string, exit int) {
	var signal interrupted
	switch {
	case err == nil:
		return "", exitDone
	case errors.Is(err, errSomething):
		return "", exitSomething
	case errors.As(err, &signal):
		ending := endings[signal.signal]
		return ending.code, ending.exit
	case is[usageError](err), is[*config.Error](err), is[*job.Ambiguous](err):
		return "usage", exitUsage
	case is[*job.Illegal](err), is[*job.Foreign](err):
		return "illegal_transition", exitUsage
	case is[*plan.Stale](err):
		return "stale_plan", exitRefused
	case is[*sweep.Refused](err), store.Is(err, store.Refused):
		return "refused", exitRefused
	case is[*job.Superseded](err):
		return "superseded", exitRefused
	case is[*job.Busy](err):
		return "busy", exitBusy
	case is[*job.Unknown](err):
		return "no_such_job", exitUnknown
	case is[*store.UnknownFact](err):
		return "no_such_fact", exitUnknown
	case is[*sweep.Stopped](err):
		return "paused", exitPaused
	case sweep.IsLost(err):
		return lostCode(err)
	case store.Is(err, store.NotPermitted):
		return "not_permitted", exitNotPermitted
	case store.Is(err, store.Unusable):
		return "store_unusable", exitUnusable
	case store.Is(err, store.Busy):
		return "store_busy", exitFailed
	}
	if isClosedPipe(err) {
		return "", exitBrokenPipe
	}
	return "failed", exitFailed
}

// lostCode is the exit code for a lost job: the operator may have paused or cancelled it, or the lease has ended.
func lostCode(err error) (code string, exit int) {
	var lost *job.Lost
	errors.As(err, &lost)
	switch lost.State {
	case job.Cancelled:
		return "cancelled", exitFailed
	case job.Paused:
		return "paused", exitPaused
	}
	return "lease_lost", exitPaused
}

// is tells whether an error is, or wraps, an error of a type.
func is[E error](err error) bool {
	var e E
	return errors.As(err, &e)
}

// reported is an error whose document has been written to stdout.
type reported struct{ error }

func (e reported) Unwrap() error { return e.error }

// printError prints an error by its name and its exit code; one without a name prints nothing. It cleans and masks the text: file
// names, messages of a server and facts are hostile text, and an address with its password may have been given in place
// of a flag or a file's name.
func (a *app) printError(err error, code string, exit int) {
	if code == "" {
		return
	}
	text := report.Clean(config.Mask(strings.ReplaceAll(err.Error(), "\n", " ")))
	detail := ""
	var of *store.Error
	if errors.As(err, &of) {
		detail = of.Detail
	}
	var done reported
	asJSON := a.output.Form == config.OutputJSON
	if asJSON && !errors.As(err, &done) && !is[outputError](err) {
		if failed := report.WriteErrorJSON(a.Stdout, code, text, detail, exit); failed != nil {
			text += " (and the document could not be written: " + failed.Error() + ")"
		}
	}
	if a.output.LogFormat == config.OutputJSON {
		slog.New(slog.NewJSONHandler(a.Stderr, nil)).Error(text, "code", code, "exit", exit)
	} else {
		_, _ = fmt.Fprintln(a.Stderr, a.errorPrefix()+text)
		if detail != "" && !asJSON {
			_, _ = fmt.Fprint(a.Stderr, "\n", report.CleanLines(detail))
		}
	}
}

// formIn finds the form of the report before the settings are read, for errors of reading them.
func formIn(args, environ []string) string {
	known := pflag.NewFlagSet("", pflag.ContinueOnError)
	known.ParseErrorsAllowlist.UnknownFlags = true
	known.Usage = func() {}
	config.AddGlobalFlags(known)
	known.BoolP("help", "h", false, "")
	// Other code reports what is wrong with the command line. Here the last output format counts.
	_ = known.ParseAll(args, func(flag *pflag.Flag, value string) error { return known.Set(flag.Name, value) })
	if output := known.Lookup("output"); output.Changed {
		return output.Value.String()
	}
	if slices.Contains(environ, "DECAYCTL_OUTPUT="+config.OutputJSON) {
		return config.OutputJSON
	}
	return config.OutputText
}
