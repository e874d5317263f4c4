// Command decayctl expires stale facts in a Stigmem node's fact store.
package main

import (
	"os"
	"runtime/debug"

	"decayctl/internal/cli"
)

// garbage is how much the heap may grow between two collections, in percent of what is in use: a sweep runs
// beside a node, and keeps little of what it reads. By default, 100, it takes 10 MB more and is no faster.
const garbage = 50

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbage)
	}
	os.Exit(cli.Main(cli.ThisProcess()))
}
