package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// byHand is the line of the page below which it belongs to people.
const byHand = "<!-- What follows is written by hand; make bench keeps it. -->"

// page writes the results. Of the page that is there it keeps what is written by hand.
func page(rec record, old, plot string) string {
	var b strings.Builder
	b.WriteString(intro)
	facts := rec.Results.size()
	fmt.Fprintf(&b, "\n## Ratios, at %s facts\n\n| | SQLite | wanted | | PostgreSQL | wanted | |\n|--|--|--|--|--|--|--|\n", grouped(facts))
	mixed := false
	for _, g := range goals {
		row := []string{g.name}
		for _, store := range storeNames {
			r := g.of(rec.Results, store, facts)
			if r == nil {
				row = append(row, "not measured", "", "")
				continue
			}
			met := "not met"
			if r.met {
				met = "met"
			}
			if r.mixed {
				r.value, mixed = r.value+" ¹", true
			}
			row = append(row, "**"+r.value+"**", r.wanted, met)
		}
		b.WriteString("| " + strings.Join(row, " | ") + " |\n")
	}
	if mixed {
		b.WriteString("\n¹ The two sides were measured in different runs, between which a machine may change its pace.\n")
	}
	b.WriteString(reading)
	fmt.Fprintf(&b, "\n![Cost of a first sweep against the size of the store](%s)\n", plot)
	for _, store := range storeNames {
		for _, facts := range rec.Results.sizes(store) {
			fmt.Fprintf(&b, "\n## %s, %s facts\n\n", storeTitles[store], grouped(facts))
			figures(&b, rec.Results, store, facts)
		}
	}
	b.WriteString(method)
	b.WriteString("\n## Runs\n")
	for _, r := range rec.Runs {
		fmt.Fprintf(&b, "\n%s, decayctl %s\n\n```\n%s\n```\n\n%s.\n", r.At.Format("2006-01-02 15:04 UTC"), r.Decayctl, r.Command, r.Machine)
		if r.Busy > 0 {
			fmt.Fprintf(&b, "It was not quiet: others kept %.0f %% of its processors busy before a measurement.\n", 100*r.Busy)
		}
		for _, version := range r.Versions {
			b.WriteString("\n- " + version)
		}
		b.WriteString("\n")
	}
	b.WriteString("\n" + byHand + "\n")
	if _, kept, found := strings.Cut(old, byHand+"\n"); found {
		b.WriteString(kept)
	}
	return b.String()
}

// size is the size that ratios are given at: a million, or the largest below that or at all.
func (rs results) size() (facts int) {
	for _, r := range rs {
		if r.Facts == 1_000_000 {
			return r.Facts
		}
		facts = max(facts, r.Facts)
	}
	return facts
}

// sizes are the sizes measured on a store, the largest first.
func (rs results) sizes(store string) (sizes []int) {
	for _, r := range rs {
		if r.Store == store {
			sizes = append(sizes, r.Facts)
		}
	}
	slices.Sort(sizes)
	slices.Reverse(sizes)
	return slices.Compact(sizes)
}

func figures(b *strings.Builder, rs results, store string, facts int) {
	b.WriteString("| case | | facts expired | time | µs per fact | longest write transaction | peak memory | log |\n|--|--|--:|--:|--:|--:|--:|--:|\n")
	var writers []result
	for _, r := range rs {
		if r.Store != store || r.Facts != facts {
			continue
		}
		if r.Case == neighbourCase {
			writers = append(writers, r)
			continue
		}
		locked := "–"
		if r.Case != dryRunCase {
			locked = fmt.Sprintf("%s ms", grouped(int(r.LockedMS+0.5)))
			if r.Case == undoCase {
				locked = "≤ " + locked // the job's, of sweep and undo together
			}
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s s | %.2f | %s | %.0f MB | %.0f MB |\n", caseTitles[r.Case], contestantTitle(r),
			grouped(int(r.Decayed)), seconds(r.Seconds), r.perFact(), locked, r.PeakMB, r.LogMB)
	}
	if len(writers) == 0 {
		return
	}
	b.WriteString("\n| writer beside a first sweep by | p50 | p99 | max | failed | the sweep took | longest write transaction | log |\n|--|--:|--:|--:|--:|--:|--:|--:|\n")
	for _, r := range writers {
		took, locked, log := seconds(r.Seconds)+" s", grouped(int(r.LockedMS+0.5))+" ms", fmt.Sprintf("%.0f MB", r.LogMB)
		if r.Contestant == nobody {
			took, locked, log = "–", "–", "–"
		}
		failed := fmt.Sprintf("%s of %s", grouped(r.Writer.Failures), grouped(r.Writer.Inserts))
		if r.Writer.Failure != "" {
			failed += " (" + r.Writer.Failure + ")"
		}
		fmt.Fprintf(b, "| %s | %.1f ms | %.0f ms | %s ms | %s | %s | %s | %s |\n", contestantTitle(r), r.Writer.P50MS, r.Writer.P99MS,
			grouped(int(r.Writer.MaxMS+0.5)), failed, took, locked, log)
	}
}

// seconds has three digits that mean something.
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
