package storetest

import "flag"

// LimitChecks has random tests draw 30 times instead of rapid's 100, before flags are parsed: most of a draw is the
// making of stores. `make soak` asks for 1,000.
func LimitChecks() {
	if err := flag.Set("rapid.checks", "30"); err != nil {
		panic(err)
	}
}
