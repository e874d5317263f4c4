package chart

import (
	"fmt"
	"html"
	"strings"

	"github.com/dustin/go-humanize"
)

// The size of a chart. At this width its text is as large as the page's text.
const (
	width  = 480
	height = 236
	left   = 44 // of the first bar
	right  = 470
	top    = 26
	bottom = 196
)

// Bars is a chart of vertical bars. Each bar is a stack of one value per series.
type Bars struct {
	ID    string // letters, digits and hyphens; no other chart of a page has it
	Title string
	Desc  string   // the message of the chart in a sentence, for screen readers
	Bars  []string // the range of each bar, as in "from 30 to 60 days"
	Ticks []Tick   // below the bars
	Axis  string   // what the ticks count
	Stack []Series // from the bottom up
	Line  *Line
}

// Tick is a text at a place between bars: 0 is left of the first bar, 1 between the first and the second.
type Tick struct {
	At   float64
	Text string
}

// Line is a vertical line at a place between bars.
type Line Tick

// SVG draws the chart.
func (c Bars) SVG() string {
	b := &svg{}
	b.open(c.ID, c.Title, c.Desc, width, height)
	most := 0.0
	for i := range c.Bars {
		most = max(most, c.sum(i))
	}
	y := CountAxis(most, bottom, top)
	grid(b, y)
	step := (right - left) / float64(max(1, len(c.Bars)))
	between := min(3, step*0.15)
	for i, name := range c.Bars {
		c.bar(b, i, name, left+step*float64(i)+between/2, step-between, y)
	}
	for _, tick := range c.Ticks {
		b.text("tick", "middle", left+step*tick.At, bottom+16, tick.Text)
	}
	b.text("tick", "middle", (left+right)/2, height-6, c.Axis)
	if c.Line != nil {
		x := left + step*c.Line.At
		anchor := "start"
		offset := 5.0
		if x > (left+right)/2 {
			anchor, offset = "end", -offset
		}
		b.line("mark", x, top-14, x, bottom)
		b.text("mark-text", anchor, x+offset, top-6, c.Line.Text)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

func (c Bars) sum(bar int) (sum float64) {
	for _, s := range c.Stack {
		sum += s.Values[bar]
	}
	return sum
}

// bar draws one bar, with its numbers as a tooltip. A part that is not 0 is always visible.
func (c Bars) bar(b *svg, bar int, name string, x, width float64, y Axis) {
	const least = 1.5
	var parts []string
	for _, s := range c.Stack {
		if v := s.Values[bar]; v > 0 {
			parts = append(parts, humanize.Commaf(v)+" "+s.Name)
		}
	}
	if len(parts) == 0 {
		return
	}
	fmt.Fprintf(b, "<g><title>%s: %s</title>\n", html.EscapeString(name), html.EscapeString(strings.Join(parts, ", ")))
	at := y.At(0)
	for _, s := range c.Stack {
		if v := s.Values[bar]; v > 0 {
			tall := max(least, y.At(0)-y.At(v))
			b.rect("bar c-"+s.Class, x, at-tall, width, tall)
			at -= tall
		}
	}
	b.WriteString("</g>\n")
}

// grid draws the lines behind the bars, with their numbers.
func grid(b *svg, y Axis) {
	for _, tick := range y.Ticks() {
		at := y.At(tick)
		b.line("grid", left, at, right, at)
		b.text("tick", "end", left-6, at+4, Short(tick))
	}
}
