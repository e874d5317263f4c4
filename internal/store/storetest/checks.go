package storetest

import "flag"

// LimitChecks makes random tests draw 15 times instead of rapid's 100, since each draw makes a store. Call it before flags
// are parsed. `make soak` draws 1,000 times.
func LimitChecks() {
	if err := flag.Set("rapid.checks", "15"); err != nil {
		panic(err)
	}
}
