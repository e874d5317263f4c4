package store

import (
	"decayctl/internal/fact"
	"decayctl/internal/job"
)

// Restoration is one batch of an undo on its way into one transaction.
type Restoration struct {
	All      []job.Change
	AsOf     string // of the job; became valid_until
	Stamp    string // of the job; became updated_at
	Epoch    int64  // of the job; became decay_epoch
	params   RestoreParams
	restored map[string]bool
}

// NewRestoration is a batch of which nothing is written yet.
func NewRestoration(p RestoreParams) Restoration {
	return Restoration{
		All: p.Changes.List, AsOf: fact.FormatInstant(p.Job.AsOf), Stamp: fact.FormatSecond(p.Job.Stamp), Epoch: p.Job.AsOf.UnixMilli(),
		params: p, restored: map[string]bool{},
	}
}

// Restored says that the override of a fact was taken back. Everything else follows it.
func (r Restoration) Restored(id string) { r.restored[id] = true }

// AddTo notes the batch in the job's row.
func (r Restoration) AddTo(j *job.Job) {
	j.Counts.Add(r.params.Count)
	j.Counts.Restored += int64(len(r.restored))
	if last := r.params.Changes.Last; last.Set {
		j.UndoneUpTo, j.UndoneAny = last.ID, true
	}
}

// RestoredEdge is an edge to be given back what it was, if it still is what the job made of it.
type RestoredEdge struct {
	ID          string
	Plain       bool      // it was as the node made it: its expiry and its confidence are the fact's, and its epoch is NULL
	Was         fact.Edge // if it was not
	KeepsExpiry bool      // the job did not end it
	Gave        *float64  // the confidence that the job gave it; nil is none
}

// Edges are the edges of the facts that were taken back, sorted by what the job changed: the expiry of edges that were as
// the node made them, the expiry of other edges, or the confidence too. A fact may have no edge.
func (r Restoration) Edges() (plain []string, others, withConfidence []RestoredEdge) {
	for _, c := range r.done() {
		e := RestoredEdge{ID: c.FactID, Plain: c.Edge == nil, KeepsExpiry: !expired(c, r.AsOf), Gave: c.After.Confidence}
		if c.Edge != nil {
			e.Was = *c.Edge
		}
		switch {
		case c.SetsConfidence(r.params.Job.Rules):
			withConfidence = append(withConfidence, e)
		case e.Plain:
			plain = append(plain, e.ID)
		default:
			others = append(others, e)
		}
	}
	return plain, others, withConfidence
}

// Retractions are the ids of the rows that the job added to the retraction log for the facts that were taken back.
// The log has no row that takes another back.
func (r Restoration) Retractions() (ids []string) {
	for _, c := range r.done() {
		if c.Retraction != "" {
			ids = append(ids, c.Retraction)
		}
	}
	return ids
}

// LostVectors are the facts that were taken back and whose vector the job removed.
func (r Restoration) LostVectors() (ids []string) {
	for _, c := range r.done() {
		if expired(c, r.AsOf) || c.After.Confidence != nil && *c.After.Confidence < minVectorConfidence {
			ids = append(ids, c.FactID)
		}
	}
	return ids
}

func (r Restoration) done() (done []job.Change) {
	for _, c := range r.All {
		if r.restored[c.FactID] {
			done = append(done, c)
		}
	}
	return done
}

func expired(c job.Change, asOf string) bool { return equal(c.After.ValidUntil, &asOf) }
