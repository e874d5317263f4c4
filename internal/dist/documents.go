package main

import (
	"fmt"
	"regexp"
	"strings"
)

// document is a page of the documents that is a man page too.
type document struct{ file, page, section, about string }

var documents = []document{
	{"exit-codes.md", "decayctl-exit-codes", "7", "what the exit codes of decayctl mean, and what to do"},
	{"configuration.md", "decayctl-configuration", "5", "the settings of decayctl: flags, variables, the config file and the node's settings"},
}

var (
	link    = regexp.MustCompile(`\[([^\]]*)\]\(([^)\s]*)\)`)
	heading = regexp.MustCompile(`^(##+) `)
	ruler   = regexp.MustCompile(`^\|[-:| ]+\|$`)
)

// documentPage makes a man page of a document. Sections move up by one level, since the title becomes NAME. Tables become
// lists, since six columns do not fit a terminal. Links to other documents become their text.
func documentPage(d document, text string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# NAME\n\n%s - %s\n\n# DESCRIPTION\n", d.page, d.about)
	lines := strings.Split(text, "\n")
	fenced := false
	for i := 1; i < len(lines); i++ { // behind the title
		line := lines[i]
		if strings.HasPrefix(line, "```") {
			fenced = !fenced
			line = line[:3]
		}
		switch {
		case fenced:
		case i+1 < len(lines) && strings.HasPrefix(line, "|") && ruler.MatchString(lines[i+1]):
			head := cells(line)
			for i += 2; i < len(lines) && strings.HasPrefix(lines[i], "|"); i++ {
				b.WriteString(entry(head, cells(lines[i])))
			}
			b.WriteString("\n")
			continue
		default:
			line = unlinked(heading.ReplaceAllStringFunc(line, func(marks string) string { return marks[1:] }))
		}
		b.WriteString(line + "\n")
	}
	b.WriteString("\n# SEE ALSO\n\n**decayctl**(1)")
	for _, other := range documents {
		if other != d {
			fmt.Fprintf(&b, ", **%s**(%s)", other.page, other.section)
		}
	}
	return b.String() + "\n"
}

// cells are the cells of a row of a table.
func cells(row string) []string {
	const bar = "\x00"
	row = strings.ReplaceAll(strings.Trim(strings.TrimSpace(row), "|"), `\|`, bar)
	all := strings.Split(row, "|")
	for i, cell := range all {
		all[i] = strings.ReplaceAll(strings.TrimSpace(cell), bar, "|")
	}
	return all
}

// entry is a row of a table as an entry of a list: its first cell, its meaning, and the other cells with column names.
func entry(head, row []string) string {
	main := 1
	for i, name := range head {
		if name == "meaning" {
			main = i
		}
	}
	named := len(head) > 2
	text := unlinked(row[main])
	if named && head[main] != "meaning" {
		text = head[main] + ": " + text
	}
	var rest []string
	for i := 1; i < len(row); i++ {
		if cell := row[i]; i != main && cell != "" && cell != "–" {
			rest = append(rest, head[i]+": "+unlinked(cell))
		}
	}
	if len(rest) > 0 {
		text += "\n\n    " + strings.Join(rest, "; ")
	}
	term := unlinked(row[0])
	if !strings.HasPrefix(term, "`") {
		term = "**" + term + "**"
	}
	return fmt.Sprintf("%s\n:   %s\n\n", term, text)
}

// unlinked replaces links by their text, and keeps addresses of the web.
func unlinked(text string) string {
	return link.ReplaceAllStringFunc(text, func(found string) string {
		parts := link.FindStringSubmatch(found)
		if strings.Contains(parts[2], "://") {
			return parts[1] + " (" + parts[2] + ")"
		}
		return parts[1]
	})
}
