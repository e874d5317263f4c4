package stats

import (
	"math"
	"time"
)

// Histogram counts facts by age or by confidence.
type Histogram struct {
	Bins    []Bin  // from low to high, without gaps, of equal width; the last one of Ages may be open
	Before  Counts // facts stamped after as-of, in Ages; none in Confidences
	Unknown Counts // facts whose stamp is no date, or whose confidence is no number from 0 to 1

	Unit time.Duration // of the bins of Ages: a day, or an hour; 0 in Confidences
	Line *float64      // a value to mark: the ttl in units, or the floor; nil is none
}

// Bin counts the facts with From <= number < To. A confidence of 1 is in the last bin.
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

// Coarse is the histogram with at most so many bins, by adding up neighbours.
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
