package main

import "fmt"

// findings are what the contestants of one series did, one measurement each.
type findings map[place]measurement

// agree fails where contestants did not do the same work. The script follows decayctl's rules to the
// row. The node's method expires, beside the same facts, those that a protection of decayctl's keeps, and
// no others.
func (f findings) agree() error {
	for at, other := range f {
		own, ok := f[place{at.of, decayctl}]
		if !ok || at.contestant == decayctl || at.of == nothingCase { // which is judged below
			continue
		}
		var older int64 // what grows too old while a node makes ready to sweep by the present
		if at.contestant == ownSweep {
			older = 3
		}
		if differ := other.decayed - other.tally.Protected - own.decayed; differ < 0 || differ > older {
			return fmt.Errorf("%s: decayctl expires %d facts, %s %d, of which %d are protected",
				at.of, own.decayed, at.contestant, other.decayed, other.tally.Protected)
		}
		if at.contestant != nodeMethod && at.contestant != ownSweep && at.of != dryRunCase && other.tally != own.tally {
			return fmt.Errorf("%s: decayctl leaves %+v, %s %+v", at.of, own.tally, at.contestant, other.tally)
		}
	}
	for at, one := range f {
		first, ok := f[place{firstCase, at.contestant}]
		if !ok {
			continue
		}
		switch {
		case at.of == nothingCase && one.decayed != 0:
			return fmt.Errorf("%s: %s expires %d facts again", at.of, at.contestant, one.decayed)
		case (at.of == dryRunCase || at.of == undoCase || at.of == neighbourCase) && one.decayed != first.decayed:
			return fmt.Errorf("%s: %s says %d facts, and expired %d", at.of, at.contestant, one.decayed, first.decayed)
		case at.of == firstCase && one.tally.Overrides != one.decayed:
			return fmt.Errorf("%s: %s says %d facts, and left %d overrides", at.of, at.contestant, one.decayed, one.tally.Overrides)
		case at.of == undoCase && one.tally.Overrides != 0:
			return fmt.Errorf("%s: %d overrides are left", at.of, one.tally.Overrides)
		}
	}
	return nil
}
