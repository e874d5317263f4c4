//go:build race

package cli_test

// raceMemory is how many times as much memory a program may take that the race detector watches.
const raceMemory = 2

// longFacts is how many facts of each kind TestLongTexts makes. The detector makes each several times dearer.
const longFacts = 3
