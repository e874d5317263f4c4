package stats

import (
	"math"
	"time"
)

// Histogram counts facts by a number that they have.
type Histogram struct {
	Bins    []Bin  // from low to high, none left out; all have the same width, but for the last one of Ages, which may be open
	Before  Counts // facts stamped after as-of, in Ages; none in Confidences
	Unknown Counts // facts whose stamp is no date, or whose confidence is no number from 0 to 1

	Unit time.Duration // of the bins of Ages: a day, or an hour; 0 in Confidences
	Line *float64      // what to draw a line at: the ttl in units, or the floor; nil is none
}

// Bin is one bar of a histogram: From <= number < To, but for a confidence of 1, which is in the last one.
type Bin struct {
	From, To float64 // To is infinite if the bin is open
	Counts   Counts
}

// Open tells whether the bin has no upper end.
func (b Bin) Open() bool { return math.IsInf(b.To, 1) }

// Total is the number of facts in all bins.
func (h Histogram) Total() (n int64) {
	for _, b := range h.Bins {
		n += b.Counts.Total()
	}
	return n
}

// Coarse is the same histogram in no more than most bins: neighbours are added up.
func (h Histogram) Coarse(most int) Histogram {
	if len(h.Bins) <= most || most < 1 {
		return h
	}
	merged := (len(h.Bins) + most - 1) / most
	coarse := h
	coarse.Bins = nil
	for i, b := range h.Bins {
		if i%merged == 0 {
			coarse.Bins = append(coarse.Bins, Bin{From: b.From})
		}
		last := &coarse.Bins[len(coarse.Bins)-1]
		last.To = b.To
		last.Counts.Add(b.Counts)
	}
	return coarse
}
