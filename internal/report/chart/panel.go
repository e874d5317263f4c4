package chart

import (
	"cmp"
	"fmt"
	"html"
	"slices"
	"strings"
)

// Panel is a chart of lines.
type Panel struct {
	Title  string // above it; "" is none
	X, Y   Axis
	Axis   string // what the ticks of X count
	Format func(float64) string
	Dots   bool // at each point of a curve
	Curves []Curve
}

// Curve is a line of a panel.
type Curve struct {
	Name   string // at the end of the line; "" is none
	Class  string // of the marks, letters, digits and hyphens only
	Area   bool   // below the line is filled
	Points [][2]float64
}

// standalone is the beginning of an SVG file, with its style. "</svg>" ends it.
func standalone(title, style string, width, height int) string {
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%[1]d" height="%[2]d" role="img">
<title>%s</title>
<style>%s</style>
<rect class="page" width="100%%" height="100%%"/>
`, width, height, html.EscapeString(title), style)
}

// File is an SVG file with several panels.
type File struct {
	Title         string // for screen readers
	Heading       string
	Style         string // CSS for the classes of the curves, added after Style
	Width, Height int
	Panels        []Panel
}

// Style is the CSS of a file, for light and dark screens.
const Style = `
  text { font: 13px system-ui, sans-serif; fill: #1f2328 }
  .page { fill: #ffffff } .title { font-weight: 600; font-size: 15px } .small { font-size: 12px; fill: #59636e }
  .grid { stroke: #d1d9e0; stroke-width: 1 }
  .line { fill: none; stroke-width: 2.5 } .end { stroke: none }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc } .small { fill: #9198a1 } .page { fill: #0d1117 } .grid { stroke: #3d444d }
  }
`

// SVG draws the file.
func (f File) SVG() string {
	b := &svg{}
	b.WriteString(standalone(f.Title, Style+f.Style, f.Width, f.Height))
	if f.Heading != "" {
		fmt.Fprintf(b, `<text class="title" x="64" y="26">%s</text>`+"\n", html.EscapeString(f.Heading))
	}
	for _, p := range f.Panels {
		p.draw(b)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// Draw draws a panel as a chart of a page, in the size of Bars. X and Y lie in PanelX and PanelY.
func (p Panel) Draw(id, title, desc string) string {
	b := &svg{}
	b.open(id, title, desc, width, height)
	p.draw(b)
	b.WriteString("</svg>\n")
	return b.String()
}

// DayAxis is the horizontal axis of a panel of a page, in days.
func DayAxis(days int) Axis {
	step := 1.0
	for _, factor := range []float64{1, 2, 5, 7, 10, 30, 60, 90, 180, 365, 730} {
		if step = factor; float64(days)/factor <= 8 {
			break
		}
	}
	return Axis{high: float64(max(1, days)), from: left, to: right - 10, step: step}
}

// NumberAxis is the vertical axis of a panel of a page, in numbers of facts.
func NumberAxis(most float64) Axis { return CountAxis(most, bottom, top) }

func (p Panel) draw(b *svg) {
	if p.Title != "" {
		b.text("title", "start", p.X.from, p.Y.to-12, p.Title)
	}
	format := p.Format
	if format == nil {
		format = Short
	}
	for _, tick := range p.X.Ticks() {
		at := p.X.At(tick)
		b.line("grid", at, p.Y.from, at, p.Y.to)
		b.text("small", "middle", at, p.Y.from+18, format(tick))
	}
	for _, tick := range p.Y.Ticks() {
		at := p.Y.At(tick)
		b.line("grid", p.X.from, at, p.X.to, at)
		b.text("small", "end", p.X.from-8, at+4, Short(tick))
	}
	b.text("small", "middle", (p.X.from+p.X.to)/2, p.Y.from+38, p.Axis)
	var names []label
	for _, c := range p.Curves {
		if len(c.Points) == 0 {
			continue
		}
		var points []string
		for _, point := range c.Points {
			x, y := p.X.At(point[0]), p.Y.At(point[1])
			if p.Dots {
				fmt.Fprintf(b, `<circle class="end %s" cx="%s" cy="%s" r="3.5"/>`+"\n", c.Class, place(x), place(y))
			}
			points = append(points, place(x)+","+place(y))
		}
		if c.Area {
			first, last := p.X.At(c.Points[0][0]), p.X.At(c.Points[len(c.Points)-1][0])
			fmt.Fprintf(b, `<polygon class="area %s" points="%s,%s %s %s,%[3]s"/>`+"\n", c.Class, place(first), place(p.Y.from), strings.Join(points, " "), place(last))
		}
		fmt.Fprintf(b, `<polyline class="line %s" points="%s"/>`+"\n", c.Class, strings.Join(points, " "))
		last := c.Points[len(c.Points)-1]
		if c.Name == "" {
			continue
		}
		names = append(names, label{c.Name, c.Class, p.X.At(last[0]) + 9, p.Y.At(last[1]) + 4})
	}
	for _, l := range apart(names) {
		b.text("end "+l.class, "start", l.x, l.y, l.text)
	}
}

// label is a name at the end of a line.
type label struct {
	text, class string
	x, y        float64
}

// apart moves labels down until none overlaps another.
func apart(labels []label) []label {
	const height = 16
	slices.SortFunc(labels, func(a, b label) int { return cmp.Compare(a.y, b.y) })
	for i := 1; i < len(labels); i++ {
		labels[i].y = max(labels[i].y, labels[i-1].y+height)
	}
	return labels
}
