package sweep

import (
	"decayctl/internal/fact"
	"decayctl/internal/rule"
)

// Collector takes in what a pass that only reads decides, fact by fact. Its methods are called by one goroutine at a
// time. It gets every fact that the store hands over, those that no rule concerns too: with Params.Live all live facts,
// else those that the rules may select.
type Collector interface {
	Begin()                                    // a pass begins, or begins anew: what was collected so far is void
	Collect(c *fact.Candidate, v rule.Verdict) // c is valid during the call only
}
