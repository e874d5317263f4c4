package main

import (
	"cmp"
	"fmt"
	"math"
)

// ratio is one figure set against another, and what is wanted of it.
type ratio struct {
	value  string
	wanted string
	met    bool
	mixed  bool // its two sides come from different runs, between which a machine may change its pace
}

// goal is a row of the page: the ratio for each store, nil where it has not been measured.
type goal struct {
	name string
	of   func(results, string, int) *ratio // the store, and its size
}

// goals are what decayctl is developed against.
var goals = []goal{
	{"first sweep, against the row-by-row method", func(rs results, store string, facts int) *ratio {
		return timesFaster(fastest(rs, store, facts), rs.find(store, facts, firstCase, nodeMethod), pick(store, 4, 25))
	}},
	{"first sweep, against the script", func(rs results, store string, facts int) *ratio {
		return share(fastest(rs, store, facts), rs.find(store, facts, firstCase, script), pick(store, 0.9, 0.6))
	}},
	{"nothing to do, against the row-by-row method", func(rs results, store string, facts int) *ratio {
		return share(rs.find(store, facts, nothingCase, decayctl), rs.find(store, facts, nothingCase, nodeMethod), pick(store, 0.3, 0.5))
	}},
	{"nightly sweep, against a first sweep", func(rs results, store string, facts int) *ratio {
		return share(rs.find(store, facts, nightlyCase, decayctl), rs.find(store, facts, firstCase, decayctl), pick(store, 0.15, 0.1))
	}},
	{"dry run with its report, against a plain count", func(rs results, store string, facts int) *ratio {
		return share(rs.find(store, facts, dryRunCase, decayctl), rs.find(store, facts, dryRunCase, script), 6)
	}},
	{"peak memory", func(rs results, store string, facts int) *ratio {
		wanted, peak := pick(store, 96, 64), peakMB(rs, store, facts)
		if peak == 0 {
			return nil
		}
		return &ratio{value: fmt.Sprintf("%.0f MB", peak), wanted: fmt.Sprintf("≤ %.0f MB", wanted), met: peak <= wanted}
	}},
	{"peak memory of the largest store, against this one", func(rs results, store string, facts int) *ratio {
		peak, largest := peakMB(rs, store, facts), peakMB(rs, store, rs.largest(store))
		if peak == 0 || largest == 0 || rs.largest(store) <= facts {
			return nil
		}
		return around(largest/peak, 0.1)
	}},
	{"writer during a first sweep at the default pace", besideWriter},
	{"cost of each fact in the largest store, against 100,000 facts", func(rs results, store string, _ int) *ratio {
		large := fastest(rs, store, rs.largest(store))
		if large == nil {
			return nil
		}
		small := rs.find(store, 100_000, firstCase, large.Contestant)
		if small == nil || large.Facts <= small.Facts {
			return nil
		}
		return around(large.perFact()/small.perFact(), 0.2)
	}},
}

// pick is the wanted figure of a store.
func pick(store string, sqlite, postgres float64) float64 {
	if store == sqliteStore {
		return sqlite
	}
	return postgres
}

// fastest is decayctl's first sweep: on PostgreSQL with two workers.
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

// around is a ratio that should be 1.
func around(value, tolerance float64) *ratio {
	return &ratio{
		value: fmt.Sprintf("%.2f ×", value), wanted: fmt.Sprintf("1 × within %.0f %%", 100*tolerance),
		met: math.Abs(value-1) <= tolerance,
	}
}

// own tells whether decayctl was measured, with however many workers.
func (r result) own() bool { return r.Contestant == decayctl || r.Contestant == decayctlTwo }

// peakMB is decayctl's highest peak in any case on a store of this size; 0 where it was not measured.
func peakMB(rs results, store string, facts int) (peak float64) {
	for _, r := range rs {
		if r.Store == store && r.Facts == facts && r.own() {
			peak = max(peak, r.PeakMB)
		}
	}
	return peak
}

// largest is the size of the largest store of a kind that decayctl has swept.
func (rs results) largest(store string) (facts int) {
	for _, r := range rs {
		if r.Store == store && r.Case == firstCase && r.own() {
			facts = max(facts, r.Facts)
		}
	}
	return facts
}

func besideWriter(rs results, store string, facts int) *ratio {
	own := rs.find(store, facts, neighbourCase, decayctl)
	if own == nil {
		return nil
	}
	w := own.Writer
	r := &ratio{value: fmt.Sprintf("p99 %.0f ms, max %.0f ms, %d failed", w.P99MS, w.MaxMS, w.Failures)}
	if store == sqliteStore {
		r.wanted = "p99 ≤ 50 ms, max ≤ 250 ms, 0 failed"
		r.met = w.P99MS <= 50 && w.MaxMS <= 250 && w.Failures == 0
		return r
	}
	alone := rs.find(store, facts, neighbourCase, nobody)
	if alone == nil {
		return nil
	}
	r.wanted = fmt.Sprintf("p99 ≤ 20 ms above %.0f ms without a sweep, 0 failed", alone.Writer.P99MS)
	r.met, r.mixed = w.P99MS <= alone.Writer.P99MS+20 && w.Failures == 0, !own.Run.Equal(alone.Run)
	return r
}
