//go:build !race

package cli_test

const (
	raceMemory = 1
	longFacts  = 9
)
