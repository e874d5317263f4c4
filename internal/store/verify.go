package store

import (
	"fmt"
	"strings"
	"sync"

	"decayctl/internal/job"
)

// Triggers are the triggers and rules on the tables that an undo reads. They may change what a batch writes.
type Triggers struct {
	Names []string // such as "touch on entity_edges"
	told  sync.Once
}

// Verified compares what a transaction wrote of a batch with what an undo would find.
type Verified struct {
	Found  []job.Change // the job's changes, by the statements of an undo
	Rows   int64        // override rows that the batch wrote
	Logged int64        // rows that the batch added to the retraction log
	Edges  int64        // ended edges that have the expiry that the batch wrote
}

// Verify checks that an undo will find what a transaction wrote of a batch. Without triggers it does nothing. v holds the
// rows that the batch's statements wrote. find adds what an undo finds of the written facts and of the ended edges. Errors:
// Irreversible; if b.Irreversible is set, tell gets that text instead, once for all batches.
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

// ended are the written facts whose edge ends.
func ended(done []*Expiry) (edged []*Expiry) {
	for _, e := range done {
		if e.Edge != nil && !e.KeepsExpiry() {
			edged = append(edged, e)
		}
	}
	return edged
}

// missed names what an undo would not find: an override, a retraction, or the expiry of an edge. "" is nothing.
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
		if !found[e.ID] {
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
