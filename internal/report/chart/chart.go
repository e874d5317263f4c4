// Package chart draws charts, as SVG for pages and as block characters for terminals. The SVG has classes instead of
// colors, so that the page's style can choose them for light and dark screens. It has no attribute that a strict content
// security policy refuses. Every mark has its number as text, and every chart has a title and a description.
package chart

import (
	"fmt"
	"html"
	"math"
	"strconv"
	"strings"
)

// Series are the values of one kind in a chart.
type Series struct {
	Name   string
	Class  string // of the marks, letters and hyphens only
	Values []float64
}

// svg builds a chart.
type svg struct{ strings.Builder }

// open begins a chart as wide as its container. id is unique on the page, of letters, digits and hyphens.
func (b *svg) open(id, title, desc string, width, height int) {
	fmt.Fprintf(b, `<svg class="chart" viewBox="0 0 %d %d" role="img" aria-labelledby="%s-title %[3]s-desc">`+"\n", width, height, id)
	fmt.Fprintf(b, `<title id="%s-title">%s</title><desc id="%[1]s-desc">%s</desc>`+"\n", id, html.EscapeString(title), html.EscapeString(desc))
}

func (b *svg) text(class, anchor string, x, y float64, text string) {
	fmt.Fprintf(b, `<text class="%s" text-anchor="%s" x="%s" y="%s">%s</text>`+"\n", class, anchor, place(x), place(y), html.EscapeString(text))
}

func (b *svg) line(class string, x1, y1, x2, y2 float64) {
	fmt.Fprintf(b, `<line class="%s" x1="%s" y1="%s" x2="%s" y2="%s"/>`+"\n", class, place(x1), place(y1), place(x2), place(y2))
}

func (b *svg) rect(class string, x, y, width, height float64) {
	fmt.Fprintf(b, `<rect class="%s" x="%s" y="%s" width="%s" height="%s"/>`+"\n", class, place(x), place(y), place(width), place(height))
}

// place writes a coordinate with at most one decimal.
func place(v float64) string { return strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64) }

// Short writes a number in few characters: 950, 1.5k, 20k, 3M.
func Short(v float64) string {
	for _, unit := range []struct {
		size float64
		name string
	}{{1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if math.Abs(v) >= unit.size {
			return strconv.FormatFloat(math.Round(v/unit.size*10)/10, 'f', -1, 64) + unit.name
		}
	}
	return strconv.FormatFloat(math.Round(v*100)/100, 'f', -1, 64)
}
