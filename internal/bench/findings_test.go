package main

import (
	"strings"
	"testing"
)

// did is a measurement of a sweep that expired facts, of which decayctl protects some.
func did(decayed, protected int64) measurement {
	return measurement{decayed: decayed, tally: tally{Overrides: decayed, Protected: protected}}
}

func TestAgree(t *testing.T) {
	alike := func() findings {
		return findings{
			{dryRunCase, decayctl}: {decayed: 7}, {dryRunCase, script}: {decayed: 7},
			{firstCase, decayctl}: did(7, 0), {firstCase, decayctlTwo}: did(7, 0),
			{firstCase, script}: did(7, 0), {firstCase, nodeMethod}: did(9, 2),
			{nothingCase, decayctl}: {tally: tally{Overrides: 7}}, {nothingCase, nodeMethod}: {tally: tally{Overrides: 9, Protected: 2}},
			{nightlyCase, decayctl}: did(3, 0), {nightlyCase, script}: did(3, 0), {nightlyCase, nodeMethod}: did(4, 1),
			{undoCase, decayctl}:      {decayed: 7},
			{neighbourCase, decayctl}: did(7, 0),
			{nodeCase, decayctl}:      did(5, 0), {nodeCase, ownSweep}: did(8, 2), // one more fact passed the ttl
		}
	}
	if err := alike().agree(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]struct {
		at  place
		to  measurement
		say string
	}{
		"the script selects another fact":   {place{dryRunCase, script}, measurement{decayed: 8}, "script 8"},
		"the script misses a fact":          {place{firstCase, script}, did(6, 0), "script 6"},
		"the script writes other rows":      {place{firstCase, script}, measurement{decayed: 7, tally: tally{Overrides: 7, Cards: 1}}, "Cards:1"},
		"two workers write a fact twice":    {place{firstCase, decayctlTwo}, did(8, 0), "decayctl-2 8"},
		"the node's method takes another":   {place{firstCase, nodeMethod}, did(9, 1), "row-by-row 9"},
		"overrides are not what is said":    {place{firstCase, decayctl}, measurement{decayed: 7, tally: tally{Overrides: 6}}, ""},
		"the second sweep finds something":  {place{nothingCase, nodeMethod}, did(1, 0), "1 facts again"},
		"an undo leaves an override":        {place{undoCase, decayctl}, did(7, 0), "7 overrides are left"},
		"an undo restores too little":       {place{undoCase, decayctl}, measurement{decayed: 6}, "says 6"},
		"beside a writer less is expired":   {place{neighbourCase, decayctl}, did(6, 0), "says 6"},
		"the node's sweep misses a fact":    {place{nodeCase, ownSweep}, did(6, 2), "own-sweep 6"},
		"the node's sweep takes others":     {place{nodeCase, ownSweep}, did(11, 2), "own-sweep 11"},
		"a dry run promises more than done": {place{dryRunCase, decayctl}, measurement{decayed: 8}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			found := alike()
			found[change.at] = change.to
			err := found.agree()
			if err == nil || !strings.Contains(err.Error(), change.say) {
				t.Errorf("error %v, want one with %q", err, change.say)
			}
		})
	}
}
