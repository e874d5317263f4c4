package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"decayctl/internal/sweep"
)

const (
	shownGroups  = 20
	narrowestCol = 8 // columns a name keeps, however narrow the terminal
	gap          = 2 // columns between columns
)

type groupRow struct {
	sweep.GroupKey
	facts  int64
	byRule map[string]int64
}

// groups is the table of what was selected, the largest groups first. A sweep has done with the
// details, and is broken down by tenant only, where there is more than one.
func (p *page) groups(r Run) {
	tenants := r.Result.Tenants
	if len(tenants) == 0 || !r.Params.DryRun && len(tenants) == 1 {
		return
	}

	var header []string
	if len(tenants) > 1 {
		header = append(header, "TENANT")
	}
	facts := "SELECTED" // not all of them need have expired
	if r.Params.DryRun {
		header = append(header, "SCOPE", "RELATION")
		facts = "FACTS"
	}
	names := len(header)
	rules := r.rules()
	if len(rules) == 1 {
		rules = nil // the same numbers again
	}
	header = append(header, facts)
	for _, name := range rules {
		header = append(header, strings.ToUpper(name))
	}

	cells := [][]string{header}
	for _, g := range shownRows(r) {
		var row []string
		if len(tenants) > 1 {
			row = append(row, short(g.Tenant))
		}
		if r.Params.DryRun {
			row = append(row, short(g.Scope), short(g.Relation))
		}
		row = append(row, humanize.Comma(g.facts))
		for _, name := range rules {
			row = append(row, humanize.Comma(g.byRule[name]))
		}
		cells = append(cells, row)
	}
	p.WriteString("\n")
	p.table(cells, names)
}

// shownRows are the largest groups, and the others in one row.
func shownRows(r Run) []groupRow {
	var rows []groupRow
	if r.Params.DryRun {
		for key, g := range r.Result.Groups {
			rows = append(rows, groupRow{key, g.Facts, g.ByRule})
		}
	} else {
		for tenant, g := range r.Result.Tenants {
			rows = append(rows, groupRow{sweep.GroupKey{Tenant: tenant}, g.Facts, g.ByRule})
		}
	}
	slices.SortFunc(rows, func(a, b groupRow) int {
		return cmp.Or(cmp.Compare(b.facts, a.facts), cmp.Compare(a.Tenant, b.Tenant),
			cmp.Compare(a.Scope, b.Scope), cmp.Compare(a.Relation, b.Relation))
	})

	shown := rows[:min(shownGroups, len(rows))]
	rest := groupRow{byRule: map[string]int64{}}
	for _, row := range rows[len(shown):] {
		rest.add(row.facts, row.byRule)
	}
	if r.Params.DryRun {
		rest.add(r.Result.Other.Facts, r.Result.Other.ByRule)
	}
	if rest.facts == 0 {
		return shown
	}
	label := fmt.Sprintf("… %d more", len(rows)-len(shown))
	if r.Params.DryRun && r.Result.Other.Facts > 0 {
		label = "… all others" // nobody knows how many groups those are
	}
	if r.Params.DryRun {
		rest.Relation = label
	} else {
		rest.Tenant = label
	}
	return append(slices.Clip(shown), rest)
}

func (g *groupRow) add(facts int64, byRule map[string]int64) {
	g.facts += facts
	for name, n := range byRule {
		g.byRule[name] += n
	}
}

// table writes cells below a header: names on the left, then numbers. Names give way where the
// terminal is too narrow.
func (p *page) table(cells [][]string, names int) {
	widths := make([]int, len(cells[0]))
	for _, row := range cells {
		for i, cell := range row {
			widths[i] = max(widths[i], text.StringWidthWithoutEscSequences(cell))
		}
	}
	if p.Width > 0 {
		shrink(widths, names, p.Width)
	}

	t := table.NewWriter()
	t.SetStyle(table.Style{Box: table.BoxStyle{PaddingRight: strings.Repeat(" ", gap)}, Options: table.OptionsNoBordersAndSeparators})
	t.SuppressTrailingSpaces()
	var columns []table.ColumnConfig
	for i := names; i < len(widths); i++ {
		columns = append(columns, table.ColumnConfig{Number: i + 1, Align: text.AlignRight, AlignHeader: text.AlignRight})
	}
	t.SetColumnConfigs(columns)
	for i, row := range cells {
		line := make(table.Row, len(row))
		for column, cell := range row {
			line[column] = text.Snip(cell, widths[column], "…")
		}
		if i == 0 {
			t.AppendHeader(line)
		} else {
			t.AppendRow(line)
		}
	}
	header, rest, _ := strings.Cut(t.Render(), "\n")
	p.WriteString(p.bold(header) + "\n" + rest + "\n")
}

// shrink takes from the widest name, one column at a time, until the table fits.
func shrink(widths []int, names, width int) {
	over := gap*(len(widths)-1) - width
	for _, w := range widths {
		over += w
	}
	for ; over > 0; over-- {
		widest := 0
		for i := range names {
			if widths[i] > widths[widest] {
				widest = i
			}
		}
		if widths[widest] <= narrowestCol {
			return
		}
		widths[widest]--
	}
}
