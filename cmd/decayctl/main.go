// Command decayctl expires stale facts in a Stigmem node's fact store.
package main

import (
	"os"

	"decayctl/internal/cli"
)

func main() {
	os.Exit(cli.Main(cli.ThisProcess()))
}
