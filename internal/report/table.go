package report

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"decayctl/internal/job"
	"decayctl/internal/rule"
	"decayctl/internal/sweep"
)

const (
	shownGroups  = 20
	columnRules  = 4 // rules that have their own column
	widestRule   = len("MIN_CONFIDENCE")
	narrowestCol = 8 // smallest width of a name, however narrow the terminal
	gap          = 2 // columns between columns
)

// column is a column of a table.
type column struct {
	name string
	kind kind
}

type kind int

const (
	nameCells   kind = iota // are shortened if the terminal is too narrow
	wordCells               // are shown whole
	numberCells             // are shown whole, right-aligned
)

// tenants is a table of counts by tenant, if there are several.
func (p *page) tenants(selected map[string]int64) {
	if len(selected) < 2 {
		return
	}
	names := slices.SortedFunc(maps.Keys(selected), func(a, b string) int {
		return cmp.Or(cmp.Compare(selected[b], selected[a]), cmp.Compare(a, b))
	})
	shown := names[:min(shownGroups, len(names))]
	var rows [][]string
	for _, tenant := range shown {
		rows = append(rows, []string{short(tenant), humanize.Comma(selected[tenant])})
	}
	rest := int64(0)
	for _, tenant := range names[len(shown):] {
		rest += selected[tenant]
	}
	if rest > 0 {
		rows = append(rows, []string{fmt.Sprintf("… %d more", len(names)-len(shown)), humanize.Comma(rest)})
	}
	p.WriteString("\n")
	p.table([]column{{"TENANT", nameCells}, {"SELECTED", numberCells}}, rows) // not all selected facts may have expired
}

// groupRow is a group of facts, or the sum of the groups that are not shown.
type groupRow struct {
	job.GroupKey
	facts  int64
	byRule map[string]int64
}

// groups is a table of the facts that a dry run selected, the largest groups first.
func (p *page) groups(r Run) {
	if len(r.Preview.Groups) == 0 {
		return
	}
	apart := len(r.Preview.Tenants) > 1
	columns := []column{{"SCOPE", nameCells}, {"RELATION", nameCells}, {"FACTS", numberCells}}
	if apart {
		columns = slices.Insert(columns, 0, column{"TENANT", nameCells})
	}
	rules := selecting(r.Job.Rules)
	if len(rules) == 1 || len(rules) > columnRules {
		rules = nil // the same numbers again, or more columns than a line has
	}
	for _, name := range rules {
		columns = append(columns, column{ruleHeader(name), numberCells})
	}

	var rows [][]string
	groups, rest := largestGroups(r.Preview, shownGroups)
	if rest != nil {
		groups = append(groups, *rest)
	}
	for _, g := range groups {
		row := []string{short(g.Scope), short(g.Relation), humanize.Comma(g.facts)}
		if apart {
			row = slices.Insert(row, 0, short(g.Tenant))
		}
		for _, name := range rules {
			row = append(row, humanize.Comma(g.byRule[name]))
		}
		rows = append(rows, row)
	}
	p.WriteString("\n")
	p.table(columns, rows)
}

// ruleHeader is the heading of a rule's column. The case of a policy's id stays, so that it can be found in the file. A
// long id is cut.
func ruleHeader(name string) string {
	if id, byPolicy := strings.CutPrefix(name, rule.NamePolicy); byPolicy {
		return text.Snip(Clean(id), widestRule, "…")
	}
	return strings.ToUpper(name)
}

// largestGroups are the largest groups, and the sum of all others; nil if there are no others.
func largestGroups(result *sweep.Result, most int) (shown []groupRow, others *groupRow) {
	var rows []groupRow
	for key, g := range result.Groups {
		rows = append(rows, groupRow{key, g.Facts, g.ByRule})
	}
	slices.SortFunc(rows, func(a, b groupRow) int {
		return cmp.Or(cmp.Compare(b.facts, a.facts), cmp.Compare(a.Tenant, b.Tenant),
			cmp.Compare(a.Scope, b.Scope), cmp.Compare(a.Relation, b.Relation))
	})

	shown = rows[:min(most, len(rows))]
	rest := groupRow{byRule: map[string]int64{}}
	for _, row := range rows[len(shown):] {
		rest.add(row.facts, row.byRule)
	}
	rest.add(result.Other.Facts, result.Other.ByRule)
	if rest.facts == 0 {
		return shown, nil
	}
	rest.Relation = fmt.Sprintf("… %d more", len(rows)-len(shown))
	if result.Other.Facts > 0 {
		rest.Relation = "… all others" // the number of these groups is not known
	}
	return slices.Clip(shown), &rest
}

func (g *groupRow) add(facts int64, byRule map[string]int64) {
	g.facts += facts
	for name, n := range byRule {
		g.byRule[name] += n
	}
}

// table writes a header and rows of cells.
func (p *page) table(columns []column, rows [][]string) {
	widths := make([]int, len(columns))
	header := make([]string, len(columns))
	for i, c := range columns {
		header[i] = c.name
	}
	lines := append([][]string{header}, rows...)
	for _, line := range lines {
		for i, cell := range line {
			widths[i] = max(widths[i], text.StringWidthWithoutEscSequences(cell))
		}
	}
	if p.Width > 0 {
		shrink(columns, widths, p.Width)
	}

	t := table.NewWriter()
	t.SetStyle(table.Style{Box: table.BoxStyle{PaddingRight: strings.Repeat(" ", gap)}, Options: table.OptionsNoBordersAndSeparators})
	t.SuppressTrailingSpaces()
	var configs []table.ColumnConfig
	for i, c := range columns {
		if c.kind == numberCells {
			configs = append(configs, table.ColumnConfig{Number: i + 1, Align: text.AlignRight, AlignHeader: text.AlignRight})
		}
	}
	t.SetColumnConfigs(configs)
	for i, line := range lines {
		row := make(table.Row, len(line))
		for column, cell := range line {
			row[column] = text.Snip(cell, widths[column], "…")
		}
		if i == 0 {
			t.AppendHeader(row)
		} else {
			t.AppendRow(row)
		}
	}
	first, rest, _ := strings.Cut(t.Render(), "\n")
	p.WriteString(p.bold(first) + "\n" + rest + "\n")
}

// shrink makes the widest column of names narrower, one by one, until the table fits.
func shrink(columns []column, widths []int, width int) {
	over := gap*(len(widths)-1) - width
	for _, w := range widths {
		over += w
	}
	for ; over > 0; over-- {
		widest := -1
		for i, c := range columns {
			if c.kind == nameCells && (widest < 0 || widths[i] > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 || widths[widest] <= narrowestCol {
			return
		}
		widths[widest]--
	}
}
