package report

import (
	"cmp"
	"html/template"
	"maps"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"

	"decayctl/internal/job"
	"decayctl/internal/report/chart"
	"decayctl/internal/rule"
	"decayctl/internal/stats"
)

// The most rows that a page shows of lists that may be long.
const (
	pageGroups   = 100
	pageTenants  = 50
	pagePolicies = 100
	pageFailed   = 50
)

// moreRows says how many rows are left out; "" is none.
func moreRows(left int, what string) string {
	if left <= 0 {
		return ""
	}
	return "and " + humanize.Comma(int64(left)) + " more " + what
}

// tilesOf are the large numbers of the first screen: facts that expire, facts that stay, and why.
func tilesOf(r Run) []tile {
	j := r.job()
	c := j.Counts
	goes, label := r.expired(), "expired"
	if r.Preview != nil {
		label = "would expire"
	}
	if c.Examined == 0 && !j.Node {
		return nil
	}
	of, what := c.Examined, "fact"
	if r.Stats != nil {
		of, what = r.Stats.Standing.Live(), "live fact"
	}
	tiles := []tile{{humanize.Comma(goes), label, portionText(goes, of) + " of " + counted(of, what, what+"s"), stats.ByTTL.String()}}
	if j.Node {
		tiles[0].Detail = "as the node counts"
		return tiles
	}
	if c.ReducedOnly > 0 {
		tiles = append(tiles, tile{humanize.Comma(c.ReducedOnly), "lose confidence", "and live on", stats.Reduced.String()})
	}
	if j.State == job.Undoing || j.State == job.Undone {
		return append(tiles, tile{humanize.Comma(c.Restored), "given back", humanize.Comma(c.LeftAlone) + " left alone: changed since by others", stats.Live.String()})
	}
	kept := keptIn(c)
	stay, why := max(0, c.Examined-c.Due()-kept), "no rule selects them"
	if r.Stats != nil {
		stay, why = r.Stats.Standing.Counts[stats.Live], "live, and no rule selects them"
	}
	tiles = append(tiles, usualTile(r)...)
	return append(tiles,
		tile{humanize.Comma(stay), "stay as they are", why, stats.Live.String()},
		tile{humanize.Comma(kept), "protected", "a rule selects them, a protection holds", stats.Protected.String()},
	)
}

// keptIn counts the facts that a protection kept.
func keptIn(c job.Counts) (n int64) {
	for _, p := range protections {
		n += c.Kept[p.name]
	}
	return n
}

// portion is a part of all facts.
type portion struct {
	label string
	n     int64
	of    stats.Category
}

// standingOf are the portions of all facts by what happens to them, from a job's counts.
func standingOf(r Run) []portion {
	j := r.job()
	c := j.Counts
	if j.Node || j.State == job.Undoing || j.State == job.Undone || c.Examined == 0 {
		return nil
	}
	goes, label, fades := r.expired(), "expired", "lost confidence"
	if r.Preview != nil {
		label, fades = "would expire", "would lose confidence"
	}
	parts := []portion{{label, goes, stats.ByTTL}, {fades, c.ReducedOnly, stats.Reduced}}
	for _, p := range protections {
		parts = append(parts, portion{"protected: " + string(p.name), c.Kept[p.name], stats.Protected})
	}
	parts = append(parts, portion{"changed meanwhile", c.Kept[rule.ChangedMeanwhile], stats.Expired})
	rest := c.Examined
	for _, p := range parts {
		rest -= p.n
	}
	return append(parts, portion{"no rule selects", rest, stats.Live})
}

// standingSection shows the portions as one bar.
func standingSection(r Run) section {
	s := section{ID: "standing", Title: "Where the facts stand"}
	standing := standingOf(r)
	if r.Stats != nil {
		standing = portionsOf(r.Stats.Standing)
	}
	portions := slices.DeleteFunc(standing, func(p portion) bool { return p.n <= 0 })
	if len(portions) == 0 {
		return s
	}
	all := int64(0)
	for _, p := range portions {
		all += p.n
	}
	var parts []chart.Part
	f := figure{Numbers: grid{Caption: s.Title, Columns: columns("facts that", "number#", "share#")}}
	var said []string
	for _, p := range portions {
		parts = append(parts, chart.Part{Name: p.label, Class: p.of.String(), Value: float64(p.n)})
		f.Legend = append(f.Legend, key{p.of.String(), p.label, humanize.Comma(p.n), portionText(p.n, all)})
		f.Numbers.Rows = append(f.Numbers.Rows, []cell{plain(p.label), number(p.n), {Text: portionText(p.n, all), Number: true}})
		said = append(said, p.label+" "+humanize.Comma(p.n))
	}
	f.SVG = template.HTML(chart.Whole(s.ID, s.Title, strings.Join(said, ", "), parts)) //nolint:gosec // chart escapes its texts
	s.Figures = []figure{f}
	return s
}

// scopeSection says which facts were judged, and by which rules.
func scopeSection(r Run) section {
	j := r.job()
	t := grid{Caption: "What was looked at", Repeats: true, Columns: columns("setting", "value")}
	row := func(label string, value cell) { t.Rows = append(t.Rows, []cell{plain(label), value}) }
	row("store", name(r.Target))
	if !j.Node {
		row("as of", plain(second(j.AsOf)))
	}
	row("scope", orAllCell(j.Scope))
	if !j.Node {
		row("tenant", orAllCell(j.Tenant))
		row("rules", name(j.Rules.Words()))
		row("fingerprint of the rules", name(j.Rules.Fingerprint()))
		if j.Plan != "" {
			row("digest of the plan", name(j.Plan))
		}
	}
	if r.Preview != nil && r.Preview.Oldest != nil {
		row("stamps of what would change", plain(second(*r.Preview.Oldest)+" to "+second(*r.Preview.Newest)))
	}
	return section{ID: "scope", Title: "What was looked at", Tables: []grid{t}, Folded: true}
}

// groupSection counts selected facts by relation and scope, in descending order.
func groupSection(r Run) section {
	s := section{ID: "groups", Title: "Relations and scopes"}
	if r.Stats != nil && len(r.Stats.Groups) > 0 {
		return groupsOf(r.Stats)
	}
	if r.Preview == nil || len(r.Preview.Groups) == 0 {
		return s
	}
	rules := selecting(r.Job.Rules)
	if len(rules) == 1 || len(rules) > columnRules {
		rules = nil // one rule repeats the total, and many have no room on a page
	}
	apart := len(r.Preview.Tenants) > 1
	t := grid{Caption: "Facts that would change, by relation and scope", Columns: columns("relation", "scope")}
	if apart {
		t.Columns = append(t.Columns, heading{Name: "tenant"})
	}
	t.Columns = append(t.Columns, columns("facts#", "share#")...)
	for _, rule := range rules {
		t.Columns = append(t.Columns, heading{ruleLabel(rule), true})
	}
	row := func(g groupRow, names ...cell) []cell {
		if apart {
			names = append(names, name(g.Tenant))
		}
		part := chart.Part{Class: stats.ByTTL.String(), Value: float64(g.facts)}
		names = append(names, number(g.facts), share(g.facts, r.Preview.Selected, part))
		for _, rule := range rules {
			names = append(names, number(g.byRule[rule]))
		}
		return names
	}
	shown, rest := largestGroups(r.Preview, pageGroups)
	for _, g := range shown {
		t.Rows = append(t.Rows, row(g, name(g.Relation), name(g.Scope)))
	}
	if rest != nil {
		t.Foot = append(t.Foot, row(*rest, plain(rest.Relation), plain("")))
	}
	s.Tables = []grid{t}
	return s
}

// tenantSection breaks a run down by tenant, if there is more than one.
func tenantSection(r Run) section {
	s := section{ID: "tenants", Title: "Tenants"}
	if selected := r.job().Counts.Tenants; len(selected) > 1 {
		s.Tables = []grid{tenantTable(selected)}
	}
	return s
}

func tenantTable(selected map[string]int64) grid {
	t := grid{Caption: "Facts that the rules select, by tenant", Columns: columns("tenant", "facts#", "share#")}
	names := slices.SortedFunc(maps.Keys(selected), func(a, b string) int {
		return cmp.Or(cmp.Compare(selected[b], selected[a]), cmp.Compare(a, b))
	})
	all := int64(0)
	for _, n := range selected {
		all += n
	}
	for _, tenant := range names[:min(pageTenants, len(names))] {
		n := selected[tenant]
		t.Rows = append(t.Rows, []cell{name(tenant), number(n), share(n, all, chart.Part{Class: stats.ByTTL.String(), Value: float64(n)})})
	}
	t.More = moreRows(len(names)-pageTenants, "tenants")
	return t
}
