package sweep

import (
	"cmp"
	"slices"
	"sort"
	"strings"
	"time"

	"decayctl/internal/fact"
	"decayctl/internal/job"
)

// Result is what a sweep would do, as a dry run counts it.
type Result struct {
	job.Counts       // Decayed is 0, and ByRule is about the facts selected
	Total      int64 // facts in the store, an estimate
	Live       int64 // facts not expired by now; counted for a limit in percent only

	Groups  map[GroupKey]*Group // selected facts; a bounded number of keys
	Other   Group               // selected facts beyond those keys
	Oldest  *time.Time          // earliest readable stamp among the selected facts; nil where none has one
	Newest  *time.Time
	Samples []Sample

	keys []GroupKey // of Groups, in their order
}

// GroupKey is what selected facts are counted by. Names are shortened at 200 bytes.
type GroupKey struct{ Tenant, Scope, Relation string }

// compare orders keys by their fields, as they are written.
func (k GroupKey) compare(other GroupKey) int {
	return cmp.Or(cmp.Compare(k.Tenant, other.Tenant), cmp.Compare(k.Scope, other.Scope), cmp.Compare(k.Relation, other.Relation))
}

// Group counts facts of one key. A fact that two rules select is one fact, and counts under both.
type Group struct {
	Facts  int64
	ByRule map[string]int64
}

// Sample is one selected fact, and why the rules select it.
type Sample struct {
	Fact   fact.Candidate // its texts are shortened
	Rules  []string
	Reason string

	key idKey
}

const maxSampleText = 1000 // bytes of each text of a sample

const maxGroups = 1000 // keys; relation names are hostile text, and there may be a million of them

func newResult(total int64) *Result { return &Result{Total: total, Groups: map[GroupKey]*Group{}} }

// add counts one fact that was judged.
func (r *Result) add(p Params, f judged) {
	r.AddFact(f.fact.Tenant, f.verdict, job.Planned)
	if !f.verdict.Acts() {
		return
	}
	r.group(f.fact).add(f.verdict.Rules)
	if stamp, err := fact.ParseInstant(f.fact.Timestamp); err == nil {
		if r.Oldest == nil || stamp.Before(*r.Oldest) {
			r.Oldest = &stamp
		}
		if r.Newest == nil || stamp.After(*r.Newest) {
			r.Newest = &stamp
		}
	}
	r.sample(p, f)
}

// sample keeps the facts with the lowest ids, in any order of facts.
func (r *Result) sample(p Params, f judged) {
	key := keyOf(f.fact.ID)
	at := sort.Search(len(r.Samples), func(i int) bool { return r.Samples[i].key > key })
	if at >= p.Samples {
		return
	}
	// A pointer would keep the whole range it was read with.
	one := Sample{Fact: clipped(f.fact), Rules: f.verdict.Rules, Reason: p.Rules.Reason(f.fact, f.verdict, p.AsOf), key: idKey(strings.Clone(string(key)))}
	r.Samples = slices.Insert(r.Samples, at, one)
	r.Samples = r.Samples[:min(len(r.Samples), p.Samples)]
}

// clipped is a fact to show. The texts of a fact may have any length.
func clipped(c *fact.Candidate) fact.Candidate {
	shown := *c
	for _, text := range []*string{&shown.ID, &shown.Entity, &shown.Relation, &shown.Source, &shown.Tenant, &shown.Scope, &shown.Timestamp} {
		*text = clipText(*text)
	}
	shown.ValidUntil, shown.Quarantine = clipOptional(c.ValidUntil), clipOptional(c.Quarantine)
	if c.Override != nil {
		o := *c.Override
		o.ValidUntil, o.Reason, o.UpdatedAt, o.UpdatedBy = clipOptional(o.ValidUntil), clipOptional(o.Reason), clipText(o.UpdatedAt), clipOptional(o.UpdatedBy)
		shown.Override = &o
	}
	return shown.Clone()
}

func clipText(text string) string {
	if len(text) <= maxSampleText {
		return text
	}
	return job.ClipAt(text, maxSampleText)
}

func clipOptional(text *string) *string {
	if text == nil {
		return nil
	}
	clip := clipText(*text)
	return &clip
}

// group is where a fact counts. The groups with the lowest keys are kept, in any order of facts: a key that was dropped is
// higher than all that are kept, and never comes back, so no group is counted in part.
func (r *Result) group(c *fact.Candidate) *Group {
	key := GroupKey{Tenant: job.Clip(c.Tenant), Scope: job.Clip(c.Scope), Relation: job.Clip(c.Relation)}
	if g := r.Groups[key]; g != nil {
		return g
	}
	at, _ := slices.BinarySearchFunc(r.keys, key, GroupKey.compare)
	if at == maxGroups {
		return &r.Other
	}
	if len(r.keys) == maxGroups {
		last := r.keys[maxGroups-1]
		r.Other.merge(r.Groups[last])
		delete(r.Groups, last)
		r.keys = r.keys[:maxGroups-1]
	}
	key = GroupKey{strings.Clone(key.Tenant), strings.Clone(key.Scope), strings.Clone(key.Relation)}
	r.keys = slices.Insert(r.keys, at, key)
	g := &Group{}
	r.Groups[key] = g
	return g
}

func (g *Group) merge(other *Group) {
	g.Facts += other.Facts
	if g.ByRule == nil {
		g.ByRule = map[string]int64{}
	}
	for name, count := range other.ByRule {
		g.ByRule[name] += count
	}
}

func (g *Group) add(rules []string) {
	if g.ByRule == nil {
		g.ByRule = map[string]int64{}
	}
	g.Facts++
	for _, name := range rules {
		g.ByRule[name]++
	}
}
