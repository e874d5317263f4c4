package report

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"

	"decayctl/internal/job"
	"decayctl/internal/rule"
	"decayctl/internal/stats"
)

// Forecast is the report of a forecast.
type Forecast struct {
	Target   string // the store, password masked
	Rules    rule.Set
	Scope    string // "" is every scope
	Tenant   string // "" is every tenant
	Forecast *stats.Forecast
	Notes    []string
	Made     Made // for the end of a page
}

type forecastDocument struct {
	SchemaVersion int                      `json:"schema_version"`
	Store         string                   `json:"store"`
	AsOf          *string                  `json:"as_of"`
	Rules         *ruleSet                 `json:"rules"`
	Fingerprint   *string                  `json:"fingerprint"`
	Scope         *string                  `json:"scope"`
	Tenant        *string                  `json:"tenant"`
	Live          int64                    `json:"live"`
	forecastCount                          // of all days
	Share         float64                  `json:"share"`
	ByRule        map[string]forecastCount `json:"by_rule"`
	Days          []forecastDay            `json:"days"`
	By            *stats.Dimension         `json:"by"`
	Groups        []forecastGroup          `json:"groups"`
	NotForecast   []string                 `json:"not_forecast"`
	Notes         []string                 `json:"notes"`
}

type forecastCount struct {
	Expire int64 `json:"expire"`
	Reduce int64 `json:"reduce"`
}

type forecastDay struct {
	Day   int     `json:"day"`
	Until *string `json:"until"`
	forecastCount
	OwnExpiry   int64                    `json:"own_expiry"`
	ExpireSoFar int64                    `json:"expire_so_far"`
	Share       float64                  `json:"share"`
	ByRule      map[string]forecastCount `json:"by_rule"`
}

type forecastGroup struct {
	Name *string `json:"name"`
	Live int64   `json:"live"`
	forecastCount
	Share       float64 `json:"share"`
	ExpireByDay []int64 `json:"expire_by_day"`
	ReduceByDay []int64 `json:"reduce_by_day"`
}

// WriteJSON writes the forecast as one JSON document.
func (r Forecast) WriteJSON(w io.Writer) error {
	f := r.Forecast
	doc := forecastDocument{
		SchemaVersion: schemaVersion, Store: r.Target, AsOf: instant(f.AsOf), Rules: ruleSetOf(r.Rules), Fingerprint: orNull(r.Rules.Fingerprint()),
		Scope: orNull(r.Scope), Tenant: orNull(r.Tenant), Live: f.Live, forecastCount: sumOf(f.Total), Share: rounded(f.Share(stats.Sum(f.Total.Ends))),
		ByRule: map[string]forecastCount{}, Groups: []forecastGroup{}, NotForecast: notForecast(r.Rules), Notes: append([]string{}, r.Notes...),
	}
	for _, name := range r.Rules.Names() {
		doc.ByRule[name] = forecastCount{}
	}
	running := stats.Running(f.Total.Ends)
	for n := range f.Days + 1 {
		day := forecastDay{
			Day: n, Until: instant(f.Day(n)), forecastCount: countOn(f.Total, n), OwnExpiry: f.OwnEnds[n],
			ExpireSoFar: running[n], Share: rounded(f.Share(running[n])), ByRule: map[string]forecastCount{},
		}
		for _, s := range f.Rules {
			if count := countOn(s.Series, n); count != (forecastCount{}) {
				day.ByRule[seriesName(s)] = count
			}
		}
		doc.Days = append(doc.Days, day)
	}
	for _, s := range f.Rules {
		doc.ByRule[seriesName(s)] = sumOf(s.Series)
	}
	if f.By != "" {
		doc.By = &f.By
	}
	for _, g := range f.Groups {
		doc.Groups = append(doc.Groups, forecastGroupOf(&g.Key, g))
	}
	if f.Others != nil {
		doc.Groups = append(doc.Groups, forecastGroupOf(nil, *f.Others))
	}
	return write(w, doc)
}

func countOn(s stats.Series, day int) forecastCount {
	return forecastCount{s.Ends[day], s.Reduces[day]}
}

func sumOf(s stats.Series) forecastCount {
	return forecastCount{stats.Sum(s.Ends), stats.Sum(s.Reduces)}
}

func forecastGroupOf(name *string, g stats.GroupSeries) forecastGroup {
	share := rounded(float64(stats.Sum(g.Ends)) / float64(max(1, g.Live)))
	return forecastGroup{name, g.Live, sumOf(g.Series), share, g.Ends, g.Reduces}
}

// rounded is a share to a hundredth of a percent.
func rounded(share float64) float64 { return math.Round(share*10_000) / 10_000 }

const otherPolicies = "(other policies)"

func seriesName(s stats.RuleSeries) string { return cmp.Or(s.Rule, otherPolicies) }

// notForecast says which facts the numbers leave out.
func notForecast(rules rule.Set) []string {
	limits := []string{
		"facts that are asserted from now on",
		"confidence, expiries, legal holds and quarantine that other processes change",
	}
	if slices.ContainsFunc(rules.Policies, func(p rule.Policy) bool { return p.KeepLast > 0 && p.Mode != rule.ModeDryRun }) {
		limits = append(limits, "facts that keep_last keeps today, and no longer once newer facts of their group come")
	}
	return limits
}

// WriteText writes the forecast for people, in few enough lines for a screen.
func (r Forecast) WriteText(w io.Writer, s Style) error {
	p, f := &page{Style: s}, r.Forecast
	first, second := r.headline()
	p.WriteString(p.bold(first) + "\n" + second + "\n\n")
	p.settings(job.Job{AsOf: f.AsOf, Rules: r.Rules, Scope: r.Scope, Tenant: r.Tenant})
	if p.Draws() {
		p.ahead(f)
		p.WriteString("\n")
	}
	p.forecastDays(f)
	p.forecastRules(f)
	p.forecastGroups(f)
	p.WriteString("\nNot in these figures:\n")
	for _, limit := range notForecast(r.Rules) {
		p.WriteString("  " + limit + "\n")
	}
	for _, note := range r.Notes {
		p.WriteString("note: " + Clean(note) + "\n")
	}
	_, err := io.WriteString(w, p.String())
	return err
}

func (r Forecast) headline() (first, second string) {
	f := r.Forecast
	ends, reduces, within := stats.Sum(f.Total.Ends), stats.Sum(f.Total.Reduces), " within "+counted(int64(f.Days), "day", "days")
	first = "Forecast for " + Clean(r.Target) + ". Nothing was written."
	switch {
	case ends == 0 && reduces == 0:
		return first, "No rule will change a fact" + within + "."
	case ends == 0:
		return first, "No rule will expire a fact" + within + "."
	}
	return first, humanize.Comma(ends) + " of " + counted(f.Live, "live fact", "live facts") + " (" + portionText(ends, f.Live) + ") will expire" + within + "."
}

const mostPeriods = 15 // lines

// period is the number of days per line, so that there are at most mostPeriods lines.
func period(days int) int {
	for _, period := range []int{1, 7, 30, 91} {
		if (days+period-1)/period <= mostPeriods {
			return period
		}
	}
	return 365
}

// forecastDays is a table by day, or by some days in a line.
func (p *page) forecastDays(f *stats.Forecast) {
	fades, own := stats.Sum(f.Total.Reduces) > 0, stats.Sum(f.OwnEnds) > 0
	var ending []stats.RuleSeries
	for _, s := range f.Rules {
		if stats.Sum(s.Ends) > 0 {
			ending = append(ending, s)
		}
	}
	if len(ending) == 1 || len(ending) > columnRules {
		ending = nil // one rule repeats the total, and many do not fit into a line
	}
	columns := []column{{"UNTIL", wordCells}}
	for _, s := range ending {
		columns = append(columns, column{ruleHeader(seriesName(s)), numberCells})
	}
	columns = append(columns, column{"EXPIRE", numberCells}, column{"SO FAR", numberCells}, column{"OF LIVE", numberCells})
	if fades {
		columns = append(columns, column{"FADE", numberCells})
	}
	if own {
		columns = append(columns, column{"OWN EXPIRY", numberCells})
	}
	var rows [][]string
	running := stats.Running(f.Total.Ends)
	step := period(f.Days)
	for from, to := 0, 0; from <= f.Days; from, to = to+1, min(to+step, f.Days) {
		until := "now"
		if to > 0 {
			until = f.Day(to).UTC().Format("2006-01-02")
		}
		sum := func(daily []int64) string { return humanize.Comma(stats.Sum(daily[from : to+1])) }
		row := []string{until}
		for _, s := range ending {
			row = append(row, sum(s.Ends))
		}
		row = append(row, sum(f.Total.Ends), humanize.Comma(running[to]), fmt.Sprintf("%.1f%%", 100*f.Share(running[to])))
		if fades {
			row = append(row, sum(f.Total.Reduces))
		}
		if own {
			row = append(row, sum(f.OwnEnds))
		}
		rows = append(rows, row)
	}
	p.table(columns, rows)
}

// forecastRules is a table by rule, unless the table of days has a column for each rule.
func (p *page) forecastRules(f *stats.Forecast) {
	if len(f.Rules) < 2 || len(f.Rules) <= columnRules && stats.Sum(f.Total.Reduces) == 0 {
		return
	}
	var rows [][]string
	for _, s := range f.Rules {
		rows = append(rows, []string{short(seriesName(s)), humanize.Comma(stats.Sum(s.Ends)), humanize.Comma(stats.Sum(s.Reduces))})
	}
	if more := len(rows) - shownGroups; more > 0 {
		rows = append(rows[:shownGroups], []string{fmt.Sprintf("… %d more", more), "", ""})
	}
	p.WriteString("\n")
	p.table([]column{{"RULE", nameCells}, {"EXPIRE", numberCells}, {"FADE", numberCells}}, rows)
}

// forecastGroups is a table by relation, scope or tenant, in descending order of expired facts.
func (p *page) forecastGroups(f *stats.Forecast) {
	if len(f.Groups) == 0 {
		return
	}
	var rows [][]string
	add := func(name string, g stats.GroupSeries) {
		ends, reduces := stats.Sum(g.Ends), stats.Sum(g.Reduces)
		share := fmt.Sprintf("%.1f%%", 100*float64(ends)/float64(max(1, g.Live)))
		rows = append(rows, []string{name, humanize.Comma(g.Live), humanize.Comma(ends), share, humanize.Comma(reduces)})
	}
	shown, rest := largestForecasts(f, shownGroups)
	for _, g := range shown {
		add(short(g.Key), g)
	}
	if rest != nil {
		add(rest.Key, *rest)
	}
	p.WriteString("\n")
	columns := []column{{strings.ToUpper(string(f.By)), nameCells}, {"LIVE", numberCells}, {"EXPIRE", numberCells}, {"OF LIVE", numberCells}, {"FADE", numberCells}}
	if stats.Sum(f.Total.Reduces) == 0 {
		columns = columns[:len(columns)-1]
		for i := range rows {
			rows[i] = rows[i][:len(columns)]
		}
	}
	p.table(columns, rows)
}
