package sweep

import (
	"slices"
	"sort"
	"strings"
	"time"

	"decayctl/internal/bounded"
	"decayctl/internal/fact"
	"decayctl/internal/job"
)

// Result is what a sweep would do, as a dry run counts it.
type Result struct {
	job.Counts       // Decayed is 0, and ByRule is about the facts selected
	Total      int64 // facts in the store, an estimate
	Live       int64 // facts not expired by now; counted for a limit in percent only

	Groups  map[job.GroupKey]*Group // selected facts; a bounded number of keys
	Other   Group                   // selected facts beyond those keys
	Oldest  *time.Time              // earliest readable stamp among the selected facts; nil where none has one
	Newest  *time.Time
	Samples []Sample

	groups bounded.Map[job.GroupKey, Group] // counts into Groups and Other
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

func newResult(total int64) *Result {
	r := &Result{Total: total, Groups: map[job.GroupKey]*Group{}, Other: newGroup()}
	r.groups = bounded.Map[job.GroupKey, Group]{
		Most: maxGroups, Compare: job.GroupKey.Compare, Values: r.Groups, Others: &r.Other, Clone: job.GroupKey.Clone,
		New: func() *Group { g := newGroup(); return &g },
		Move: func(from, to *Group) *Group {
			to.Facts += from.Facts
			for name, count := range from.ByRule {
				to.ByRule[name] += count
			}
			from.Facts = 0
			clear(from.ByRule)
			return from
		},
	}
	return r
}

func newGroup() Group { return Group{ByRule: map[string]int64{}} }

// add counts one fact that was judged.
func (r *Result) add(p Params, f judged) {
	r.AddFact(f.fact.Tenant, f.verdict, job.Planned)
	if !f.verdict.Acts() {
		return
	}
	group := r.groups.At(job.GroupKeyOf(f.fact))
	group.Facts++
	for _, name := range f.verdict.Rules {
		group.ByRule[name]++
	}
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
