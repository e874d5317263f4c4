package report

import (
	"fmt"
	"html/template"
	"strconv"

	"github.com/dustin/go-humanize"

	"decayctl/internal/report/chart"
	"decayctl/internal/rule"
	"decayctl/internal/stats"
)

// forecast is the forecast of a dry run; nil is none.
func (r Run) forecast() *stats.Forecast {
	if r.Stats == nil {
		return nil
	}
	return r.Stats.Forecast
}

// The number of rules that have their own color in the forecast: the ttl, the floor, and some policies.
const mostPolicyColors = 4

const otherRules = "other policies"

// forecastSection shows how many facts will expire, by day.
func forecastSection(f *stats.Forecast) section {
	s := section{ID: "forecast", Title: "Forecast"}
	if f == nil {
		return s
	}
	running := stats.Running(f.Total.Ends)
	now, later := f.Total.Ends[0], running[f.Days]-f.Total.Ends[0]
	within := "the " + counted(int64(f.Days), "day", "days") + " after"
	s.Intro = words(fmt.Sprintf("If a sweep ran now and once a day from now on, and no other process wrote: %s would expire now and %s in %s, %s of the live facts in total.",
		humanize.Comma(now), humanize.Comma(later), within, portionText(running[f.Days], f.Live)))
	if running[f.Days] == 0 {
		return s
	}
	s.Figures = []figure{dailyFigure(f), runningFigure(f, running)}
	return s
}

// ruleSeries are the numbers of expired facts by rule. Rules beyond the number of colors are one series.
func ruleSeries(f *stats.Forecast) (all []chart.Series) {
	policies := 0
	var others *chart.Series
	for _, r := range f.Rules {
		if stats.Sum(r.Ends) == 0 {
			continue
		}
		s := chart.Series{Name: ruleLabel(r.Rule), Values: floats(r.Ends)}
		switch r.Rule {
		case rule.NameTTL:
			s.Class = stats.ByTTL.String()
		case rule.NameFloor:
			s.Class = stats.ByFloor.String()
		default:
			if policies++; policies == 1 {
				s.Class = stats.ByPolicy.String()
			} else {
				s.Class = stats.ByPolicy.String() + "-" + strconv.Itoa(policies)
			}
		}
		switch {
		case policies < mostPolicyColors && r.Rule != "", s.Class == stats.ByTTL.String(), s.Class == stats.ByFloor.String():
			all = append(all, s)
		case others == nil:
			s.Name, s.Class = otherRules, stats.ByPolicy.String()+"-"+strconv.Itoa(mostPolicyColors)
			others = &s
		default:
			for day, n := range s.Values {
				others.Values[day] += n
			}
		}
	}
	if others != nil {
		all = append(all, *others)
	}
	return all
}

func floats(daily []int64) []float64 {
	values := make([]float64, len(daily))
	for day, n := range daily {
		values[day] = float64(n)
	}
	return values
}

// dailyFigure has a bar for each day, or for several days, from tomorrow on. Day 0 is left out: it may be as much as a
// year.
func dailyFigure(f *stats.Forecast) figure {
	series := ruleSeries(f)
	step := (f.Days + mostBars - 1) / mostBars
	caption := "Facts that expire, by day"
	if step > 1 {
		caption = fmt.Sprintf("Facts that expire, in %d days each", step)
	}
	c := chart.Bars{ID: "daily", Title: caption, Axis: "days from now"}
	out := figure{Caption: caption, Details: true, Numbers: grid{Caption: caption, Columns: columns("until", "facts#", "so far#", "of live#")}}
	for _, s := range series {
		out.Legend = append(out.Legend, key{Class: s.Class, Label: s.Name})
		c.Stack = append(c.Stack, chart.Series{Name: s.Name, Class: s.Class})
	}
	running := stats.Running(f.Total.Ends)
	row := func(until string, from, to int) {
		out.Numbers.Rows = append(out.Numbers.Rows, []cell{
			plain(until), number(stats.Sum(f.Total.Ends[from : to+1])), number(running[to]), {Text: portionText(running[to], f.Live), Number: true},
		})
	}
	row("now", 0, 0)
	most, busiest := int64(-1), ""
	for from := 1; from <= f.Days; from += step {
		to := min(from+step-1, f.Days)
		until := f.Day(to).UTC().Format("2006-01-02")
		row(until, from, to)
		c.Bars = append(c.Bars, "until "+until)
		for i, s := range series {
			sum := 0.0
			for day := from; day <= to; day++ {
				sum += s.Values[day]
			}
			c.Stack[i].Values = append(c.Stack[i].Values, sum)
		}
		if n := stats.Sum(f.Total.Ends[from : to+1]); n > most {
			most, busiest = n, until
		}
	}
	axis := chart.DayAxis(f.Days)
	for _, day := range axis.Ticks() {
		c.Ticks = append(c.Ticks, chart.Tick{At: day / float64(step), Text: chart.Short(day)})
	}
	c.Desc = fmt.Sprintf("%s expire after today. The tallest bar: %s until %s.", counted(running[f.Days]-running[0], "fact", "facts"), humanize.Comma(max(0, most)), busiest)
	out.SVG = template.HTML(c.SVG()) //nolint:gosec // chart escapes its texts
	return out
}

// runningFigure is the running total from day 0 on.
func runningFigure(f *stats.Forecast, running []int64) figure {
	const caption = "Facts that expire, in total"
	curve := chart.Curve{Class: "total", Area: true}
	for day, n := range running {
		curve.Points = append(curve.Points, [2]float64{float64(day), float64(n)})
	}
	p := chart.Panel{X: chart.DayAxis(f.Days), Y: chart.NumberAxis(float64(running[f.Days])), Axis: "days from now", Curves: []chart.Curve{curve}}
	desc := fmt.Sprintf("From %s now to %s after %s.", humanize.Comma(running[0]), humanize.Comma(running[f.Days]), counted(int64(f.Days), "day", "days"))
	return figure{
		Caption: caption, SVG: template.HTML(p.Draw("running", caption, desc)), //nolint:gosec // chart escapes its texts
	}
}
