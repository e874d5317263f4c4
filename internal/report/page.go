package report

import (
	"fmt"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/jedib0t/go-pretty/v6/text"

	"decayctl/internal/rule"
)

// Style is what the terminal, or the pipe, can show.
type Style struct {
	Color bool
	Width int  // columns; 0 if the output is not a terminal
	Draw  bool // pictures of block characters
}

const longestName = 60 // columns of a name, an id or a stamp, whatever the width

// page builds a text report. Labels, and right-aligned counts, share a column.
type page struct {
	strings.Builder
	Style
}

func (p *page) row(label, text string) { fmt.Fprintf(p, "%16s  %s\n", label, text) }

func (p *page) count(n int64, text string) { p.row(humanize.Comma(n), text) }

// part is a part of the count above it.
func (p *page) part(digits int, n int64, name, why string) {
	line := fmt.Sprintf("%*s  %s", digits, humanize.Comma(n), name)
	if why != "" {
		line = fmt.Sprintf("%-*s  %s", digits+2+len(rule.UnreadableValidUntil), line, p.dim(why))
	}
	p.row("", line)
}

// line wraps a line to the width of the terminal.
func (p *page) line(indent, s string) {
	if p.Width > 0 {
		s = text.Snip(s, max(1, p.Width-len(indent)), "…")
	}
	p.WriteString(indent + s + "\n")
}

func (p *page) bold(s string) string { return p.paint("\x1b[1m", s) }

func (p *page) dim(s string) string { return p.paint("\x1b[2m", s) }

// alert paints a line that must not be overlooked.
func (p *page) alert(s string) string { return p.paint("\x1b[1;33m", s) }

func (p *page) paint(code, s string) string {
	if !p.Color {
		return s
	}
	return code + s + "\x1b[0m"
}

// short cleans and shortens a name from the store.
func short(s string) string { return text.Snip(Clean(s), longestName, "…") }

func orAll(s string) string {
	if s == "" {
		return "all"
	}
	return short(s)
}

// second is an instant for people, in whole seconds.
func second(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// brief rounds a duration to its largest unit.
func brief(d time.Duration) string {
	switch {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}
