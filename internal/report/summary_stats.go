package report

import (
	"cmp"
	"fmt"
	"html/template"
	"slices"
	"strconv"
	"strings"

	"github.com/dustin/go-humanize"

	"decayctl/internal/report/chart"
	"decayctl/internal/rule"
	"decayctl/internal/stats"
)

// categoryWords say what happens to the facts of a category.
var categoryWords = map[stats.Category]string{
	stats.Expired:   "expired already",
	stats.ByTTL:     "would expire by ttl",
	stats.ByFloor:   "would expire by min_confidence",
	stats.ByPolicy:  "would expire by a policy",
	stats.Reduced:   "would lose confidence",
	stats.Protected: "protected",
	stats.Live:      "stay as they are",
}

// portionsOf are the portions of all facts by category, with a portion for each protection.
func portionsOf(s stats.Standing) []portion {
	var parts []portion
	for _, c := range stats.Categories() {
		switch {
		case c == stats.Expired && !s.KnowsExpired:
		case c == stats.Protected:
			for _, p := range protections {
				parts = append(parts, portion{"protected: " + string(p.name), s.Protected[p.name], c})
			}
		default:
			parts = append(parts, portion{categoryWords[c], s.Counts[c], c})
		}
	}
	return parts
}

const mostBars = 50 // of a histogram

// histogramSection shows the live facts by age and by confidence.
func histogramSection(r Run) section {
	s := section{ID: "ages", Title: "Age and confidence"}
	if r.Stats == nil {
		return s
	}
	confidences := histogram{
		id: "confidence", caption: "Live facts by confidence", axis: "confidence",
		value:     func(v float64) string { return strconv.FormatFloat(v, 'g', 3, 64) },
		Histogram: r.Stats.Confidences.Coarse(mostBars),
	}
	if floor := r.Job.Rules.Floor; floor != nil {
		confidences.line = "min_confidence " + floor.String()
	}
	for _, h := range []histogram{agesOf(r, mostBars), confidences} {
		if h.Total() > 0 {
			s.Figures = append(s.Figures, h.figure())
		}
	}
	s.Intro = leftOut(r.Stats)
	return s
}

// agesOf are the ages of live facts, in no more than most bars.
func agesOf(r Run, most int) histogram {
	unit := "days"
	if r.Stats.Ages.Unit.Hours() < 24 {
		unit = "hours"
	}
	h := histogram{
		id: "age", caption: "Live facts by age", axis: "age in " + unit, unit: " " + unit, Histogram: r.Stats.Ages.Coarse(most),
		value: func(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) },
	}
	if ttl := r.Job.Rules.TTL; ttl != nil {
		h.line = "ttl " + ttl.String()
	}
	return h
}

// leftOut says which facts are in no bar of the histograms.
func leftOut(s *stats.Statistics) prose {
	var parts []string
	for _, of := range []struct {
		n    int64
		what string
	}{
		{s.Ages.Before.Total(), "stamped after as-of"},
		{s.Ages.Unknown.Total(), "with a stamp that is no date"},
		{s.Confidences.Unknown.Total(), "with a confidence that is no number from 0 to 1"},
	} {
		if of.n > 0 {
			parts = append(parts, humanize.Comma(of.n)+" "+of.what)
		}
	}
	if len(parts) == 0 {
		return nil
	}
	return words("Facts that are not in these pictures: " + strings.Join(parts, ", ") + ".")
}

// histogram is a histogram with the words for its picture.
type histogram struct {
	stats.Histogram
	id, caption string
	axis        string // title of the axis below the bars
	unit        string // behind a value; "" is none
	line        string // at the line
	value       func(float64) string
}

// span is the range of a bar, in words.
func (h histogram) span(b stats.Bin) string {
	if b.Open() {
		return h.value(b.From) + h.unit + " and more"
	}
	return h.value(b.From) + " to " + h.value(b.To) + h.unit
}

func (h histogram) figure() figure {
	shown := slices.DeleteFunc(stats.Categories(), func(c stats.Category) bool {
		return !slices.ContainsFunc(h.Bins, func(b stats.Bin) bool { return b.Counts[c] > 0 })
	})
	c := chart.Bars{ID: h.id, Title: h.caption, Axis: h.axis}
	f := figure{Caption: h.caption, Details: true, Numbers: grid{Caption: h.caption, Columns: columns(h.axis, "facts#")}}
	for _, of := range shown {
		f.Legend = append(f.Legend, key{Class: of.String(), Label: categoryWords[of]})
		f.Numbers.Columns = append(f.Numbers.Columns, heading{categoryWords[of], true})
	}
	tallest := h.Bins[0]
	for _, b := range h.Bins {
		if b.Counts.Total() > tallest.Counts.Total() {
			tallest = b
		}
		c.Bars = append(c.Bars, h.span(b))
		if b.Counts.Total() == 0 {
			continue
		}
		row := []cell{plain(h.span(b)), number(b.Counts.Total())}
		for _, of := range shown {
			row = append(row, number(b.Counts[of]))
		}
		f.Numbers.Rows = append(f.Numbers.Rows, row)
	}
	for _, of := range slices.Backward(shown) { // facts that stay are at the bottom, facts that expire on top
		s := chart.Series{Name: categoryWords[of], Class: of.String()}
		for _, b := range h.Bins {
			s.Values = append(s.Values, float64(b.Counts[of]))
		}
		c.Stack = append(c.Stack, s)
	}
	c.Ticks, c.Line = h.ticks(), h.mark()
	c.Desc = fmt.Sprintf("%s. The tallest bar: %s of %s.", counted(h.Total(), "fact", "facts"), counted(tallest.Counts.Total(), "fact", "facts"), h.span(tallest))
	f.SVG = template.HTML(c.SVG()) //nolint:gosec // chart escapes its texts
	return f
}

// ticks are the texts below some of the bars.
func (h histogram) ticks() (ticks []chart.Tick) {
	const most = 7
	step := (len(h.Bins) + most - 1) / most
	if even := step + 1; len(h.Bins)%step > 0 && len(h.Bins)%even == 0 {
		step = even // the last tick is at the end of the last bar
	}
	for i := 0; i < len(h.Bins); i += step {
		ticks = append(ticks, chart.Tick{At: float64(i), Text: h.value(h.Bins[i].From)})
	}
	if last := h.Bins[len(h.Bins)-1]; len(h.Bins)%step == 0 && !last.Open() {
		ticks = append(ticks, chart.Tick{At: float64(len(h.Bins)), Text: h.value(last.To)})
	}
	return ticks
}

// mark is the line of the rule; nil if it is beyond the bars.
func (h histogram) mark() *chart.Line {
	if h.Line == nil {
		return nil
	}
	for i, b := range h.Bins {
		if *h.Line >= b.From && *h.Line < b.To && !b.Open() {
			return &chart.Line{At: float64(i) + (*h.Line-b.From)/(b.To-b.From), Text: h.line}
		}
	}
	return nil
}

// groupsOf counts live facts by relation and scope. Groups in which most facts expire come first.
func groupsOf(s *stats.Statistics) section {
	in := section{ID: "groups", Title: "Relations and scopes"}
	apart := slices.ContainsFunc(s.Groups, func(g stats.Group) bool { return g.Tenant != s.Groups[0].Tenant })
	all := s.Others
	for _, g := range s.Groups {
		all.Add(g.Counts)
	}
	var shown []stats.Category // with a column of their own
	for _, c := range []stats.Category{stats.ByTTL, stats.ByFloor, stats.ByPolicy, stats.Reduced, stats.Protected} {
		if all[c] > 0 {
			shown = append(shown, c)
		}
	}
	t := grid{Caption: "Live facts by relation and scope, and what would become of them", Columns: columns("relation", "scope")}
	if apart {
		t.Columns = append(t.Columns, heading{Name: "tenant"})
	}
	t.Columns = append(t.Columns, columns("live#", "would expire#", "share#")...)
	for _, c := range shown {
		t.Columns = append(t.Columns, heading{groupColumns[c], true})
	}
	row := func(c stats.Counts, names ...cell) []cell {
		var parts []chart.Part
		for _, of := range stats.Categories() {
			parts = append(parts, chart.Part{Class: of.String(), Value: float64(c[of])})
		}
		ends := share(c.Ends(), c.Total(), parts...)
		names = append(names, number(c.Total()), number(c.Ends()), ends)
		for _, of := range shown {
			names = append(names, number(c[of]))
		}
		return names
	}
	groups := slices.SortedStableFunc(slices.Values(s.Groups), func(a, b stats.Group) int {
		return cmp.Or(cmp.Compare(b.Counts.Ends(), a.Counts.Ends()), cmp.Compare(b.Counts[stats.Reduced], a.Counts[stats.Reduced]), cmp.Compare(b.Counts.Total(), a.Counts.Total()))
	})
	rest := s.Others
	for i, g := range groups {
		if i >= pageGroups {
			rest.Add(g.Counts)
			continue
		}
		names := []cell{name(g.Relation), name(g.Scope)}
		if apart {
			names = append(names, name(g.Tenant))
		}
		t.Rows = append(t.Rows, row(g.Counts, names...))
	}
	if rest.Total() > 0 {
		names := []cell{plain("… " + cmp.Or(moreRows(len(groups)-pageGroups, "groups"), "all others")), plain("")}
		if apart {
			names = append(names, plain(""))
		}
		t.Foot = append(t.Foot, row(rest, names...))
	}
	in.Tables = []grid{t}
	return in
}

// groupColumns are the headings of categories in the table of groups.
var groupColumns = map[stats.Category]string{
	stats.ByTTL: rule.NameTTL, stats.ByFloor: rule.NameFloor, stats.ByPolicy: "policies", stats.Reduced: "fade", stats.Protected: "protected",
}
