package main

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
)

// ratio is one figure divided by another, with its goal.
type ratio struct {
	value  string
	wanted string
	met    bool
	mixed  bool // its two figures come from different runs, so the machine may have been slower in one
}

// goal is a row of the page: the ratio at a size; nil if it was not measured.
type goal struct {
	name string
	of   func(rs results, facts int) *ratio
}

// goals are the goals of decayctl's development, by database.
var goals = map[string][]goal{
	sqliteStore: {
		{"first sweep at the default pace, next to a writer, against flat out and alone",
			shareOf(sqliteStore, neighbourCase, decayctl, firstCase, decayctl, 3)},
		{"that writer meanwhile", writerOnSQLite},
		{"p99 of a node's clients during a first sweep, against no sweep", clientsOfNode},
		{"first sweep flat out, against the script", shareOf(sqliteStore, firstCase, decayctl, firstCase, script, 0.95)},
		{"nothing to do, against the row-by-row method", shareOf(sqliteStore, nothingCase, decayctl, nothingCase, nodeMethod, 0.2)},
		{"nightly sweep, against a first sweep", shareOf(sqliteStore, nightlyCase, decayctl, firstCase, decayctl, 0.2)},
		{"peak memory, here and in the largest store", func(rs results, facts int) *ratio {
			return memory(rs, sqliteStore, 96, facts, rs.largest(sqliteStore))
		}},
	},
	postgresStore: {
		{"first sweep, against the row-by-row method", func(rs results, facts int) *ratio {
			return timesFaster(fastest(rs, postgresStore, facts), rs.find(postgresStore, facts, firstCase, nodeMethod), 25)
		}},
		{"first sweep, against the script", func(rs results, facts int) *ratio {
			return share(fastest(rs, postgresStore, facts), rs.find(postgresStore, facts, firstCase, script), 0.6)
		}},
		{"nothing to do, against the row-by-row method", shareOf(postgresStore, nothingCase, decayctl, nothingCase, nodeMethod, 0.5)},
		{"nightly sweep, against a first sweep", shareOf(postgresStore, nightlyCase, decayctl, firstCase, decayctl, 0.1)},
		{"dry run with its report, against a plain count", shareOf(postgresStore, dryRunCase, decayctl, dryRunCase, script, 6)},
		{"peak memory", func(rs results, facts int) *ratio { return memory(rs, postgresStore, 64, facts) }},
		{"peak memory of the largest store, against this one", func(rs results, facts int) *ratio {
			largest := rs.largest(postgresStore)
			peak, peakThere := peakMB(rs, postgresStore, facts), peakMB(rs, postgresStore, largest)
			if peak == 0 || peakThere == 0 || largest <= facts {
				return nil
			}
			return around(peakThere/peak, 0.1)
		}},
		{"writer during a first sweep at the default pace", writerOnPostgres},
		{"cost of each fact in the largest store, against 100,000 facts", func(rs results, _ int) *ratio {
			large := fastest(rs, postgresStore, rs.largest(postgresStore))
			if large == nil {
				return nil
			}
			small := rs.find(postgresStore, 100_000, firstCase, large.Contestant)
			if small == nil || large.Facts <= small.Facts {
				return nil
			}
			return around(large.perFact()/small.perFact(), 0.2)
		}},
		{"first sweep with `--no-fk-checks`, against the row-by-row method", func(rs results, facts int) *ratio {
			return timesFaster(rs.find(postgresStore, facts, firstCase, decayctlNoFK), rs.find(postgresStore, facts, firstCase, nodeMethod), 25)
		}},
		{"the same, against the script", shareOf(postgresStore, firstCase, decayctlNoFK, firstCase, script, 0.6)},
		{"its write-ahead log", func(rs results, facts int) *ratio {
			own := rs.find(postgresStore, facts, firstCase, decayctlNoFK)
			if own == nil || own.LogMB == 0 {
				return nil
			}
			return &ratio{value: fmt.Sprintf("%.2f GB", own.LogMB/1024), wanted: "≤ 0.7 GB", met: own.LogMB/1024 <= 0.7}
		}},
		{"its time and log for each fact in the largest store, against this one", func(rs results, facts int) *ratio {
			return growth(rs.find(postgresStore, facts, firstCase, decayctlNoFK), rs.find(postgresStore, rs.largest(postgresStore), firstCase, decayctlNoFK), 1.3)
		}},
	},
}

// growth is how the time and the log for each fact grow from one store to a larger one.
func growth(small, large *result, wanted float64) *ratio {
	if small == nil || large == nil || large.Facts <= small.Facts || small.LogMB == 0 {
		return nil
	}
	time, log := large.perFact()/small.perFact(), large.logPerFact()/small.logPerFact()
	return &ratio{fmt.Sprintf("%.2f × and %.2f ×", time, log), fmt.Sprintf("both ≤ %g ×", wanted), max(time, log) <= wanted, !large.Run.Equal(small.Run)}
}

// shareOf is one contestant's time in a case divided by the time of another.
func shareOf(store, of, who, ofOther, other string, wanted float64) func(results, int) *ratio {
	return func(rs results, facts int) *ratio {
		return share(rs.find(store, facts, of, who), rs.find(store, facts, ofOther, other), wanted)
	}
}

// fastest is decayctl's first sweep, on PostgreSQL with two workers.
func fastest(rs results, store string, facts int) *result {
	return cmp.Or(rs.find(store, facts, firstCase, decayctlTwo), rs.find(store, facts, firstCase, decayctl))
}

func timesFaster(own, other *result, wanted float64) *ratio {
	if own == nil || other == nil {
		return nil
	}
	times := other.Seconds / own.Seconds
	return &ratio{fmt.Sprintf("%.1f × faster", times), fmt.Sprintf("≥ %g ×", wanted), times >= wanted, !own.Run.Equal(other.Run)}
}

func share(own, other *result, wanted float64) *ratio {
	if own == nil || other == nil {
		return nil
	}
	part := own.Seconds / other.Seconds
	return &ratio{fmt.Sprintf("%.2f × its time", part), fmt.Sprintf("≤ %g ×", wanted), part <= wanted, !own.Run.Equal(other.Run)}
}

// around is a ratio whose goal is 1.
func around(value, tolerance float64) *ratio {
	return &ratio{
		value: fmt.Sprintf("%.2f ×", value), wanted: fmt.Sprintf("1 × within %.0f %%", 100*tolerance),
		met: math.Abs(value-1) <= tolerance,
	}
}

// own tells whether a result is of decayctl, with one or two workers.
func (r result) own() bool {
	return slices.Contains([]string{decayctl, decayctlTwo, decayctlNoFK}, r.Contestant)
}

// peakMB is decayctl's peak memory over all cases on a store of this size; 0 if it was not measured.
func peakMB(rs results, store string, facts int) (peak float64) {
	for _, r := range rs {
		if r.Store == store && r.Facts == facts && r.own() {
			peak = max(peak, r.PeakMB)
		}
	}
	return peak
}

// largest is the size of the largest store that decayctl has swept, in facts.
func (rs results) largest(store string) (facts int) {
	for _, r := range rs {
		if r.Store == store && r.Case == firstCase && r.own() {
			facts = max(facts, r.Facts)
		}
	}
	return facts
}

// memory is decayctl's peak memory by store size; nil if the first size was not measured.
func memory(rs results, store string, wanted float64, sizes ...int) *ratio {
	if peakMB(rs, store, sizes[0]) == 0 {
		return nil
	}
	r := &ratio{wanted: fmt.Sprintf("≤ %.0f MB", wanted), met: true}
	var peaks []string
	for _, facts := range slices.Compact(sizes) {
		if peak := peakMB(rs, store, facts); peak > 0 {
			peaks = append(peaks, fmt.Sprintf("%.0f MB", peak))
			r.met = r.met && peak <= wanted
		}
	}
	r.value = strings.Join(peaks, ", ")
	return r
}

func writerOnSQLite(rs results, facts int) *ratio {
	own := rs.find(sqliteStore, facts, neighbourCase, decayctl)
	if own == nil {
		return nil
	}
	w := own.Writer
	return &ratio{
		value:  fmt.Sprintf("p99 %.0f ms, max %.0f ms, %d failed", w.P99MS, w.MaxMS, w.Failures),
		wanted: "p99 ≤ 50 ms, max ≤ 250 ms, 0 failed",
		met:    w.P99MS <= 50 && w.MaxMS <= 250 && w.Failures == 0,
	}
}

func writerOnPostgres(rs results, facts int) *ratio {
	own, alone := rs.find(postgresStore, facts, neighbourCase, decayctl), rs.find(postgresStore, facts, neighbourCase, noSweep)
	if own == nil || alone == nil {
		return nil
	}
	w := own.Writer
	return &ratio{
		value:  fmt.Sprintf("p99 %.0f ms, max %.0f ms, %d failed", w.P99MS, w.MaxMS, w.Failures),
		wanted: fmt.Sprintf("p99 ≤ 20 ms above %.0f ms without a sweep, 0 failed", alone.Writer.P99MS),
		met:    w.P99MS <= alone.Writer.P99MS+20 && w.Failures == 0,
		mixed:  !own.Run.Equal(alone.Run),
	}
}

func clientsOfNode(rs results, facts int) *ratio {
	own, alone := rs.find(sqliteStore, facts, nodeCase, decayctl), rs.find(sqliteStore, facts, nodeCase, noSweep)
	if own == nil || alone == nil {
		return nil
	}
	const wanted = 1.5
	told, asked := own.Writer.P99MS/alone.Writer.P99MS, own.Queries.P99MS/alone.Queries.P99MS
	failed := own.Writer.Failures + own.Queries.Failures
	return &ratio{
		value:  fmt.Sprintf("facts %.2f ×, queries %.2f ×, %d failed, %d lost", told, asked, failed, own.Writer.Lost),
		wanted: fmt.Sprintf("both ≤ %g ×, 0 failed, 0 lost", wanted),
		met:    max(told, asked) <= wanted && failed == 0 && own.Writer.Lost == 0,
		mixed:  !own.Run.Equal(alone.Run),
	}
}
