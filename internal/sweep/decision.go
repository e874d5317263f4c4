package sweep

import (
	"cmp"
	"slices"
	"strings"

	"decayctl/internal/fact"
	"decayctl/internal/rule"
)

// decisions are the judged facts of a range that are to be written or counted, as far as a batch needs to know them.
// There may be a hundred thousand: each takes a hundred bytes, a quarter of what it was judged by, and most have
// nothing for the garbage collector to follow but their text.
type decisions struct {
	facts []decision // in the order of their places, once they are sorted

	text int // bytes of ids, entities and overrides

	verdicts table[verdictKey, rule.Verdict] // but for the confidence
	shares   table[shared, shared]
}

type decision struct {
	text       string // id and entity
	id         uint32 // length of the id
	place      uint32
	verdict    uint32
	shared     uint32
	confidence float64
	extra      *extra // nil where there is none of it
}

// extra is what few facts have.
type extra struct {
	override   *fact.Override
	validUntil *string
	quarantine *string
	becomes    *float64 // the confidence of the verdict
}

// shared is what many facts have in common.
type shared struct {
	tenant, scope string
}

// verdictKey tells verdicts apart. Rules that select are shared among them.
type verdictKey struct {
	action rule.Action
	kept   rule.Protection
	policy string
	rules  *string
	aside  rule.Shadow
}

// table keeps what comes again and again once.
type table[K comparable, V any] struct {
	list   []V
	places map[K]uint32
}

func (t *table[K, V]) place(key K, keep func() (K, V)) uint32 {
	at, known := t.places[key]
	if !known {
		if t.places == nil {
			t.places = map[K]uint32{}
		}
		key, value := keep()
		at = uint32(len(t.list))
		t.places[key] = at
		t.list = append(t.list, value)
	}
	return at
}

// add packs facts that were judged, of so many that there may be.
func (p *decisions) add(facts []judged, most int) {
	size := 0
	for _, f := range facts {
		size += len(f.ID) + len(f.Entity)
	}
	var b strings.Builder
	b.Grow(size)
	for _, f := range facts {
		b.WriteString(f.ID)
		b.WriteString(f.Entity)
	}
	text := b.String()
	p.text += size
	for _, f := range facts {
		p.text += f.Override.Text()
	}
	if p.facts == nil && len(facts) > 0 {
		p.facts = make([]decision, 0, most)
	}
	for _, f := range facts {
		length := len(f.ID) + len(f.Entity)
		p.facts = append(p.facts, decision{
			text: text[:length], id: uint32(len(f.ID)), place: uint32(f.Place),
			verdict: p.verdictOf(f.Verdict), shared: p.sharedOf(f.Candidate), confidence: f.Candidate.Confidence, extra: extraOf(f),
		})
		text = text[length:]
	}
}

func (p *decisions) verdictOf(v rule.Verdict) uint32 {
	key := verdictKey{action: v.Action, kept: v.Kept, policy: v.Policy, aside: v.Shadow}
	if len(v.Rules) > 0 {
		key.rules = &v.Rules[0]
	}
	return p.verdicts.place(key, func() (verdictKey, rule.Verdict) {
		v.Confidence = nil
		return key, v
	})
}

func (p *decisions) sharedOf(c *fact.Candidate) uint32 {
	return p.shares.place(shared{c.Tenant, c.Scope}, func() (shared, shared) {
		p.text += len(c.Tenant) + len(c.Scope)
		s := shared{strings.Clone(c.Tenant), strings.Clone(c.Scope)}
		return s, s
	})
}

func extraOf(f judged) *extra {
	if f.Override == nil && f.ValidUntil == nil && f.Quarantine == nil && f.Confidence == nil {
		return nil
	}
	c := *f.Candidate
	if c.ValidUntil != nil || c.Quarantine != nil {
		c = c.Clone()
	}
	return &extra{c.Override, c.ValidUntil, c.Quarantine, f.Confidence}
}

// sort puts the facts into their order.
func (p *decisions) sort() {
	byPlace := func(a, b decision) int { return cmp.Compare(a.place, b.place) }
	if !slices.IsSortedFunc(p.facts, byPlace) {
		slices.SortFunc(p.facts, byPlace)
	}
}

// slice is some packed facts in a row.
type slice struct {
	*decisions
	from, to int
}

func (p *decisions) all() slice { return slice{p, 0, len(p.facts)} }

func (s slice) len() int { return s.to - s.from }

// split is the facts up to the nth, and those behind.
func (s slice) split(n int) (before, behind slice) {
	return slice{s.decisions, s.from, s.from + n}, slice{s.decisions, s.from + n, s.to}
}

// maxBatchText is how many bytes of text a batch may have, unless one of its facts has more: the statements that write it
// take a multiple of that.
const maxBatchText = 2 << 20

// nextBatch takes facts from the front until size of them, or as many as have so much text, are to be written, and those that
// are kept behind these.
func (s slice) nextBatch(size int) (part, left slice) {
	n, acting, text := 0, 0, 0
	for ; n < s.len(); n++ {
		if s.verdict(n).Acts() {
			if acting == size || text > maxBatchText {
				break
			}
			acting++
			text += s.text(n)
		}
	}
	return s.split(n)
}

// text is how many bytes of text a fact has.
func (s slice) text(n int) int {
	f := &s.facts[s.from+n]
	with := s.shares.list[f.shared]
	text := len(f.text) + len(with.tenant) + len(with.scope) // the statements have them for each fact
	if f.extra != nil {
		text += f.extra.override.Text()
	}
	return text
}

func (s slice) verdict(n int) rule.Verdict {
	f := &s.facts[s.from+n]
	v := s.verdicts.list[f.verdict]
	if f.extra != nil {
		v.Confidence = f.extra.becomes
	}
	return v
}

// last is the id of the last fact.
func (s slice) last() string {
	f := &s.facts[s.to-1]
	return f.text[:f.id]
}

func (s slice) tenant(n int) string { return s.shares.list[s.facts[s.from+n].shared].tenant }

// candidate is a fact as it was read, without what only decider needs.
func (s slice) candidate(n int) fact.Candidate {
	f := &s.facts[s.from+n]
	with := s.shares.list[f.shared]
	c := fact.Candidate{Fact: fact.Fact{ID: f.text[:f.id], Entity: f.text[f.id:], Tenant: with.tenant, Scope: with.scope, Confidence: f.confidence}}
	if r := f.extra; r != nil {
		c.ValidUntil, c.Quarantine, c.Override = r.validUntil, r.quarantine, r.override
	}
	return c
}
