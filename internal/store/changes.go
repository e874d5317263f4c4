package store

import (
	"decayctl/internal/fact"
	"decayctl/internal/job"
)

// ChangeRow is an override that has the marks of a job, with what there is of it elsewhere, as Changes reads it.
type ChangeRow struct {
	Change job.Change // but for Before and Edge

	HadOverride bool
	Override    fact.Override // that was there before the job, but for UpdatedAt
	UpdatedAt   *string
	HadEdge     bool
	Edge        fact.Edge // as it was before the job
	Fact        fact.Fact // its stamp, expiry and confidence; only read if a policy wrote the override
}

// ChangeList is the changes of a job that are read at once.
type ChangeList struct {
	Job  job.Job
	List []job.Change
	text int
}

// Add adds what a row tells of, if it still is what the job wrote. full is true once the list, and what was left out of it,
// is as long as is kept in memory.
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

// wrote tells whether a change still is what a job wrote. Stores find the rows of a job by its stamp; if a policy wrote
// them, the expiry and the confidence are told from the fact itself.
func wrote(j job.Job, c job.Change, f fact.Fact) bool {
	id := job.PolicyOf(c.After)
	if id == "" {
		return true // the store has compared every column
	}
	p := j.Rules.Policy(id)
	return p != nil && p.Wrote(&fact.Candidate{Fact: f, Context: fact.Context{Override: c.Before}}, c.After, j.AsOf)
}
