package rule

import (
	"math"
	"strconv"
	"time"
)

// Fading never compounds: what a fact's confidence becomes is told from its base confidence, its
// stamp and the as-of alone, however many sweeps there were before. Both databases hold the result
// exactly: it is the shortest decimal of a float4.

// faded is the confidence that a half-life leaves of a base confidence: base halved for every half-life
// that has passed since the stamp, not below the policy's min_confidence, and not above what is
// effective now. A stamp that lies ahead fades nothing, and neither does a base of 0, from which no
// half can be taken.
func (p *Policy) faded(base, effective float64, stamp, asOf time.Time) float64 {
	age := float64(asOf.Unix()-stamp.Unix()) + float64(asOf.Nanosecond()-stamp.Nanosecond())/1e9
	if age <= 0 || !(base > 0) {
		return effective
	}
	left := roundFloat4(base * math.Exp2(-age/float64(p.HalfLife)))
	return min(max(left, roundUp(p.MinConfidence)), effective)
}

// exceedsMinStep tells whether a change of confidence is to be written.
func (p *Policy) exceedsMinStep(effective, faded float64) bool {
	// As float4: SQLite may read a decimal as its neighbour, which must not look like a change.
	return float32(faded) < float32(effective) && effective-faded >= p.MinStep
}

// minFaded is the least confidence that fading leaves: at 0 a fact would count as retracted, and no
// floor would take it any more.
const minFaded = 0x1p-126

// roundFloat4 rounds to the shortest decimal that a float4 can tell from others.
func roundFloat4(value float64) float64 {
	var digits [32]byte
	text := strconv.AppendFloat(digits[:0], float64(float32(max(value, minFaded))), 'g', -1, 32)
	rounded, _ := strconv.ParseFloat(string(text), 64)
	return rounded
}

// roundUp rounds as roundFloat4 does, but never down.
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

// crossing is the instant from which on a policy leaves less than a floor of a base confidence. false:
// it never does, or not within the calendar.
func (p *Policy) crossing(base float64, stamp time.Time, floor float64) (time.Time, bool) {
	if !p.fades() || !(base > 0) || roundUp(p.MinConfidence) >= floor {
		return time.Time{}, false
	}
	return addSeconds(stamp, max(0, math.Log2(base/floor))*float64(p.HalfLife))
}

// addSeconds is an instant some seconds later, rounded up to whole ones; false where that is beyond the calendar.
func addSeconds(t time.Time, seconds float64) (time.Time, bool) {
	const endOfTime = 253402300799 // 9999-12-31
	if !(float64(t.Unix())+seconds < endOfTime) {
		return time.Time{}, false
	}
	return time.Unix(t.Unix()+int64(math.Ceil(seconds)), int64(t.Nanosecond())).UTC(), true
}
