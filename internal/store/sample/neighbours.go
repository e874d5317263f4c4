package sample

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
	"time"

	"decayctl/internal/fact"
)

var (
	stampOf  = fact.FormatInstant
	secondOf = fact.FormatSecond
)

const (
	moderator        = "stigmem://acme/user/2"
	anotherModerator = "stigmem://acme/user/3"
)

// judgement is a moderator's decision on a fact, or that one is pending.
type judgement int

const (
	unjudged       judgement = iota
	pendingInFact            // pending, in the fact's own row
	pendingInTable           // pending, in fact_quarantine_status only
	pendingInBoth            // pending in the fact, and a row that does not override it
	promoted                 // pending in the fact, overridden by a promotion
	rejected                 // the same by a rejection, with confidence 0
	extended                 // not quarantined; its expiry was moved
)

// overrides tells whether the judgement makes an override.
func (j judgement) overrides() bool { return j == rejected || j == extended }

// judged draws a fact's judgement, and sets the status in its row.
func (g *generator) judged(d *draft) judgement {
	var j judgement
	switch roll := g.rand.Float64(); {
	case roll < 0.008:
		j = rejected
	case roll < 0.012:
		j = promoted
	case roll < 0.020:
		j = pendingInFact
	case roll < 0.025:
		j = pendingInTable
	case roll < 0.027:
		j = pendingInBoth
	case roll < 0.067 && !d.until.IsZero(): // of the few with an expiry
		return extended
	default:
		return unjudged
	}
	if j != pendingInTable {
		d.status = "pending"
	}
	return j
}

// neighbours adds a fact's rows in other tables.
func (g *generator) neighbours(d *draft, j judgement) {
	g.judgementRows(d, j)
	if d.peer == nil {
		g.edge(d)
		g.journalEntry(d)
	}
	if g.chance(0.02) {
		g.add(membership, d.id, pick(g, []any{nil, pick(g, g.gardens[d.tenant])}), secondOf(g.afterwards(d)), moderator)
	}
	g.embedding(d)
	if d.index >= 0 {
		g.card(d)
	}
}

func (g *generator) judgementRows(d *draft, j judgement) {
	if j == unjudged || j == pendingInFact {
		return
	}
	done := g.afterwards(d)
	at := secondOf(done)
	switch j {
	case extended:
		g.add(overrides, d.id, stampOf(g.toCome(d.until.Add(day+g.upTo(120*day)))), nil, "extended", at, moderator)
	case pendingInTable:
		g.add(quarantine, d.id, g.holding[d.tenant], "pending", "low source trust", nil, nil, at)
	case pendingInBoth:
		g.add(quarantine, d.id, nil, nil, nil, nil, nil, at)
	case promoted:
		g.add(quarantine, d.id, nil, "promoted", nil, moderator, stampOf(done), at)
	case rejected:
		g.add(quarantine, d.id, g.holding[d.tenant], "rejected", "spam", moderator, stampOf(done), at)
		g.add(overrides, d.id, nil, 0.0, "quarantine_rejected", at, moderator)
	}
}

// followable tells whether the graph can follow a name.
func followable(name string) bool {
	return strings.Contains(name, "://") || strings.HasPrefix(name, "urn:")
}

// edge adds the edge of a fact whose value the graph can follow.
func (g *generator) edge(d *draft) {
	if d.kind != "ref" || !followable(d.value) {
		return
	}
	until, epoch := d.validUntil, any(nil)
	if d.decayed != nil {
		until, epoch = d.decayed, g.sweep.UnixMilli()
	}
	g.add(edges, d.id, d.entity, d.relation, d.value, d.scope, d.garden, d.tenant, until, d.confidence, d.trust,
		epoch, d.at.UnixMilli())
}

// journalEntry adds the journal entry of a fact, if it is young enough for the node to have had a journal.
func (g *generator) journalEntry(d *draft) {
	if d.at.Before(g.o.AsOf.Add(-30*day)) || d.relation == instructionStyle {
		return
	}
	body, err := json.Marshal(map[string]string{"entity": d.entity, "relation": d.relation, "value": d.value})
	if err != nil {
		panic(err) // a map of strings always has a JSON form
	}
	g.add(journal, g.uuid(), d.id, "fact_insert", secondOf(d.at), d.tenant, d.source, d.source, d.scope, d.cid, string(body))
}

func (g *generator) embedding(d *draft) {
	switch {
	case g.chance(0.02):
		g.add(embeddingStatus, d.id, int64(1), secondOf(g.afterwards(d)), "embedding service unavailable", nil)
	case g.o.VectorDimension > 0 && (d.kind == "text" || d.kind == "string"):
		vector := make([]float32, g.o.VectorDimension)
		for i := range vector {
			vector[i] = 2*g.rand.Float32() - 1
		}
		g.add(vectors, d.id, vector)
		g.add(embeddingStatus, d.id, int64(0), secondOf(g.afterwards(d)), nil, nil)
	}
}

type cardKey struct {
	index         int
	tenant, scope string
}

// card adds a memory card with the first fact of many entities.
func (g *generator) card(d *draft) {
	key := cardKey{d.index, d.tenant, d.scope}
	if _, decided := g.carded[key]; decided {
		return
	}
	g.carded[key] = struct{}{}
	if g.chance(1 - g.mix.cards) {
		return
	}
	hash := sha256.Sum256([]byte(d.id))
	var refreshed any
	if !g.chance(0.05) {
		refreshed = stampOf(d.at.Add(g.upTo(max(time.Second, g.o.AsOf.Sub(d.at)))))
	}
	stale := int64(0)
	if refreshed == nil || g.chance(0.3) {
		stale = 1
	}
	contradicted := int64(0)
	if g.chance(0.03) {
		contradicted = 1
	}
	g.add(cards, d.entity, d.tenant, d.scope, d.relation+": "+d.value, `["`+hex.EncodeToString(hash[:])+`"]`,
		d.confidence, refreshed, stale, contradicted)
}
