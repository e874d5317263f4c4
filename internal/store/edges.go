package store

import "decayctl/internal/fact"

// BeforeImages are what an undo needs of written facts: the overrides before the batch, and the edges that differed from
// the edge that the node makes of a fact. Everything else can be restored from the fact.
func BeforeImages(done []*Expiry) []BeforeImage {
	var images []BeforeImage
	for _, e := range done {
		edge := e.Edge
		if edge != nil && e.NewConfidence() == nil { // stays as it is
			edge = &fact.Edge{ValidUntil: edge.ValidUntil, DecayEpoch: edge.DecayEpoch}
		}
		plain := edge == nil || edge.DecayEpoch == nil && equal(edge.ValidUntil, e.own().ValidUntil) &&
			(edge.Confidence == nil || *edge.Confidence == e.Confidence)
		if plain && e.Override() == nil {
			continue
		}
		image := BeforeImage{FactID: e.ID, Override: e.Override()}
		if !plain {
			image.Edge = edge
		}
		images = append(images, image)
	}
	return images
}

// WithEdges are the written facts that have an edge: those whose edge only ends, and those whose edge gets another
// confidence.
func WithEdges(done []*Expiry) (plain, withConfidence []*Expiry) {
	for _, e := range done {
		switch {
		case e.Edge == nil:
		case e.NewConfidence() == nil:
			plain = append(plain, e)
		default:
			withConfidence = append(withConfidence, e)
		}
	}
	return plain, withConfidence
}

// BeforeImage is the state of a fact before a job changed it.
type BeforeImage struct {
	FactID   string
	Override *fact.Override // nil if there was none
	Edge     *fact.Edge     // nil if there was none, or one as the node makes it
}

func equal(a, b *string) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}
