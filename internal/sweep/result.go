package sweep

import (
	"time"
	"unicode/utf8"

	"decayctl/internal/fact"
	"decayctl/internal/rule"
)

// ChangedMeanwhile counts the facts that changed between being read and being written. It stands
// beside the protections of package rule.
const ChangedMeanwhile rule.Protection = "changed_meanwhile"

// Result is what a sweep did, or would do.
type Result struct {
	Total    int64                     // facts in the store, an estimate
	Examined int64                     // facts passed over, whatever their scope and state
	Selected int64                     // facts the rules select and no protection keeps
	Decayed  int64                     // facts expired; 0 in a dry run
	ByRule   map[string]int64          // facts expired, or selected in a dry run, under each rule that is on
	Kept     map[rule.Protection]int64 // facts left alone although a rule would select them
	Live     int64                     // facts not expired at as-of; counted for a limit in percent only

	Groups  map[GroupKey]*Group // selected facts; a bounded number of keys
	Other   Group               // selected facts beyond those keys
	Tenants map[string]*Group   // selected facts by tenant, in a bound of their own
	Oldest  time.Time           // earliest readable stamp among the selected facts
	Newest  time.Time
	Samples []Sample

	Failed      []Failure // the first of them
	FailedCount int64

	Batches     int           // transactions committed
	LongestLock time.Duration // the longest of them
	Retries     int           // transactions repeated after a deadlock or a serialization failure
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

// Failure is a fact the database refused.
type Failure struct {
	FactID string
	Error  string
}

const (
	maxGroups   = 1000 // keys; relation names are hostile text, and there may be a million of them
	maxRelation = 200  // bytes of a relation name in a key
)

func newResult(p Params, total int64) *Result {
	r := &Result{Total: total, ByRule: map[string]int64{}, Kept: map[rule.Protection]int64{}, Groups: map[GroupKey]*Group{}, Tenants: map[string]*Group{}}
	if p.Rules.TTL != nil {
		r.ByRule[rule.NameTTL] = 0
	}
	if p.Rules.Floor != nil {
		r.ByRule[rule.NameFloor] = 0
	}
	return r
}

// passed counts a range that is done. The facts to count or to write were examined one by one
// before; the others, which the store left out or no rule concerns, are known by number only.
func (r *Result) passed(done judgedRange) {
	r.Examined += int64(done.Facts - len(done.facts))
	r.Live += done.live
}

// judged counts a fact of a dry run.
func (r *Result) judged(p Params, f judgedFact) {
	r.Examined++
	if f.Action == rule.Keep {
		r.Kept[f.Kept]++
		return
	}
	r.selected(p, f)
	r.count(f.Rules)
}

// written counts a fact of a batch that is committed.
func (r *Result) written(p Params, f judgedFact, changed bool) {
	r.Examined++
	switch {
	case f.Action == rule.Keep:
		r.Kept[f.Kept]++
	case changed:
		r.selected(p, f)
		r.Kept[ChangedMeanwhile]++
	default:
		r.selected(p, f)
		r.Decayed++
		r.count(f.Rules)
	}
}

func (r *Result) fail(p Params, f judgedFact, cause error) {
	r.Examined++
	if f.Action == rule.Keep {
		r.Kept[f.Kept]++
		return
	}
	r.selected(p, f)
	r.FailedCount++
	if len(r.Failed) < maxFailed {
		r.Failed = append(r.Failed, Failure{FactID: f.ID, Error: cause.Error()})
	}
}

func (r *Result) count(rules []string) {
	for _, name := range rules {
		r.ByRule[name]++
	}
}

// selected counts a fact among those the rules select: its group, its stamp, maybe as a sample.
func (r *Result) selected(p Params, f judgedFact) {
	r.Selected++
	r.group(f).add(f.Rules)
	r.tenant(f).add(f.Rules)
	if stamp, err := fact.ParseInstant(f.Timestamp); err == nil {
		if r.Oldest.IsZero() || stamp.Before(r.Oldest) {
			r.Oldest = stamp
		}
		if stamp.After(r.Newest) {
			r.Newest = stamp
		}
	}
	if len(r.Samples) < p.Samples {
		// A copy: a pointer would keep the whole range it was read with.
		r.Samples = append(r.Samples, Sample{Fact: *f.Candidate, Rules: f.Rules, Reason: p.Rules.Reason(f.Candidate, f.Verdict, p.AsOf)})
	}
}

func (r *Result) group(f judgedFact) *Group {
	key := GroupKey{Tenant: clip(f.Tenant), Scope: f.Scope, Relation: clip(f.Relation)}
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

// OtherTenants is the key of the facts whose tenants are too many to count one by one.
const OtherTenants = "(other tenants)"

func (r *Result) tenant(f judgedFact) *Group {
	name := clip(f.Tenant)
	if r.Tenants[name] == nil && len(r.Tenants) >= maxGroups {
		name = OtherTenants
	}
	if r.Tenants[name] == nil {
		r.Tenants[name] = &Group{}
	}
	return r.Tenants[name]
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

// clip bounds a name's length, at a whole character.
func clip(name string) string {
	if len(name) <= maxRelation {
		return name
	}
	end := maxRelation
	for end > maxRelation-utf8.UTFMax && !utf8.RuneStart(name[end]) {
		end--
	}
	return name[:end] + "…"
}
