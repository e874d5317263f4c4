//go:build race

package cli_test

// raceMemory is how many times as much memory a program may take that the race detector watches.
const raceMemory = 3
