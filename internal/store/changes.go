package store

import (
	"decayctl/internal/fact"
	"decayctl/internal/job"
)

// ChangeRow is an override with the marks of a job, and its before-image, as a store reads them for Changes.
type ChangeRow struct {
	Change job.Change // without Before and Edge

	HadOverride bool          // there was an override before the job
	Override    fact.Override // before the job, without UpdatedAt
	UpdatedAt   *string       // of that override
	HadEdge     bool          // the before-image has an edge
	Edge        fact.Edge     // before the job
	Fact        fact.Fact     // timestamp, expiry and confidence; only read if a policy wrote the override
}

// ChangeList collects the changes of a job that one transaction reads.
type ChangeList struct {
	Job  job.Job
	List []job.Change
	text int
}

// Add adds the change of a row, unless the row is not what the job wrote any more. full is true if the rows so far have
// more than MaxPartText bytes of text.
func (l *ChangeList) Add(r ChangeRow) (full bool) {
	c := r.Change
	if r.HadOverride {
		if c.Before = &r.Override; r.UpdatedAt != nil {
			c.Before.UpdatedAt = *r.UpdatedAt
		}
	}
	if r.HadEdge {
		c.Edge = &r.Edge
	}
	if wrote(l.Job, c, r.Fact) {
		l.List = append(l.List, c)
	}
	l.text += c.Text()
	return l.text > MaxPartText
}

// wrote tells whether an override is what a job wrote. A store finds the rows of a job by its stamp. What a policy wrote
// depends on the fact, and is computed again.
func wrote(j job.Job, c job.Change, f fact.Fact) bool {
	id := job.PolicyOf(c.After)
	if id == "" {
		return true // the store has compared every column
	}
	p := j.Rules.Policy(id)
	return p != nil && p.Wrote(&fact.Candidate{Fact: f, Context: fact.Context{Override: c.Before}}, c.After, j.AsOf)
}
