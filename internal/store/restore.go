package store

import (
	"decayctl/internal/fact"
	"decayctl/internal/job"
)

// Restoration is one batch of an undo while a transaction writes it.
type Restoration struct {
	All      []job.Change
	AsOf     string // valid_until that the job wrote
	Stamp    string // updated_at that the job wrote
	Epoch    int64  // decay_epoch that the job wrote, in milliseconds since 1970
	params   RestoreParams
	restored map[string]bool
}

// NewRestoration begins a batch of an undo. Each attempt to write the batch needs a new one.
func NewRestoration(p RestoreParams) Restoration {
	return Restoration{
		All: p.Changes.List, AsOf: fact.FormatInstant(p.Job.AsOf), Stamp: fact.FormatSecond(p.Job.Stamp), Epoch: p.Job.AsOf.UnixMilli(),
		params: p, restored: map[string]bool{},
	}
}

// Restored notes that the override of a fact was restored. Only then the fact's edge, retraction and vector are restored.
func (r Restoration) Restored(id string) { r.restored[id] = true }

// UndonePlace is how far a job is undone. It is not set before the first batch.
func UndonePlace(j job.Job) Cursor { return Cursor{ID: j.UndoneUpTo, Set: j.UndoneAny} }

// AddTo adds the batch to the counts and the progress of its job.
func (r Restoration) AddTo(j *job.Job) {
	j.Counts.Add(r.params.Count)
	j.Counts.Restored += int64(len(r.restored))
	if last := r.params.Changes.Last; last.Set {
		j.UndoneUpTo, j.UndoneAny = last.ID, true
	}
}

// RestoredEdge is an edge to restore, if it is what the job wrote.
type RestoredEdge struct {
	ID          string
	Plain       bool      // it was as the node makes edges: expiry and confidence of the fact, epoch NULL
	Was         fact.Edge // the edge before the job, unless Plain
	KeepsExpiry bool      // the job changed only the confidence
	Gave        *float64  // the confidence that the job wrote; nil is none
}

// Edges are the edges of the restored facts. The job changed only the expiry of plain and differed; the plain ones were as
// the node makes edges. withConfidence are the edges whose confidence it changed. A fact may have no edge.
func (r Restoration) Edges() (plain []string, differed, withConfidence []RestoredEdge) {
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
			differed = append(differed, e)
		}
	}
	return plain, differed, withConfidence
}

// Retractions are the ids of the rows that the job added to the retraction log for the restored facts. They are to be
// deleted: the log has no row that revokes another one.
func (r Restoration) Retractions() (ids []string) {
	for _, c := range r.done() {
		if c.Retraction != "" {
			ids = append(ids, c.Retraction)
		}
	}
	return ids
}

// LostVectors are the restored facts whose vector the job deleted.
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
