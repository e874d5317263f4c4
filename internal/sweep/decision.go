package sweep

import (
	"cmp"
	"slices"
	"strings"

	"decayctl/internal/fact"
	"decayctl/internal/rule"
	"decayctl/internal/store"
)

// judged is a fact as it was read, and the verdict on it. It keeps all text in memory that the fact was read with.
type judged struct {
	fact    *fact.Candidate
	verdict rule.Verdict
}

// decisions are the facts of a piece that a rule concerns, as a batch needs them. Most have nothing for the garbage
// collector to follow but their text.
type decisions struct {
	list   []store.Decision
	text   int // bytes of ids, entities and overrides, and of tenants and scopes once each
	shared map[sharedKey]*store.Shared
}

// sharedKey tells what decisions may share. Rules that select are the same for all facts that they select.
type sharedKey struct {
	tenant, scope string
	action        rule.Action
	kept          rule.Protection
	policy        string
	rules         *string
	shadow        rule.Shadow
}

// add adds facts that were judged; most is how many there may be in all. The decisions keep no text of those facts: their
// ids and entities are copied into one text.
func (d *decisions) add(facts []judged, most int) {
	if len(facts) == 0 {
		return
	}
	if d.list == nil {
		d.list = make([]store.Decision, 0, most)
	}
	size := 0
	for _, f := range facts {
		size += len(f.fact.ID) + len(f.fact.Entity)
	}
	var b strings.Builder
	b.Grow(size)
	for _, f := range facts {
		b.WriteString(f.fact.ID)
		b.WriteString(f.fact.Entity)
	}
	text := b.String()
	d.text += size
	for _, f := range facts {
		one := store.Decide(f.fact, f.verdict, d.share(f))
		id, entity := len(f.fact.ID), len(f.fact.ID)+len(f.fact.Entity)
		one.ID, one.Entity, text = text[:id], text[id:entity], text[entity:]
		if own := one.Own; own != nil {
			own.ValidUntil, own.Quarantine = cloneText(own.ValidUntil), cloneText(own.Quarantine)
		}
		d.text += f.fact.Override.Text()
		d.list = append(d.list, one)
	}
}

// share is what a fact has in common with others.
func (d *decisions) share(f judged) *store.Shared {
	v := f.verdict
	key := sharedKey{tenant: f.fact.Tenant, scope: f.fact.Scope, action: v.Action, kept: v.Kept, policy: v.Policy, shadow: v.Shadow}
	if len(v.Rules) > 0 {
		key.rules = &v.Rules[0]
	}
	shared := d.shared[key]
	if shared == nil {
		if d.shared == nil {
			d.shared = map[sharedKey]*store.Shared{}
		}
		v.Confidence = nil
		shared = &store.Shared{Tenant: strings.Clone(key.tenant), Scope: strings.Clone(key.scope), Verdict: v}
		key.tenant, key.scope = shared.Tenant, shared.Scope
		d.text += len(shared.Tenant) + len(shared.Scope)
		d.shared[key] = shared
	}
	return shared
}

func cloneText(text *string) *string {
	if text == nil {
		return nil
	}
	clone := strings.Clone(*text)
	return &clone
}

// sort puts the decisions into the order of ids.
func (d *decisions) sort() {
	byPlace := func(a, b store.Decision) int { return cmp.Compare(a.Place, b.Place) }
	if !slices.IsSortedFunc(d.list, byPlace) {
		slices.SortFunc(d.list, byPlace)
	}
}

// maxBatchText is how many bytes of text a batch may have, unless one of its facts has more: the statements that write it
// take a multiple of that.
const maxBatchText = 2 << 20

// nextBatch takes decisions from the front until size of them, or as many as have so much text, are to be written, and the
// facts that are kept right after these.
func nextBatch(from []store.Decision, size int) (batch, rest []store.Decision) {
	n, acting, text := 0, 0, 0
	for ; n < len(from); n++ {
		if d := &from[n]; d.Shared.Verdict.Acts() {
			if acting == size || text > maxBatchText {
				break
			}
			acting++
			text += d.Text()
		}
	}
	return from[:n], from[n:]
}
