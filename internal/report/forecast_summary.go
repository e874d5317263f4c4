package report

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"

	"decayctl/internal/job"
	"decayctl/internal/report/chart"
	"decayctl/internal/stats"
)

// WriteMarkdown writes the forecast as Markdown.
func (r Forecast) WriteMarkdown(w io.Writer) error { return r.summary().writeMarkdown(w) }

// WriteHTML writes the forecast as a page.
func (r Forecast) WriteHTML(w io.Writer) error { return r.summary().writeHTML(w) }

func (r Forecast) summary() *summary {
	f := r.Forecast
	j := job.Job{AsOf: f.AsOf, Rules: r.Rules, Scope: r.Scope, Tenant: r.Tenant}
	_, second := r.headline()
	s := &summary{
		Kind: "Forecast", Answer: words(strings.TrimSuffix(second, ".") + " in ").name(r.Target).then(". Nothing was written."),
		Looked: lookedAt(j), Tiles: r.tiles(), Made: r.Made,
	}
	for _, note := range r.Notes {
		s.Notes = append(s.Notes, sentence(note))
	}
	limits := section{ID: "limits", Title: "Not in these figures", Intro: words("The figures leave out " + strings.Join(notForecast(r.Rules), "; ") + ".")}
	s.Sections = []section{forecastSection(f)}
	for _, of := range []section{r.rulesSection(), r.groupSection()} {
		if len(of.Tables) > 0 {
			s.Sections = append(s.Sections, of)
		}
	}
	s.Sections = append(s.Sections, limits, scopeSection(Run{Target: r.Target, Job: j}))
	return s
}

func (r Forecast) tiles() []tile {
	f := r.Forecast
	ends, now := stats.Sum(f.Total.Ends), f.Total.Ends[0]
	tiles := []tile{
		{humanize.Comma(ends), "will expire", portionText(ends, f.Live) + " of " + counted(f.Live, "live fact", "live facts") + ", within " + counted(int64(f.Days), "day", "days"), stats.ByTTL.String()},
		{humanize.Comma(now), "of them now", "what a sweep of today does", stats.ByTTL.String()},
	}
	if fades := stats.Sum(f.Total.Reduces); fades > 0 {
		tiles = append(tiles, tile{humanize.Comma(fades), "times a fact loses confidence", "and lives on", stats.Reduced.String()})
	}
	if own := stats.Sum(f.OwnEnds); own > 0 {
		tiles = append(tiles, tile{humanize.Comma(own), "end by themselves", "by an expiry of their own", stats.Expired.String()})
	}
	return tiles
}

// rulesSection lists the rules with their counts.
func (r Forecast) rulesSection() section {
	t := grid{Caption: "What each rule will do", Columns: columns("rule", "expire#", "fade#")}
	for _, s := range r.Forecast.Rules[:min(pagePolicies, len(r.Forecast.Rules))] {
		t.Rows = append(t.Rows, []cell{name(seriesName(s)), number(stats.Sum(s.Ends)), number(stats.Sum(s.Reduces))})
	}
	t.More = moreRows(len(r.Forecast.Rules)-len(t.Rows), "rules")
	if len(t.Rows) == 0 {
		return section{}
	}
	return section{ID: "rules", Title: "Rules", Tables: []grid{t}}
}

// groupSection breaks the forecast down by relation, scope or tenant.
func (r Forecast) groupSection() section {
	f := r.Forecast
	if len(f.Groups) == 0 {
		return section{}
	}
	dimension := string(f.By)
	t := grid{Caption: "Facts that will expire, by " + dimension, Columns: columns(dimension, "live#", "expire#", "share#", "fade#")}
	row := func(first cell, g stats.GroupSeries) []cell {
		ends := stats.Sum(g.Ends)
		part := chart.Part{Class: stats.ByTTL.String(), Value: float64(ends)}
		return []cell{first, number(g.Live), number(ends), share(ends, g.Live, part), number(stats.Sum(g.Reduces))}
	}
	shown, rest := largestForecasts(f, pageGroups)
	for _, g := range shown {
		t.Rows = append(t.Rows, row(name(g.Key), g))
	}
	if rest != nil {
		t.Foot = append(t.Foot, row(plain(rest.Key), *rest))
	}
	return section{ID: "groups", Title: "By " + dimension, Tables: []grid{t}}
}

// largestForecasts are the groups in which most facts expire, and the sum of the others; nil if there are none.
func largestForecasts(f *stats.Forecast, most int) (shown []stats.GroupSeries, rest *stats.GroupSeries) {
	groups := slices.SortedFunc(slices.Values(f.Groups), func(a, b stats.GroupSeries) int {
		return cmp.Or(cmp.Compare(stats.Sum(b.Ends), stats.Sum(a.Ends)), cmp.Compare(b.Live, a.Live), cmp.Compare(a.Key, b.Key))
	})
	shown, more := groups[:min(most, len(groups))], groups[min(most, len(groups)):]
	words := fmt.Sprintf("… %d more", len(more))
	if f.Others != nil {
		more, words = append(slices.Clip(more), *f.Others), "… all others" // the number of these groups is not known
	}
	if len(more) == 0 {
		return shown, nil
	}
	rest = &stats.GroupSeries{Key: words}
	for _, g := range more {
		rest.Live += g.Live
		rest.Ends = append(rest.Ends, stats.Sum(g.Ends))
		rest.Reduces = append(rest.Reduces, stats.Sum(g.Reduces))
	}
	return shown, rest
}
