package chart

import (
	"math"
	"slices"
)

// Axis maps values to coordinates.
type Axis struct {
	low, high float64 // values; their logarithms if log
	from, to  float64 // coordinates
	log       bool
	step      float64 // between ticks; unused if log
}

// LogAxis is an axis whose ends are the powers of ten around the values, which are above 0.
func LogAxis(values []float64, from, to float64) Axis {
	low, high := math.Floor(math.Log10(slices.Min(values))), math.Ceil(math.Log10(slices.Max(values)))
	if low == high {
		high++
	}
	return Axis{low: low, high: high, from: from, to: to, log: true}
}

// CountAxis is an axis from 0 to a round number that is not below most.
func CountAxis(most, from, to float64) Axis {
	const ticks = 4
	step := math.Pow(10, math.Floor(math.Log10(max(1, most/ticks))))
	for _, factor := range []float64{1, 2, 2.5, 5, 10} {
		if factor == 2.5 && step < 10 {
			continue // only whole numbers of facts
		}
		if step*factor*ticks >= most {
			step *= factor
			break
		}
	}
	return Axis{high: max(step, math.Ceil(most/step)*step), from: from, to: to, step: step}
}

// At is the coordinate of a value.
func (a Axis) At(value float64) float64 {
	if a.log {
		value = math.Log10(value)
	}
	return a.from + (value-a.low)/(a.high-a.low)*(a.to-a.from)
}

// Ticks are the round values on the axis.
func (a Axis) Ticks() (ticks []float64) {
	if a.log {
		for power := a.low; power <= a.high; power++ {
			ticks = append(ticks, math.Pow(10, power))
		}
		return ticks
	}
	for v := a.low; v <= a.high+a.step/2; v += a.step {
		ticks = append(ticks, v)
	}
	return ticks
}
