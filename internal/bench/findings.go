package main

import "fmt"

// findings are the measurements of one repetition, to compare what the contestants did.
type findings map[place]measurement

// agree returns an error if the contestants did different work. The script must write the same rows as decayctl. The
// node's method must expire the same facts, and those that only decayctl protects.
func (f findings) agree() error {
	for at, other := range f {
		own, ok := f[place{at.of, decayctl}]
		if !ok || at.contestant == decayctl || at.of == nothingCase { // checked below
			continue
		}
		var older int64 // facts that may pass the ttl while the node starts: its sweep judges as of now
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
