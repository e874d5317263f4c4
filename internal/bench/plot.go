package main

import "decayctl/internal/report/chart"

// The plot has a panel for each database: the cost of a first sweep in µs per fact, by the number of facts, on log axes. A
// method with linear cost is a horizontal line.
const (
	panelWidth  = 330
	panelHeight = 250
	panelGap    = 170 // for the names at the ends of the lines
	marginLeft  = 64
	marginTop   = 64
	plotWidth   = marginLeft + 2*panelWidth + 2*panelGap
	plotHeight  = marginTop + panelHeight + 62
)

// plotStyle has the colors of the contestants, for light and for dark screens.
const plotStyle = `
  .decayctl { stroke: #0969da } .decayctl-2 { stroke: #0969da; stroke-dasharray: 6 4 } .decayctl-2-no-fk { stroke: #1a7f37; stroke-dasharray: 6 4 } .row-by-row { stroke: #cf222e } .script { stroke: #8250df }
  .end { stroke: none } .end.decayctl, .end.decayctl-2 { fill: #0969da } .end.decayctl-2-no-fk { fill: #1a7f37 } .end.row-by-row { fill: #cf222e } .end.script { fill: #8250df }
  @media (prefers-color-scheme: dark) {
    .decayctl, .decayctl-2 { stroke: #58a6ff } .decayctl-2-no-fk { stroke: #3fb950 } .row-by-row { stroke: #ff7b72 } .script { stroke: #bc8cff }
    .end.decayctl, .end.decayctl-2 { fill: #58a6ff } .end.decayctl-2-no-fk { fill: #3fb950 } .end.row-by-row { fill: #ff7b72 } .end.script { fill: #bc8cff }
  }
`

func plot(rs results) string {
	var shown results
	for _, r := range rs {
		if r.Case == firstCase && r.Contestant != before {
			shown = append(shown, r)
		}
	}
	f := chart.File{
		Title: "Cost of a first sweep, in µs per fact, against the size of the store", Heading: "First sweep: µs per fact of the store, the lower the better",
		Style: plotStyle, Width: plotWidth, Height: plotHeight,
	}
	if len(shown) == 0 {
		return f.SVG()
	}
	var sizes, costs []float64
	for _, r := range shown {
		sizes, costs = append(sizes, float64(r.Facts)), append(costs, r.perFact())
	}
	for i, store := range storeNames {
		left := float64(marginLeft + i*(panelWidth+panelGap))
		f.Panels = append(f.Panels, chart.Panel{
			Title: storeTitles[store], Axis: "facts in the store", Dots: true,
			Format: func(facts float64) string { return grouped(int(facts)) },
			X:      chart.LogAxis(sizes, left, left+panelWidth), Y: chart.LogAxis(costs, marginTop+panelHeight, marginTop),
			Curves: curves(shown, store),
		})
	}
	return f.SVG()
}

// curves are the curves of the contestants on one database. The results are ordered by size.
func curves(rs results, store string) (all []chart.Curve) {
	for _, contestant := range []string{decayctl, decayctlTwo, decayctlNoFK, nodeMethod, script} {
		c := chart.Curve{Name: contestantTitles[contestant], Class: contestant}
		for _, r := range rs {
			if r.Store == store && r.Contestant == contestant {
				c.Points = append(c.Points, [2]float64{float64(r.Facts), r.perFact()})
			}
		}
		all = append(all, c)
	}
	return all
}
