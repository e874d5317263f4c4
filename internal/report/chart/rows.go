package chart

import (
	"fmt"
	"html"
	"strings"

	"github.com/dustin/go-humanize"
)

// Part is a part of a whole.
type Part struct {
	Name  string
	Class string // letters and hyphens only
	Value float64
}

// Whole draws one horizontal bar as wide as its container, with its parts side by side. A part that is not 0 is always
// visible.
func Whole(id, title, desc string, parts []Part) string {
	const wide, high, gap = 1000, 40, 2
	b := &svg{}
	fmt.Fprintf(b, `<svg class="whole" viewBox="0 0 %d %d" preserveAspectRatio="none" role="img" aria-labelledby="%s-title %[3]s-desc">`+"\n", wide, high, id)
	fmt.Fprintf(b, `<title id="%s-title">%s</title><desc id="%[1]s-desc">%s</desc>`+"\n", id, html.EscapeString(title), html.EscapeString(desc))
	all := 0.0
	for _, p := range parts {
		all += p.Value
	}
	x := 0.0
	for i, width := range widths(parts, all, wide) {
		p := parts[i]
		if p.Value <= 0 {
			continue
		}
		fmt.Fprintf(b, "<g><title>%s: %s</title>", html.EscapeString(p.Name), humanize.Commaf(p.Value))
		b.rect("c-"+p.Class, x, 0, max(1, width-gap), high)
		b.WriteString("</g>\n")
		x += width
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// widths divides a width: each part that is not 0 gets a visible minimum, and its share of the rest.
func widths(parts []Part, all, wide float64) []float64 {
	const least = 5
	rest := wide
	for _, p := range parts {
		if p.Value > 0 {
			rest -= least
		}
	}
	given := make([]float64, len(parts))
	for i, p := range parts {
		if p.Value > 0 {
			given[i] = least + p.Value/all*rest
		}
	}
	return given
}

// Cell draws a small bar of parts for the cell of a table. Screen readers skip it, since the cell has the number too.
func Cell(parts []Part, whole float64) string {
	const wide, high = 100, 10
	b := &svg{}
	fmt.Fprintf(b, `<svg class="cell" viewBox="0 0 %d %d" preserveAspectRatio="none" aria-hidden="true">`, wide, high)
	x := 0.0
	for _, p := range parts {
		if p.Value > 0 && whole > 0 {
			width := max(0.5, p.Value/whole*wide)
			fmt.Fprintf(b, `<rect class="c-%s" x="%s" width="%s" height="%d"/>`, p.Class, place(x), place(width), high)
			x += width
		}
	}
	b.WriteString("</svg>")
	return b.String()
}

// Block is a horizontal bar of block characters: a share of a width in columns, in steps of an eighth of a column. A share
// that is not 0 gets at least one eighth.
func Block(share float64, columns int) string {
	eighths := int(share*float64(columns)*8 + 0.5)
	if share > 0 {
		eighths = max(1, eighths)
	}
	eighths = min(eighths, columns*8)
	bar := strings.Repeat("█", eighths/8)
	if rest := eighths % 8; rest > 0 {
		bar += string([]rune("▏▎▍▌▋▊▉")[rest-1])
	}
	return bar
}

// Columns are vertical bars of block characters, one per value, each followed by a gap. The result is the lines of text
// from top to bottom. A value that is not 0 gets at least one eighth of a line.
func Columns(values []float64, lines int) []string {
	most := 0.0
	for _, v := range values {
		most = max(most, v)
	}
	rows := make([]string, lines)
	for i := range rows {
		below := (lines - 1 - i) * 8 // eighths below this line
		var b strings.Builder
		for _, v := range values {
			eighths := 0
			if v > 0 {
				eighths = max(1, int(v/most*float64(lines*8)+0.5))
			}
			b.WriteRune([]rune(" ▁▂▃▄▅▆▇█")[min(8, max(0, eighths-below))])
			b.WriteByte(' ')
		}
		rows[i] = b.String()
	}
	return rows
}
