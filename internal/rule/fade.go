package rule

import (
	"math"
	"strconv"
	"time"
)

// The faded confidence of a fact depends on its base confidence, its timestamp and the as-of only. It does not depend on earlier
// sweeps. It is the shortest decimal of a float4, so that both databases store it exactly.

// faded is the base confidence, halved for each half-life since the timestamp. It is not below the policy's min_confidence and
// not above the effective confidence. A timestamp after as-of, or a base of 0, changes nothing.
func (p *Policy) faded(base, effective float64, stamp, asOf time.Time) float64 {
	age := float64(asOf.Unix()-stamp.Unix()) + float64(asOf.Nanosecond()-stamp.Nanosecond())/1e9
	if age <= 0 || !(base > 0) {
		return effective
	}
	left := roundFloat4(base * math.Exp2(-age/float64(p.HalfLife)))
	return min(max(left, roundUp(p.MinConfidence)), effective)
}

// exceedsMinStep tells whether a change of confidence is large enough to be written.
func (p *Policy) exceedsMinStep(effective, faded float64) bool {
	// Compared as float4: SQLite may read a decimal as the next float8, which is no change.
	return float32(faded) < float32(effective) && effective-faded >= p.MinStep
}

// minFaded is the smallest faded confidence. A fact with 0 would count as retracted, and no floor would select it.
const minFaded = 0x1p-126

// roundFloat4 rounds to a float4 and returns its shortest decimal.
func roundFloat4(value float64) float64 {
	var digits [32]byte
	text := strconv.AppendFloat(digits[:0], float64(float32(max(value, minFaded))), 'g', -1, 32)
	rounded, _ := strconv.ParseFloat(string(text), 64)
	return rounded
}

// roundUp is roundFloat4 that never rounds down.
func roundUp(value float64) float64 {
	if value == 0 {
		return 0
	}
	rounded := roundFloat4(value)
	if rounded < value {
		rounded = roundFloat4(float64(math.Nextafter32(float32(rounded), 2)))
	}
	return rounded
}
