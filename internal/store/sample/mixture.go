package sample

import "time"

// mixture says how many of each kind a sample has, as shares of all facts. The shares of names add up, since one random number
// decides on the name.
type mixture struct {
	span       time.Duration // time between the first fact and AsOf
	sweptAfter time.Duration // the node's own sweep expired facts that were older than this,
	sweptBelow float64       // and facts with less confidence than this
	trust      float64       // facts about nodes
	received   float64       // relation stigmem:received_from
	conflicts  float64       // facts about conflicts
	imported   float64       // a system relation in upper case
	structural float64       // relations in rel:
	cards      float64       // of the entities, tenants and scopes that facts have
	tombstones int           // one in so many entities has a tombstone of each kind
	odd        bool          // stamps in every form, unreadable ones, names that attack a terminal
}

var (
	varied = mixture{
		span: 400 * day, sweptAfter: 320 * day, sweptBelow: 0.1,
		trust: 0.004, received: 0.005, conflicts: 0.004, imported: 0.002, structural: 0.007,
		cards: 0.6, tombstones: 61, odd: true,
	}
	// plain has 5 % system facts, 2 % overrides, and an edge for each reference asserted here.
	plain = mixture{
		span: 365 * day, sweptAfter: 302 * day,
		trust: 0.015, received: 0.02, conflicts: 0.015, structural: 0.007,
		cards: 0.05, tombstones: 601,
	}
)

// names are the borders of the roll that draws a fact's names.
func (m mixture) names() (trust, received, conflicts, imported, structural float64) {
	trust = m.trust
	received = trust + m.received
	conflicts = received + m.conflicts
	imported = conflicts + m.imported
	return trust, received, conflicts, imported, imported + m.structural
}
