package report

import (
	"cmp"
	"io"
	"math"
	"slices"
	"time"

	"decayctl/internal/fact"
	"decayctl/internal/job"
	"decayctl/internal/rule"
	"decayctl/internal/sweep"
)

// schemaVersion changes only if a field changes its meaning, and not for a new field.
const schemaVersion = 1

// document is the JSON of a run. A field without a value is null, never missing.
type document struct {
	SchemaVersion int                       `json:"schema_version"`
	JobID         *string                   `json:"job_id"`
	Source        string                    `json:"source"`
	Status        job.State                 `json:"status"`
	DryRun        bool                      `json:"dry_run"`
	Store         string                    `json:"store"`
	AsOf          *string                   `json:"as_of"`
	Rules         *ruleSet                  `json:"rules"`
	Fingerprint   *string                   `json:"fingerprint"`
	Plan          *string                   `json:"plan"`
	Stamp         *string                   `json:"stamp"`
	Scope         *string                   `json:"scope"`
	Tenant        *string                   `json:"tenant"`
	Examined      int64                     `json:"examined"`
	Scanned       int64                     `json:"scanned"`
	Decayed       int64                     `json:"decayed"`
	Reduced       int64                     `json:"reduced"`
	ByRule        map[string]int64          `json:"by_rule"`
	Skipped       map[rule.Protection]int64 `json:"skipped"`
	ByTenant      map[string]int64          `json:"by_tenant"`
	specified
	*preview
	Failed        []failure    `json:"failed"`
	FailedCount   int64        `json:"failed_count"`
	Restored      int64        `json:"restored"`
	LeftAlone     int64        `json:"left_alone"`
	BeforeImages  int64        `json:"before_images"`
	StopReason    *string      `json:"stop_reason"`
	Notes         []string     `json:"notes"`
	Warnings      []runWarning `json:"warnings"`
	History       *past        `json:"history"`
	Progress      *progress    `json:"progress"`
	Batches       int64        `json:"batches"`
	Retries       int64        `json:"retries"`
	LongestLockMS int64        `json:"longest_lock_ms"`
	Workers       []worker     `json:"workers"`
	EstimatedS    int64        `json:"estimated_s"`
	CreatedAt     *string      `json:"created_at"`
	StartedAt     *string      `json:"started_at"`
	CompletedAt   *string      `json:"completed_at"`
}

// preview is the fields that only a dry run has.
type preview struct {
	Oldest  *string  `json:"oldest"`
	Newest  *string  `json:"newest"`
	Groups  []group  `json:"groups"`
	Samples []sample `json:"samples"`

	WriteCost *writeCost `json:"write_cost"`
}

type ruleSet struct {
	TTL           *string       `json:"ttl"`
	MinConfidence *rule.Floor   `json:"min_confidence"`
	Policies      []shownPolicy `json:"policies"`
	Only          *string       `json:"only"`
}

func ruleSetOf(s rule.Set) *ruleSet {
	set := &ruleSet{MinConfidence: s.Floor, Policies: policyDocuments(s), Only: orNull(s.Only)}
	if s.TTL != nil {
		set.TTL = orNull(s.TTL.String())
	}
	return set
}

// specified is the counters of the node's specification, in addition to decayctl's own.
type specified struct {
	SweptAt       *string                `json:"swept_at"`
	Evaluated     int64                  `json:"facts_evaluated"`
	Retracted     int64                  `json:"facts_retracted"`
	FactsReduced  int64                  `json:"facts_reduced"`
	WouldRetract  int64                  `json:"dry_run_would_retract"`
	WouldReduce   int64                  `json:"dry_run_would_reduce"`
	Applied       []string               `json:"policies_applied"`
	WouldByPolicy map[string]wouldCounts `json:"dry_run_by_policy"`
}

type wouldCounts struct {
	WouldRetract int64 `json:"would_retract"`
	WouldReduce  int64 `json:"would_reduce"`
}

// specifiedOf counts as the specification does. A dry run counts what it would do as policies in mode dry_run do, and
// nothing as done.
func specifiedOf(j job.Job, dryRun bool) specified {
	c, would := j.Counts, j.Counts.WouldAll()
	s := specified{
		SweptAt: instant(j.AsOf), Evaluated: c.Examined, Retracted: c.Expired(), FactsReduced: c.Reduced,
		WouldRetract: would.Retract, WouldReduce: would.Reduce, Applied: []string{}, WouldByPolicy: map[string]wouldCounts{},
	}
	if dryRun {
		s.Retracted, s.FactsReduced = 0, 0
		s.WouldRetract += c.WouldExpire()
		s.WouldReduce += c.Reduced
	}
	for i := range j.Rules.Policies {
		p := &j.Rules.Policies[i]
		if p.Mode == rule.ModeDryRun {
			s.WouldByPolicy[p.ID] = wouldCounts{c.Would[p.ID].Retract, c.Would[p.ID].Reduce}
		}
		if c.ByRule[p.Name()] > 0 || c.Would[p.ID] != (job.Would{}) {
			s.Applied = append(s.Applied, p.ID)
		}
	}
	return s
}

type progress struct {
	Done  int64 `json:"done"`
	Total int64 `json:"total"`
}

type failure struct {
	FactID string `json:"fact_id"`
	Error  string `json:"error"`
}

type worker struct {
	Host     string  `json:"host"`
	PID      int     `json:"pid"`
	Live     bool    `json:"live"`
	LeaseS   int64   `json:"lease_s"`
	JoinedAt *string `json:"joined_at"`
}

type group struct {
	Tenant   string `json:"tenant"`
	Scope    string `json:"scope"`
	Relation string `json:"relation"`
	Rule     string `json:"rule"`
	Count    int64  `json:"count"`
}

type sample struct {
	FactID     string   `json:"fact_id"`
	Tenant     string   `json:"tenant"`
	Scope      string   `json:"scope"`
	Entity     string   `json:"entity"`
	Relation   string   `json:"relation"`
	Timestamp  string   `json:"timestamp"`
	ValidUntil *string  `json:"valid_until"`
	Confidence *float64 `json:"confidence"`
	Rules      []string `json:"rules"`
	Reason     string   `json:"reason"`
}

// The values of the key source.
const (
	sourceOwn  = "decayctl"
	sourceNode = "node"
)

// WriteJSON writes the run as one JSON document.
func (r Run) WriteJSON(w io.Writer) error {
	doc := documentOf(r.Target, r.job(), r.Notes)
	doc.Warnings, doc.History = warningsOf(r.Warnings()), pastOf(r.History)
	if r.Preview != nil {
		doc.specified = specifiedOf(r.job(), true)
		doc.DryRun, doc.Stamp = true, nil // a dry run writes no stamp
		doc.preview = &preview{
			Oldest: stamp(r.Preview.Oldest), Newest: stamp(r.Preview.Newest), Groups: r.groups(), Samples: r.samples(),
			WriteCost: writeCostOf(r.Cost),
		}
	}
	return write(w, doc)
}

func documentOf(target string, j job.Job, notes []string) document {
	c := j.Counts
	doc := document{
		SchemaVersion: schemaVersion,
		JobID:         orNull(j.ID),
		Source:        sourceOwn,
		Status:        j.State,
		Store:         target,
		AsOf:          instant(j.AsOf),
		Rules:         ruleSetOf(j.Rules),
		Fingerprint:   orNull(j.Rules.Fingerprint()),
		Plan:          orNull(j.Plan),
		Scope:         orNull(j.Scope),
		Tenant:        orNull(j.Tenant),
		Examined:      c.Examined,
		Scanned:       c.Selected,
		Decayed:       c.Decayed,
		Reduced:       c.Reduced,
		specified:     specifiedOf(j, false),
		ByRule:        map[string]int64{},
		Skipped:       map[rule.Protection]int64{rule.ChangedMeanwhile: c.Kept[rule.ChangedMeanwhile]},
		ByTenant:      map[string]int64{},
		Failed:        []failure{},
		FailedCount:   c.FailedCount,
		Restored:      c.Restored,
		LeftAlone:     c.LeftAlone,
		BeforeImages:  j.BeforeImages,
		StopReason:    orNull(j.StopReason),
		Notes:         append([]string{}, notes...),
		Warnings:      []runWarning{},
		Progress:      &progress{Done: c.Examined, Total: total(j)},
		Batches:       c.Batches,
		Retries:       c.Retries,
		LongestLockMS: c.LongestLock.Round(time.Millisecond).Milliseconds(),
		Workers:       []worker{},
		EstimatedS:    j.EstimatedS(),
		CreatedAt:     instant(j.Created),
		StartedAt:     instant(j.Started),
		CompletedAt:   instant(j.Completed),
	}
	if !j.Stamp.IsZero() {
		doc.Stamp = orNull(fact.FormatSecond(j.Stamp))
	}
	if j.Node { // what the node did not store is not known, which is not 0
		doc.Source, doc.AsOf, doc.Rules, doc.Fingerprint, doc.Stamp, doc.Progress = sourceNode, nil, nil, nil, nil, nil
	}
	for _, name := range j.Rules.Names() {
		doc.ByRule[name] = c.ByRule[name]
	}
	for _, p := range protections {
		doc.Skipped[p.name] = c.Kept[p.name]
	}
	for tenant, n := range c.Tenants {
		doc.ByTenant[string([]rune(tenant))] += n // names that differ in invalid bytes become the same key
	}
	for _, f := range c.Failed {
		doc.Failed = append(doc.Failed, failure(f))
	}
	for _, w := range j.Workers {
		doc.Workers = append(doc.Workers, worker{w.Host, w.PID, w.Live, int64(w.Left / time.Second), instant(w.Joined)})
	}
	return doc
}

// groups are the counts by group and rule, the largest first, and then the sum of the groups that were not kept.
func (r Run) groups() []group {
	groups := []group{}
	for key, g := range r.Preview.Groups {
		for name, count := range g.ByRule {
			groups = append(groups, group{key.Tenant, key.Scope, key.Relation, name, count})
		}
	}
	slices.SortFunc(groups, func(a, b group) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Tenant, b.Tenant),
			cmp.Compare(a.Scope, b.Scope), cmp.Compare(a.Relation, b.Relation), cmp.Compare(a.Rule, b.Rule))
	})
	for _, name := range r.Job.Rules.Names() {
		if count := r.Preview.Other.ByRule[name]; count > 0 {
			groups = append(groups, group{Relation: "other", Rule: name, Count: count})
		}
	}
	return groups
}

func (r Run) samples() []sample {
	samples := []sample{}
	for _, s := range r.Preview.Samples {
		samples = append(samples, sampleOf(s))
	}
	return samples
}

func sampleOf(s sweep.Sample) sample {
	confidence := s.Fact.EffectiveConfidence()
	return sample{
		FactID: s.Fact.ID, Tenant: s.Fact.Tenant, Scope: s.Fact.Scope,
		Entity: s.Fact.Entity, Relation: s.Fact.Relation,
		Timestamp: s.Fact.Timestamp, ValidUntil: s.Fact.EffectiveValidUntil(), Confidence: finite(&confidence),
		Rules: append([]string{}, s.Rules...), Reason: s.Reason,
	}
}

// finite is null for numbers that PostgreSQL can store and JSON cannot express.
func finite(n *float64) *float64 {
	if n == nil || math.IsNaN(*n) || math.IsInf(*n, 0) {
		return nil
	}
	return n
}
