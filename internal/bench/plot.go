package main

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
)

// The plot: a panel for each store, the cost of a first sweep in µs per fact against the size of the
// store, both on log axes. A method whose cost is linear draws a level line.
const (
	panelWidth  = 330
	panelHeight = 250
	panelGap    = 170 // room for the names at the ends of the lines
	marginLeft  = 64
	marginTop   = 64
	plotWidth   = marginLeft + 2*panelWidth + 2*panelGap
	plotHeight  = marginTop + panelHeight + 62
)

// plotStyle holds the colors, which follow those of the reader's screen.
const plotStyle = `
  text { font: 13px system-ui, sans-serif; fill: #1f2328 }
  .page { fill: #ffffff } .title { font-weight: 600; font-size: 15px } .small { font-size: 12px; fill: #59636e }
  .grid { stroke: #d1d9e0; stroke-width: 1 }
  .line { fill: none; stroke-width: 2.5 }
  .decayctl { stroke: #0969da } .decayctl-2 { stroke: #0969da; stroke-dasharray: 6 4 } .row-by-row { stroke: #cf222e } .script { stroke: #8250df }
  .end { stroke: none } .end.decayctl, .end.decayctl-2 { fill: #0969da } .end.row-by-row { fill: #cf222e } .end.script { fill: #8250df }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc } .small { fill: #9198a1 } .page { fill: #0d1117 } .grid { stroke: #3d444d }
    .decayctl, .decayctl-2 { stroke: #58a6ff } .row-by-row { stroke: #ff7b72 } .script { stroke: #bc8cff }
    .end.decayctl, .end.decayctl-2 { fill: #58a6ff } .end.row-by-row { fill: #ff7b72 } .end.script { fill: #bc8cff }
  }
`

// axis maps values to places on a log scale.
type axis struct {
	low, high float64 // powers of ten
	from, to  float64 // places
}

// axisOver is an axis whose ends are the powers of ten around the values.
func axisOver(values []float64, from, to float64) axis {
	low, high := math.Floor(math.Log10(slices.Min(values))), math.Ceil(math.Log10(slices.Max(values)))
	if low == high {
		high++
	}
	return axis{low, high, from, to}
}

func (a axis) at(value float64) float64 {
	return a.from + (math.Log10(value)-a.low)/(a.high-a.low)*(a.to-a.from)
}

// ticks are the powers of ten on the axis.
func (a axis) ticks() (ticks []float64) {
	for power := a.low; power <= a.high; power++ {
		ticks = append(ticks, math.Pow(10, power))
	}
	return ticks
}

func plot(rs results) string {
	var shown results
	for _, r := range rs {
		if r.Case == firstCase && r.Contestant != before {
			shown = append(shown, r)
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img">
<title>Cost of a first sweep, in µs per fact, against the size of the store</title>
<style>%s</style>
<rect class="page" width="100%%" height="100%%"/>
<text class="title" x="%d" y="26">First sweep: µs per fact of the store, the lower the better</text>
`, plotWidth, plotHeight, plotWidth, plotHeight, plotStyle, marginLeft)
	if len(shown) > 0 {
		var sizes, costs []float64
		for _, r := range shown {
			sizes, costs = append(sizes, float64(r.Facts)), append(costs, r.perFact())
		}
		bottom := float64(marginTop + panelHeight)
		for i, store := range storeNames {
			left := float64(marginLeft + i*(panelWidth+panelGap))
			panel(&b, shown, store, axisOver(sizes, left, left+panelWidth), axisOver(costs, bottom, marginTop))
		}
	}
	b.WriteString("</svg>\n")
	return b.String()
}

func panel(b *strings.Builder, rs results, store string, x, y axis) {
	fmt.Fprintf(b, `<text class="title" x="%.0f" y="%d">%s</text>`+"\n", x.from, marginTop-12, storeTitles[store])
	for _, tick := range x.ticks() {
		at := x.at(tick)
		fmt.Fprintf(b, `<line class="grid" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/>`+"\n", at, y.from, at, y.to)
		fmt.Fprintf(b, `<text class="small" text-anchor="middle" x="%.1f" y="%.1f">%s</text>`+"\n", at, y.from+20, grouped(int(tick)))
	}
	for _, tick := range y.ticks() {
		at := y.at(tick)
		fmt.Fprintf(b, `<line class="grid" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/>`+"\n", x.from, at, x.to, at)
		fmt.Fprintf(b, `<text class="small" text-anchor="end" x="%.1f" y="%.1f">%g</text>`+"\n", x.from-8, at+4, tick)
	}
	fmt.Fprintf(b, `<text class="small" text-anchor="middle" x="%.1f" y="%.1f">facts in the store</text>`+"\n", (x.from+x.to)/2, y.from+44)
	var names []label
	for _, contestant := range []string{decayctl, decayctlTwo, nodeMethod, script} {
		var points []string
		var last result
		for _, r := range rs { // ordered by size
			if r.Store == store && r.Contestant == contestant {
				at := fmt.Sprintf("%.1f,%.1f", x.at(float64(r.Facts)), y.at(r.perFact()))
				fmt.Fprintf(b, `<circle class="end %s" cx="%.1f" cy="%.1f" r="3.5"/>`+"\n", contestant, x.at(float64(r.Facts)), y.at(r.perFact()))
				points, last = append(points, at), r
			}
		}
		if len(points) > 0 {
			fmt.Fprintf(b, `<polyline class="line %s" points="%s"/>`+"\n", contestant, strings.Join(points, " "))
			names = append(names, label{contestant, contestantTitles[contestant], x.at(float64(last.Facts)) + 9, y.at(last.perFact()) + 4})
		}
	}
	for _, l := range apart(names) {
		fmt.Fprintf(b, `<text class="end %s" x="%.1f" y="%.1f">%s</text>`+"\n", l.contestant, l.x, l.y, l.text)
	}
}

// label is a name at the end of a line.
type label struct {
	contestant, text string
	x, y             float64
}

// apart moves labels down until none lies on another.
func apart(labels []label) []label {
	const height = 16
	slices.SortFunc(labels, func(a, b label) int { return cmp.Compare(a.y, b.y) })
	for i := 1; i < len(labels); i++ {
		labels[i].y = max(labels[i].y, labels[i-1].y+height)
	}
	return labels
}
