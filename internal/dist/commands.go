package main

import (
	"fmt"
	"iter"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// documented are the commands with a man page: all except hidden ones and help.
func documented(cmd *cobra.Command) iter.Seq[*cobra.Command] {
	return func(yield func(*cobra.Command) bool) { visit(cmd, yield) }
}

func visit(cmd *cobra.Command, yield func(*cobra.Command) bool) bool {
	if !yield(cmd) {
		return false
	}
	for _, below := range cmd.Commands() {
		if below.IsAvailableCommand() && below.Name() != "help" && !visit(below, yield) {
			return false
		}
	}
	return true
}

func pageName(cmd *cobra.Command) string { return strings.ReplaceAll(cmd.CommandPath(), " ", "-") }

// commandPage is the man page of a command, in Markdown.
func commandPage(cmd *cobra.Command) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# NAME\n\n%s - %s\n\n# SYNOPSIS\n\n**%s**", pageName(cmd), escaped(cmd.Short), cmd.CommandPath())
	if _, arguments, ok := strings.Cut(strings.TrimSuffix(cmd.UseLine(), " [flags]"), cmd.CommandPath()+" "); ok {
		b.WriteString(" " + escaped(arguments))
	}
	if cmd.HasAvailableSubCommands() {
		b.WriteString(" *COMMAND*")
	}
	b.WriteString(" [*OPTION*...]\n\n# DESCRIPTION\n\n")
	about := cmd.Long
	if about == "" {
		about = cmd.Short + "."
	}
	b.WriteString(prose(about))
	if cmd.HasAvailableSubCommands() {
		b.WriteString("# COMMANDS\n\n")
		for _, below := range cmd.Commands() {
			if below.IsAvailableCommand() && below.Name() != "help" {
				fmt.Fprintf(&b, "**%s**\n:   %s; see **%s**(1)\n\n", below.Name(), escaped(below.Short), pageName(below))
			}
		}
	}
	b.WriteString("# OPTIONS\n\n")
	cmd.InitDefaultHelpFlag()
	cmd.NonInheritedFlags().VisitAll(func(flag *pflag.Flag) {
		if !flag.Hidden {
			b.WriteString(option(flag))
		}
	})
	if cmd.HasParent() {
		b.WriteString("The options that every command has are in **decayctl**(1).\n\n")
	}
	if cmd.Example != "" {
		fmt.Fprintf(&b, "# EXAMPLES\n\n```\n%s\n```\n\n", unindented(cmd.Example))
	}
	b.WriteString("# EXIT STATUS\n\n0 if the command is done, else the code of what went wrong: **decayctl-exit-codes**(7) lists all codes.\n\n# SEE ALSO\n\n")
	if cmd.HasParent() {
		fmt.Fprintf(&b, "**%s**(1), ", pageName(cmd.Parent()))
	}
	b.WriteString("**decayctl-configuration**(5), **decayctl-exit-codes**(7)\n")
	return b.String()
}

// option is an entry in a list of options.
func option(flag *pflag.Flag) string {
	var b strings.Builder
	if flag.Shorthand != "" {
		fmt.Fprintf(&b, "**-%s**, ", flag.Shorthand)
	}
	value, usage := pflag.UnquoteUsage(flag)
	fmt.Fprintf(&b, "**--%s**", flag.Name)
	if value != "" {
		fmt.Fprintf(&b, " *%s*", value)
	}
	b.WriteString("\n:   " + escaped(usage))
	if flag.DefValue != "" && flag.DefValue != "false" && flag.DefValue != "[]" {
		fmt.Fprintf(&b, " (default: %s)", escaped(flag.DefValue))
	}
	return b.String() + "\n\n"
}

// prose turns a help text into Markdown. Indented text becomes code. The exit codes are left out: they have their own page.
func prose(text string) string {
	var b strings.Builder
	for paragraph := range strings.SplitSeq(text, "\n\n") {
		if strings.HasPrefix(paragraph, "Exit codes:") {
			continue
		}
		code := false
		for line := range strings.Lines(paragraph) {
			indented := strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t")
			if indented != code {
				b.WriteString("\n```\n")
				code = indented
			}
			line = strings.TrimSuffix(line, "\n")
			if !indented {
				line = escaped(line)
			}
			b.WriteString(line + "\n")
		}
		if code {
			b.WriteString("```\n")
		}
		b.WriteString("\n")
	}
	return b.String()
}

// unindented takes away the indentation that all lines of an example have.
func unindented(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimPrefix(line, "  ")
	}
	return strings.Join(lines, "\n")
}

// escaped is text that Markdown leaves as it is.
func escaped(text string) string {
	var b strings.Builder
	for _, c := range text {
		if strings.ContainsRune("\\`*_{}[]<>#|", c) {
			b.WriteByte('\\')
		}
		b.WriteRune(c)
	}
	return b.String()
}
