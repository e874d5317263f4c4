package sample

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"decayctl/internal/store"

	"github.com/google/uuid"
)

// generator makes the rows of one sample. All random values come from rand, in a fixed order.
type generator struct {
	o        Options
	mix      mixture
	rand     *rand.Rand
	start    time.Time     // of the first fact
	step     time.Duration // from fact to fact
	entities int
	sweep    time.Time            // when the node swept this store
	swept    int                  // facts that the node's sweep expired
	gardens  map[string][]string  // by tenant
	holding  map[string]string    // quarantine garden by tenant
	carded   map[cardKey]struct{} // keys for which it was decided whether there is a card
	last     draft                // the previous fact
	rows     [tableCount][][]any  // rows that were not yielded yet
}

// draft is a fact that is being made.
type draft struct {
	k          int // its number in the sample
	id         string
	entity     string
	index      int // of the entity; -1 if entityName did not make the name
	relation   string
	kind       string // value_type
	value      string
	at         time.Time // its true instant
	stamp      string    // as stored
	until      time.Time // its own expiry; zero if it has none, or one that cannot be read
	validUntil any       // as stored; nil if it has none
	peer       any       // the peer that sent the fact; nil if it was asserted here
	confidence float64
	tenant     string
	scope      string
	source     string
	garden     any
	trust      any // source_trust
	cid        any
	status     any // quarantine_status
	decayed    any // when the node's sweep expired it; nil if it did not
}

func newGenerator(o Options) *generator {
	if o.Facts == 0 {
		o.Facts = DefaultFacts
	}
	o.AsOf = o.AsOf.UTC().Truncate(time.Microsecond)
	mix := varied
	if o.Plain {
		mix = plain
	}
	return &generator{
		o:        o,
		mix:      mix,
		rand:     rand.New(rand.NewPCG(o.Seed, 0)),
		start:    o.AsOf.Add(-mix.span),
		step:     mix.span / time.Duration(o.Facts),
		entities: max(20, o.Facts/8),
		sweep:    o.AsOf.Add(-60*day - 7*time.Hour - 123456*time.Microsecond),
		gardens:  map[string][]string{},
		holding:  map[string]string{},
		carded:   map[cardKey]struct{}{},
	}
}

func (g *generator) chance(p float64) bool { return g.rand.Float64() < p }

// upTo is a duration from 0 to d, exclusive.
func (g *generator) upTo(d time.Duration) time.Duration {
	return time.Duration(g.rand.Int64N(int64(d)))
}

func pick[T any](g *generator, from []T) T { return from[g.rand.IntN(len(from))] }

func (g *generator) bytes16() (b [16]byte) {
	binary.BigEndian.PutUint64(b[:8], g.rand.Uint64())
	binary.BigEndian.PutUint64(b[8:], g.rand.Uint64())
	return b
}

func (g *generator) uuid() string {
	id := uuid.UUID(g.bytes16())
	id[6] = id[6]&0x0f | 0x40 // version 4
	id[8] = id[8]&0x3f | 0x80
	return id.String()
}

func (g *generator) digest() string {
	a, b := g.bytes16(), g.bytes16()
	return hex.EncodeToString(append(a[:], b[:]...))
}

// entityIndex prefers low numbers, so that a few entities have most facts.
func (g *generator) entityIndex() int {
	x := g.rand.Float64()
	return int(x * x * float64(g.entities))
}

// fact makes the k-th fact and the rows that belong to it.
func (g *generator) fact(k int) {
	d := draft{k: k, id: g.uuid(), scope: pick(g, scopes), tenant: defaultTenant, source: pick(g, sources)}
	if g.chance(0.15) {
		d.tenant = pick(g, []string{otherTenant, otherTenant, smallTenant})
	}
	g.stamped(&d)
	g.named(&d)
	g.expiring(&d)

	contradicts := g.last.index > 0 && d.index >= 0 && g.chance(0.005)
	if contradicts {
		last := g.last
		d.entity, d.index, d.relation, d.kind = last.entity, last.index, last.relation, last.kind
		d.scope, d.tenant = last.scope, last.tenant
		d.value = last.value + " (corrected)"
	}
	switch {
	case g.chance(0.01):
		d.confidence = 0
	case g.chance(0.5):
		d.confidence = pick(g, confidences)
	default:
		d.confidence = float64(g.rand.IntN(101)) / 100
	}
	if g.chance(0.1) {
		d.garden = pick(g, g.gardens[d.tenant])
	}
	if g.chance(0.3) {
		d.trust = float64(g.rand.IntN(101)) / 100
	}
	if d.at.After(g.o.AsOf.Add(-200 * day)) { // since then the node has content ids
		d.cid = "sha256:" + g.digest()
	}

	judgement := g.judged(&d)
	g.sweptBefore(&d, judgement)
	g.insert(&d)
	g.neighbours(&d, judgement)
	if contradicts {
		g.add(conflicts, g.uuid(), g.last.id, d.id, pick(g, []string{"unresolved", "unresolved", "resolved"}), stampOf(d.at))
	}
	g.last = d
}

// insert adds the row of facts.
func (g *generator) insert(d *draft) {
	var origin, allowed, holding any
	blocked, reading := int64(0), "content"
	if d.peer != nil {
		origin, allowed = d.peer, `["company", "public"]`
		if d.scope == "local" {
			blocked = 1
		}
	}
	if d.status != nil {
		holding = g.holding[d.tenant]
	}
	if d.relation == instructionStyle {
		reading = "instruction"
	}
	hlc := strconv.FormatInt(d.at.UnixMilli(), 10) + "." + strconv.Itoa(g.rand.IntN(3))
	g.add(facts, d.id, d.entity, d.relation, d.kind, d.value, d.source, d.stamp, d.validUntil, d.confidence,
		d.scope, hlc, d.peer, origin, allowed, blocked, d.garden, d.tenant, d.status, holding, d.trust, d.cid, reading)
}

// isSystem tells whether a name is the node's own. The node's sweep skips these.
func isSystem(name string) bool {
	name = strings.ToLower(name)
	return strings.HasPrefix(name, "stigmem:") && !strings.HasPrefix(name, "stigmem://")
}

// sweptBefore expires what the node's sweep did 60 days before AsOf: facts that were too old, or had too little confidence.
// That sweep compared stamps as text.
func (g *generator) sweptBefore(d *draft, judgement judgement) {
	if isSystem(d.entity) || isSystem(d.relation) || judgement.overrides() || d.stamp > stampOf(g.sweep) {
		return
	}
	old := d.validUntil == nil && d.stamp <= stampOf(g.sweep.Add(-g.mix.sweptAfter))
	weak := d.confidence > 0 && d.confidence < g.mix.sweptBelow && (d.validUntil == nil || d.until.After(g.sweep))
	if !old && !weak {
		return
	}
	g.swept++
	d.decayed = stampOf(g.sweep)
	g.add(overrides, d.id, d.decayed, nil, store.Reason, secondOf(g.sweep), store.Actor)
	if weak {
		g.add(retractions, g.uuid(), d.id, d.decayed, store.Actor)
	}
}
