package store

import (
	"decayctl/internal/fact"
	"decayctl/internal/job"
)

// Wrote tells whether a change still is what a job wrote. Stores find the rows of a job by its stamp; where
// a policy wrote them, the expiry and the confidence are told from the fact itself.
func Wrote(j job.Job, c job.Change) bool {
	id := job.PolicyOf(c.After)
	if id == "" {
		return true // the store has compared every column
	}
	p := j.Rules.Policy(id)
	if p == nil || c.Base == nil {
		return false
	}
	return p.Wrote(&fact.Candidate{Fact: *c.Base, Context: fact.Context{Override: c.Before}}, c.After, j.AsOf)
}

// Forgot tells whether the job that made a change removed the fact's vector.
func Forgot(j job.Job, c job.Change) bool {
	ended := c.After.ValidUntil != nil && *c.After.ValidUntil == fact.FormatInstant(j.AsOf)
	return ended || c.After.Confidence != nil && *c.After.Confidence < vectorsFrom
}
