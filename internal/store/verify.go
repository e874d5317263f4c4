package store

import (
	"fmt"
	"strings"
	"sync"

	"decayctl/internal/job"
)

// Triggers are those on the tables that an undo reads, and rules. They may change what a batch writes.
type Triggers struct {
	Names []string // such as "touch on entity_edges"
	told  sync.Once
}

// Verified is what a transaction finds of a batch that it has written, by the same statements as an undo.
type Verified struct {
	Found  []job.Change // what an undo would take for the job's work
	Rows   int64        // override rows that the statements for the batch's facts wrote
	Logged int64        // rows that the transaction added to the retraction log
	Edges  int64        // edges that should have ended and have the expiry that the batch gave them
}

// Verify makes sure that an undo will find what the transaction has written of a batch, if there are triggers. v holds what the
// statements told; find adds what an undo would find of the facts that were written, and of those edges that should have ended. A
// batch that may be irreversible is written all the same, and tell gets a note for the operator once.
func (t *Triggers) Verify(b Batch, v Verified, find func(v *Verified, done, ended []*Expiry) error, tell func(note string)) error {
	done := b.Done()
	if len(t.Names) == 0 || len(done) == 0 && v.Rows == 0 {
		return nil
	}
	ended := ended(done)
	if err := find(&v, done, ended); err != nil {
		return err
	}
	missed := v.missed(done, len(ended))
	if missed == "" {
		return nil
	}
	err := &Error{Kind: Irreversible, Text: fmt.Sprintf("a trigger or rule changes %s that a sweep writes, and an undo would not take it for the sweep's (%s); disable it, or sweep with --yes, without an undo",
		missed, strings.Join(t.Names, ", "))}
	if !b.Irreversible {
		return err
	}
	t.told.Do(func() { tell(err.Text) })
	return nil
}

// ended are those of the facts that were written whose edges end, as far as it is known that they have one.
func ended(done []*Expiry) (edged []*Expiry) {
	for _, e := range done {
		if e.Edge != nil && !e.KeepsExpiry {
			edged = append(edged, e)
		}
	}
	return edged
}

// missed is what an undo would not find of the facts that were written, their retractions and the edges that ended.
func (v Verified) missed(done []*Expiry, ended int) string {
	found := map[string]bool{}
	var logged int64
	for _, c := range v.Found {
		found[c.FactID] = true
		if c.Retraction != "" {
			logged++
		}
	}
	for _, e := range done {
		if !found[e.Fact.ID] {
			return "an override"
		}
	}
	switch {
	case int64(len(done)) < v.Rows: // a row is gone by now, or has another key
		return "an override"
	case logged < v.Logged:
		return "a row of the retraction log"
	case v.Edges < int64(ended):
		return "the expiry of an edge"
	}
	return ""
}
