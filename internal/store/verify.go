package store

import (
	"fmt"
	"strings"

	"decayctl/internal/job"
)

// Verified is what a transaction finds of a batch that it has written, by the same statements as an undo.
type Verified struct {
	Found  []job.Change // what an undo would take for the job's work
	Rows   int64        // override rows that the statements for the batch's facts wrote
	Logged int64        // rows that the transaction added to the retraction log
	Edges  int64        // edges of Ended that have the expiry that the batch gave them
}

// Ended are those of the facts that were written whose edges end, as far as it is known that they have one.
func Ended(done []*Expiry) (edged []*Expiry) {
	for _, e := range done {
		if e.Edge != nil && !e.Lives {
			edged = append(edged, e)
		}
	}
	return edged
}

// Check tells whether an undo would find the facts that were written, their retractions and the edges that ended.
// triggers are what may be the reason where it would not.
func (v Verified) Check(done []*Expiry, ended int, triggers []string) error {
	found := map[string]bool{}
	var logged int64
	for _, c := range v.Found {
		found[c.FactID] = true
		if c.Retraction != "" {
			logged++
		}
	}
	missed := ""
	for _, e := range done {
		if !found[e.Fact.ID] {
			missed = "an override"
		}
	}
	if int64(len(done)) < v.Rows { // a row is gone by now, or has another key
		missed = "an override"
	}
	switch {
	case missed != "":
	case logged < v.Logged:
		missed = "a row of the retraction log"
	case v.Edges < int64(ended):
		missed = "the expiry of an edge"
	default:
		return nil
	}
	return &Error{Kind: Irreversible, Text: fmt.Sprintf("a trigger or rule changes %s that a sweep writes, and an undo would not take it for the sweep's (%s); disable it, or sweep with --yes, without an undo",
		missed, strings.Join(triggers, ", "))}
}
