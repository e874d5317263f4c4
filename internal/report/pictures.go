package report

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/jedib0t/go-pretty/v6/text"

	"decayctl/internal/report/chart"
	"decayctl/internal/stats"
)

// Pictures on a terminal, of block characters. They tell parts apart by shade, and by color if there is any.

// shades are the looks of a bar's parts, in their order.
var shades = []struct {
	word, block, color string
	of                 []stats.Category
}{
	{"would expire", "█", "\x1b[31m", []stats.Category{stats.ByTTL, stats.ByFloor, stats.ByPolicy}},
	{"would lose confidence", "▓", "\x1b[33m", []stats.Category{stats.Reduced}},
	{"protected", "▒", "\x1b[34m", []stats.Category{stats.Protected}},
	{"stay", "░", "\x1b[32m", []stats.Category{stats.Live}},
}

// colorOf is the color of a category.
func colorOf(c stats.Category) string {
	for _, s := range shades {
		if slices.Contains(s.of, c) {
			return s.color
		}
	}
	return "\x1b[2m"
}

const (
	narrowestPicture = 60 // columns; a narrower terminal gets none
	ageRows          = 12
)

// Draws tells whether pictures are shown: on a terminal that can draw and is wide enough.
func (s Style) Draws() bool { return s.Draw && s.Width >= narrowestPicture }

// pictures draws what a dry run counted.
func (p *page) pictures(r Run) {
	if !p.Draws() || r.Stats == nil {
		return
	}
	p.standing(r.Stats.Standing)
	p.ages(r)
	if r.Stats.Forecast != nil {
		p.WriteString("\n")
		p.ahead(r.Stats.Forecast)
	}
}

// standing is a bar for each part of all facts.
func (p *page) standing(s stats.Standing) {
	portions := slices.DeleteFunc(portionsOf(s), func(of portion) bool { return of.n <= 0 })
	all, widest, digits := int64(0), 0, 0
	for _, of := range portions {
		all += of.n
		widest, digits = max(widest, text.StringWidthWithoutEscSequences(of.label)), max(digits, len(humanize.Comma(of.n)))
	}
	if all == 0 {
		return
	}
	room := p.Width - widest - digits - 13
	p.WriteString("\n" + p.bold("WHERE THE FACTS STAND") + "\n")
	for _, of := range portions {
		bar := chart.Block(float64(of.n)/float64(all), room)
		fmt.Fprintf(p, "  %-*s  %*s  %5s  %s\n", widest, of.label, digits, humanize.Comma(of.n), portionText(of.n, all), p.paint(colorOf(of.of), bar))
	}
}

// ages is a bar for each range of ages, with the ttl as a line between them.
func (p *page) ages(r Run) {
	h := agesOf(r, ageRows)
	if h.Total() == 0 {
		return
	}
	most, widest, digits := int64(0), 0, 0
	for _, b := range h.Bins {
		most, widest, digits = max(most, b.Counts.Total()), max(widest, len(h.span(b))), max(digits, len(humanize.Comma(b.Counts.Total())))
	}
	room := p.Width - widest - digits - 6
	p.WriteString("\n" + p.bold("LIVE FACTS BY AGE") + "  " + p.legend(h.Histogram) + "\n")
	for _, b := range h.Bins {
		fmt.Fprintf(p, "  %*s  %*s  %s\n", widest, h.span(b), digits, humanize.Comma(b.Counts.Total()), p.stack(b.Counts, most, room))
		if h.Line != nil && *h.Line > b.From && *h.Line <= b.To && !b.Open() {
			p.WriteString("  " + p.dim(strings.Repeat("─", widest+digits+4)+" "+h.line) + "\n")
		}
	}
}

// legend explains the shades of a histogram.
func (p *page) legend(h stats.Histogram) string {
	var parts []string
	for _, s := range shades {
		if slices.ContainsFunc(h.Bins, func(b stats.Bin) bool { return sumOfAll(b.Counts, s.of) > 0 }) {
			parts = append(parts, p.paint(s.color, s.block)+" "+s.word)
		}
	}
	return strings.Join(parts, "  ")
}

func sumOfAll(c stats.Counts, of []stats.Category) (n int64) {
	for _, category := range of {
		n += c[category]
	}
	return n
}

// stack is one bar with its parts. A part that is not 0 has at least one column.
func (p *page) stack(c stats.Counts, most int64, room int) string {
	bar := ""
	for _, s := range shades {
		if n := sumOfAll(c, s.of); n > 0 {
			columns := max(1, int(float64(n)/float64(most)*float64(room-len(shades))+0.5))
			bar += p.paint(s.color, strings.Repeat(s.block, columns))
		}
	}
	return bar
}

// ahead has a bar for each day of the forecast, or for several days.
func (p *page) ahead(f *stats.Forecast) {
	const rows = 5
	running := stats.Running(f.Total.Ends)
	p.WriteString(p.bold("FORECAST") + fmt.Sprintf("  %s now, %s in the %s after; %s of the live facts in total\n",
		humanize.Comma(running[0]), humanize.Comma(running[f.Days]-running[0]), counted(int64(f.Days), "day", "days"), portionText(running[f.Days], f.Live)))
	if running[f.Days] == running[0] {
		return
	}
	const left = 10
	columns := 2 // of a bar, with the gap behind it
	step := (f.Days*columns + p.Width - left - 1) / (p.Width - left)
	var sums []float64
	most := 0.0
	for from := 1; from <= f.Days; from += step {
		sum := float64(stats.Sum(f.Total.Ends[from : min(from+step-1, f.Days)+1]))
		sums, most = append(sums, sum), max(most, sum)
	}
	for i, line := range chart.Columns(sums, rows) {
		label := ""
		if i == 0 {
			label = chart.Short(most)
		}
		fmt.Fprintf(p, "%8s  %s\n", label, p.paint(colorOf(stats.ByTTL), strings.TrimRight(line, " ")))
	}
	last := fmt.Sprintf("+%d days", f.Days)
	gap := max(1, len(sums)*columns-len("+1 day")-len(last))
	p.WriteString("          " + p.dim("+1 day"+strings.Repeat(" ", gap)+last) + "\n")
}
