package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"decayctl/internal/config"
	"decayctl/internal/report"
	"decayctl/internal/wholefile"
)

// pages is the annotation of a command that reports in further forms than text and JSON: their names, separated by blanks.
const pages = "pages"

// allPages is its value for a command that reports in all forms.
const allPages = config.OutputMarkdown + " " + config.OutputHTML

// addPages gives a command all forms of reports, and the flag --report.
func addPages(cmd *cobra.Command) {
	annotate(cmd, pages, allPages)
	config.AddReportFlags(cmd.Flags())
}

// formsOf are the forms in which a command reports.
func formsOf(cmd *cobra.Command) []string {
	return append([]string{config.OutputText, config.OutputJSON}, strings.Fields(cmd.Annotations[pages])...)
}

// checkForm refuses a form that a command does not have, before it does anything.
func checkForm(cmd *cobra.Command, form string) error {
	forms := formsOf(cmd)
	for _, known := range forms {
		if form == known {
			return nil
		}
	}
	return usageError{fmt.Sprintf("'%s' has no report in the form %s; write one of %s", cmd.CommandPath(), form, strings.Join(forms, ", "))}
}

// writeReports writes a document to the files of --report. It goes on after a failure: each file is a report of its own.
func (a *app) writeReports(d document) (failed error) {
	for _, r := range a.output.Reports {
		if err := wholefile.Write(r.Path, 0o600, func(w io.Writer) error { return writeForm(w, r.Form, d, report.Style{}) }); err != nil {
			// The document is on stdout already, or cannot be: none is to follow.
			failed = errors.Join(failed, reported{fmt.Errorf("the report %s could not be written: %w", r.Name, bare(err))})
		}
	}
	return failed
}

// bare is what the system says, without the name of a temporary file.
func bare(err error) error {
	var of *fs.PathError
	var renamed *os.LinkError
	switch {
	case errors.As(err, &of):
		return of.Err
	case errors.As(err, &renamed):
		return renamed.Err
	}
	return err
}

var secretFlags = []string{"--ping", "--on-success", "--on-failure"}

// made says what made a report, for its last line.
func (a *app) made() report.Made {
	line := "decayctl"
	for i, arg := range a.Args {
		name, _, joined := strings.Cut(arg, "=")
		switch { // the address of a check is its secret
		case joined && slices.Contains(secretFlags, name):
			arg = name + "=…"
		case i > 0 && slices.Contains(secretFlags, a.Args[i-1]):
			arg = "…"
		}
		line += " " + quoteArg(config.Mask(arg))
	}
	return report.Made{Version: builtWith().Version, Command: line}
}

// quoteArg writes an argument as a shell reads it.
func quoteArg(arg string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_=./:,@%+…"
	if arg != "" && strings.Trim(arg, plain) == "" {
		return arg
	}
	return "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
}
