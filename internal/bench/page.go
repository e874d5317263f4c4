package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// byHand is the line of the page below which all text is written by hand.
const byHand = "<!-- What follows is written by hand; make bench keeps it. -->"

// page is the page with the results. What an operator needs comes first, on one screen. The text below byHand is taken
// from the old page.
func page(rec record, old, data, plot string) string {
	var b strings.Builder
	rs, facts := rec.Results, rec.Results.size()
	fmt.Fprintf(&b, intro, data)
	fmt.Fprintf(&b, "\n## Next to a live node: SQLite, %s facts\n", grouped(facts))
	b.WriteString(liveIntro)
	besideWriter(&b, rs, sqliteStore, facts)
	besideNode(&b, rs, facts)
	fmt.Fprintf(&b, "\n## Targets\n\nSQLite, %s facts. Flat out is `--pace 1`.\n\n", grouped(facts))
	targets(&b, rs, sqliteStore, facts)
	b.WriteString("\n## Flat out and alone\n\n")
	flatOut(&b, rs, facts)
	fmt.Fprintf(&b, "\n![Cost of a first sweep against the size of the store](%s)\n", plot)
	fmt.Fprintf(&b, "\n## PostgreSQL, %s facts\n\nFirst sweeps are with two workers.\n\n", grouped(facts))
	targets(&b, rs, postgresStore, facts)
	besideWriter(&b, rs, postgresStore, facts)
	firstSweeps(&b, rs)
	b.WriteString(method)
	b.WriteString("\n" + byHand + "\n")
	if _, kept, found := strings.Cut(old, byHand+"\n"); found {
		b.WriteString(kept)
	}
	return b.String()
}

// size is the store size that the page shows: a million facts, else the largest below a million, else the largest.
func (rs results) size() (facts int) {
	for _, r := range rs {
		if r.Facts == 1_000_000 {
			return r.Facts
		}
		facts = max(facts, r.Facts)
	}
	return facts
}

// sizes are the store sizes with a measured first sweep, in ascending order.
func (rs results) sizes() (sizes []int) {
	for _, r := range rs {
		if r.Case == firstCase {
			sizes = append(sizes, r.Facts)
		}
	}
	slices.Sort(sizes)
	return slices.Compact(sizes)
}

// besideWriter is the table of a writer's latency during a first sweep.
func besideWriter(b *strings.Builder, rs results, store string, facts int) {
	b.WriteString("\n| a process inserts a fact every 10 ms | p50 / p99 / max | failed | the sweep took | facts expired | longest write transaction |\n|--|--:|--:|--:|--:|--:|\n")
	for _, contestant := range []string{noSweep, decayctl, decayctlTwo, decayctlNoFK, script, nodeMethod} {
		r := rs.find(store, facts, neighbourCase, contestant)
		switch {
		case r == nil && (contestant == noSweep || contestant == decayctl):
			fmt.Fprintf(b, "| %s | not measured | | | | |\n", contestantTitles[contestant])
		case r != nil && contestant == noSweep:
			fmt.Fprintf(b, "| %s | %s | | | |\n", contestantTitles[contestant], waits(r.Writer))
		case r != nil:
			fmt.Fprintf(b, "| %s | %s | %s | %s ms |\n", contestantTitles[contestant], waits(r.Writer), swept(r), grouped(int(r.LockedMS+0.5)))
		}
	}
}

// besideNode is the table of the latency of a node's clients during a first sweep.
func besideNode(b *strings.Builder, rs results, facts int) {
	b.WriteString("\n| a node is told 20 facts and asked 20 queries a second | facts: p50 / p99 / max | failed | lost | queries: p50 / p99 / max | failed | the sweep took | facts expired |\n|--|--:|--:|--:|--:|--:|--:|--:|\n")
	for _, contestant := range []string{noSweep, decayctl, ownSweep} {
		r := rs.find(sqliteStore, facts, nodeCase, contestant)
		if r == nil {
			fmt.Fprintf(b, "| %s | not measured | | | | | | |\n", contestantTitles[contestant])
			continue
		}
		took := " | "
		if contestant != noSweep {
			took = swept(r)
		}
		fmt.Fprintf(b, "| %s | %s | %d | %s | %s |\n", contestantTitles[contestant], waits(r.Writer), r.Writer.Lost, waits(r.Queries), took)
	}
	b.WriteString(nodeNote)
}

// waits are two cells: the latency of facts or queries, and how many failed.
func waits(w *waiting) string {
	brief := func(ms float64) string {
		if ms < 10 {
			return fmt.Sprintf("%.1f", ms)
		}
		return grouped(int(ms + 0.5))
	}
	text := fmt.Sprintf("%s / %s / %s ms | %s of %s", brief(w.P50MS), brief(w.P99MS), brief(w.MaxMS), grouped(w.Failures), grouped(w.Times))
	if w.Failure != "" {
		text += " (" + strings.ReplaceAll(w.Failure, "|", "/") + ")"
	}
	return text
}

// swept are two cells: the duration of a sweep, and how many facts expired.
func swept(r *result) string {
	return fmt.Sprintf("%s s | %s", seconds(r.Seconds), grouped(int(r.Decayed)))
}

// firstSweeps are the time and the write-ahead log of first sweeps on PostgreSQL, for each size.
func firstSweeps(b *strings.Builder, rs results) {
	b.WriteString("\n| first sweep | facts | time | for each fact | write-ahead log | for each fact |\n|--|--:|--:|--:|--:|--:|\n")
	for _, facts := range rs.sizes() {
		for _, contestant := range []string{decayctlTwo, decayctlNoFK, script, nodeMethod} {
			if r := rs.find(postgresStore, facts, firstCase, contestant); r != nil {
				fmt.Fprintf(b, "| %s | %s | %s s | %.1f µs | %.2f GB | %s bytes |\n", contestantTitles[contestant], grouped(facts),
					seconds(r.Seconds), r.perFact(), r.LogMB/1024, grouped(int(r.logPerFact()+0.5)))
			}
		}
	}
}

// targets is the table of a store's goals, and whether they are met.
func targets(b *strings.Builder, rs results, store string, facts int) {
	b.WriteString("| | measured | target | |\n|--|--|--|--|\n")
	mixed := false
	for _, g := range goals[store] {
		r := g.of(rs, facts)
		if r == nil {
			fmt.Fprintf(b, "| %s | not measured | | |\n", g.name)
			continue
		}
		met := "not met"
		if r.met {
			met = "met"
		}
		if r.mixed {
			r.value, mixed = r.value+" ¹", true
		}
		fmt.Fprintf(b, "| %s | **%s** | %s | %s |\n", g.name, r.value, r.wanted, met)
	}
	if mixed {
		b.WriteString("\n¹ The two sides were measured in different runs, between which a machine may change its pace.\n")
	}
}

// flatOut is the table of durations while no other process uses the store.
func flatOut(b *strings.Builder, rs results, facts int) {
	b.WriteString("| | SQLite: decayctl | row by row | script | PostgreSQL: decayctl | row by row | script |\n|--|--:|--:|--:|--:|--:|--:|\n")
	row := func(title, of string, facts int) {
		fmt.Fprintf(b, "| %s", title)
		for _, store := range storeNames {
			for _, contestant := range []string{decayctl, nodeMethod, script} {
				r := rs.find(store, facts, of, contestant)
				if contestant == decayctl && of == firstCase {
					r = fastest(rs, store, facts)
				}
				if r == nil {
					b.WriteString(" | –")
				} else {
					fmt.Fprintf(b, " | %s s", seconds(r.Seconds))
				}
			}
		}
		b.WriteString(" |\n")
	}
	for _, of := range []string{dryRunCase, firstCase, nothingCase, nightlyCase, undoCase} {
		row(caseTitles[of], of, facts)
	}
	for _, other := range rs.sizes() {
		if other != facts {
			row(fmt.Sprintf("%s of %s facts", caseTitles[firstCase], grouped(other)), firstCase, other)
		}
	}
}

// seconds writes a duration with three significant digits.
func seconds(s float64) string {
	switch {
	case s < 1:
		return strconv.FormatFloat(s, 'f', 3, 64)
	case s < 10:
		return strconv.FormatFloat(s, 'f', 2, 64)
	default:
		return strconv.FormatFloat(s, 'f', 1, 64)
	}
}

// grouped writes a number with a comma before every third digit.
func grouped(n int) string {
	text := strconv.Itoa(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
