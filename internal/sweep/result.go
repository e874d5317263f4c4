package sweep

import (
	"slices"
	"sort"
	"time"

	"decayctl/internal/fact"
	"decayctl/internal/job"
)

// Result is what a sweep would do.
type Result struct {
	job.Counts       // Decayed is 0, and ByRule is about the facts selected
	Total      int64 // facts in the store, an estimate
	Live       int64 // facts not expired at as-of; counted for a limit in percent only

	Groups  map[GroupKey]*Group // selected facts; a bounded number of keys
	Other   Group               // selected facts beyond those keys
	Oldest  time.Time           // earliest readable stamp among the selected facts
	Newest  time.Time
	Samples []Sample
}

// GroupKey is what selected facts are counted by.
type GroupKey struct{ Tenant, Scope, Relation string }

// Group counts facts of one key. A fact that two rules select is one fact, and counts under both.
type Group struct {
	Facts  int64
	ByRule map[string]int64
}

// Sample is one selected fact, and why.
type Sample struct {
	Fact   fact.Candidate
	Rules  []string
	Reason string
}

const maxGroups = 1000 // keys; relation names are hostile text, and there may be a million of them

func newResult(total int64) *Result { return &Result{Total: total, Groups: map[GroupKey]*Group{}} }

// passed counts a range that is done. The facts that a rule concerns were examined one by one before;
// the others, which the store left out or no rule concerns, are known by number only.
func (r *Result) passed(done judgedRange) {
	r.Examined += int64(done.Facts - len(done.facts))
	r.Live += done.live
}

// judged counts one fact of a range.
func (r *Result) judged(p Params, f judgedFact) {
	r.Examined++
	f.addKept(&r.Counts)
	if !f.Acts() {
		return
	}
	if f.Reduces() {
		r.AddReduced(f.Expires())
	}
	r.Selected++
	r.AddRules(f.Rules)
	r.AddTenant(f.Tenant, 1)
	r.group(f).add(f.Rules)
	if stamp, err := fact.ParseInstant(f.Timestamp); err == nil {
		if r.Oldest.IsZero() || stamp.Before(r.Oldest) {
			r.Oldest = stamp
		}
		if stamp.After(r.Newest) {
			r.Newest = stamp
		}
	}
	r.sample(p, f)
}

// sample keeps the facts with the lowest ids, in whatever order they come.
func (r *Result) sample(p Params, f judgedFact) {
	at := sort.Search(len(r.Samples), func(i int) bool { return r.Samples[i].Fact.ID > f.ID })
	if at >= p.Samples {
		return
	}
	// A copy: a pointer would keep the whole range it was read with.
	one := Sample{Fact: *f.Candidate, Rules: f.Rules, Reason: p.Rules.Reason(f.Candidate, f.Verdict, p.AsOf)}
	r.Samples = slices.Insert(r.Samples, at, one)
	r.Samples = r.Samples[:min(len(r.Samples), p.Samples)]
}

func (r *Result) group(f judgedFact) *Group {
	key := GroupKey{Tenant: job.Clip(f.Tenant), Scope: f.Scope, Relation: job.Clip(f.Relation)}
	g := r.Groups[key]
	switch {
	case g != nil:
		return g
	case len(r.Groups) == maxGroups:
		return &r.Other
	}
	g = &Group{}
	r.Groups[key] = g
	return g
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
