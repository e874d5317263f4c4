package store

import (
	"decayctl/internal/fact"
	"decayctl/internal/job"
)

// Expiry is one fact to expire, or whose confidence is to be reduced. The fact is written only if its override is what
// was read, no legal hold or pending quarantine protects it by now, and it has not expired by the store's clock.
type Expiry struct {
	*Decision
	Retraction string // id of the row for the retraction log; "" is none

	// The transaction that writes the batch fills in the rest.
	Excluded bool       // the fact has expired or is protected by now, and is not written
	Written  bool       // the override was written
	Edge     *fact.Edge // the edge before the batch; nil is none
}

// After is the override that the fact gets. asOf and stamp are Batch.AsOf and Batch.Stamp as text.
func (e Expiry) After(asOf, stamp string) fact.Override {
	actor, reason := Actor, e.reason()
	after := fact.Override{ValidUntil: &asOf, Confidence: e.NewConfidence(), Reason: &reason, UpdatedAt: stamp, UpdatedBy: &actor}
	if o := e.Override(); o != nil {
		if e.KeepsExpiry() {
			after.ValidUntil = o.ValidUntil
		}
		if after.Confidence == nil {
			after.Confidence = o.Confidence
		}
	} else if e.KeepsExpiry() {
		after.ValidUntil = nil
	}
	return after
}

func (e Expiry) reason() string {
	if policy := e.Shared.Verdict.Policy; policy != "" {
		return PolicyReason + policy
	}
	return Reason
}

// minVectorConfidence is the node's: it keeps no vector of a fact below this confidence.
const minVectorConfidence = 0.1

// LosesVector tells whether the fact's vector is to be deleted: the fact expires, or its confidence gets too low.
func (e Expiry) LosesVector() bool {
	confidence := e.NewConfidence()
	return !e.KeepsExpiry() || confidence != nil && *confidence < minVectorConfidence
}

// SweptAt is the expiry that an earlier sweep gave the fact, or "". If that expiry is later than the store's clock, the
// fact is swept again, and the retraction log already has a row for it.
func (e Expiry) SweptAt() string {
	o := e.Override()
	if o == nil || o.ValidUntil == nil || o.Reason == nil || *o.Reason != Reason && job.PolicyOf(*o) == "" || o.UpdatedBy == nil || *o.UpdatedBy != Actor {
		return ""
	}
	return *o.ValidUntil
}

// ByID is the facts of a batch by their ids.
type ByID map[string]*Expiry

// NewByID makes a ByID of facts.
func NewByID(expiries []*Expiry) ByID {
	byID := make(ByID, len(expiries))
	for _, e := range expiries {
		byID[e.ID] = e
	}
	return byID
}

// MarkWritten notes that the override of a fact was written. It ignores an unknown id: a database may take two
// different texts for equal.
func (b ByID) MarkWritten(id string) {
	if e := b[id]; e != nil {
		e.Written = true
	}
}

// MarkExcluded notes that a fact is protected by now.
func (b ByID) MarkExcluded(id string) {
	if e := b[id]; e != nil {
		e.Excluded = true
	}
}

// SetEdge notes the edge that a fact has before the batch.
func (b ByID) SetEdge(id string, edge *fact.Edge) {
	if e := b[id]; e != nil {
		e.Edge = edge
	}
}

// OverrideGroup is facts without an override that get overrides which differ in the confidence only.
type OverrideGroup struct {
	ValidUntil     *string // nil if the facts keep their expiry
	Reason         string
	SetsConfidence bool // each fact has a confidence to write
	List           []*Expiry
}

// Inserted notes that a statement inserted n overrides for the group. known is false if some of the group were not
// inserted: n does not tell which.
func (g OverrideGroup) Inserted(n int64) (known bool) {
	known = n == int64(len(g.List))
	for _, e := range g.List {
		e.Written = e.Written || known
	}
	return known
}

// GroupByOverride groups facts without an override by the override that they get. A sweep without policies has one
// group.
func GroupByOverride(of []*Expiry, asOf string) []OverrideGroup {
	type key struct {
		policy                      string
		keepsExpiry, setsConfidence bool
	}
	var groups []OverrideGroup
	places := map[key]int{}
	for _, e := range of {
		k := key{e.Shared.Verdict.Policy, e.KeepsExpiry(), e.NewConfidence() != nil}
		at, known := places[k]
		if !known {
			at, places[k] = len(groups), len(groups)
			groups = append(groups, OverrideGroup{ValidUntil: e.After(asOf, "").ValidUntil, Reason: e.reason(), SetsConfidence: k.setsConfidence})
		}
		groups[at].List = append(groups[at].List, e)
	}
	return groups
}
