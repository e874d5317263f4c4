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

// schemaVersion changes only when a field changes its meaning. New fields do not change it.
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
	Stamp         *string                   `json:"stamp"`
	Scope         *string                   `json:"scope"`
	Tenant        *string                   `json:"tenant"`
	Examined      int64                     `json:"examined"`
	Scanned       int64                     `json:"scanned"`
	Decayed       int64                     `json:"decayed"`
	ByRule        map[string]int64          `json:"by_rule"`
	Skipped       map[rule.Protection]int64 `json:"skipped"`
	ByTenant      map[string]int64          `json:"by_tenant"`
	*preview
	Failed        []failure `json:"failed"`
	FailedCount   int64     `json:"failed_count"`
	Restored      int64     `json:"restored"`
	LeftAlone     int64     `json:"left_alone"`
	BeforeImages  int64     `json:"before_images"`
	StopReason    *string   `json:"stop_reason"`
	Notes         []string  `json:"notes"`
	Progress      *progress `json:"progress"`
	Batches       int64     `json:"batches"`
	Retries       int64     `json:"retries"`
	LongestLockMS int64     `json:"longest_lock_ms"`
	Workers       []worker  `json:"workers"`
	EstimatedS    int64     `json:"estimated_s"`
	CreatedAt     *string   `json:"created_at"`
	StartedAt     *string   `json:"started_at"`
	CompletedAt   *string   `json:"completed_at"`
}

// preview is what only a dry run has.
type preview struct {
	Oldest  *string  `json:"oldest"`
	Newest  *string  `json:"newest"`
	Groups  []group  `json:"groups"`
	Samples []sample `json:"samples"`
}

type ruleSet struct {
	TTL           *string     `json:"ttl"`
	MinConfidence *rule.Floor `json:"min_confidence"`
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

// The words of the key source.
const (
	sourceOwn  = "decayctl"
	sourceNode = "node"
)

// WriteJSON writes the run as one JSON document.
func (r Run) WriteJSON(w io.Writer) error {
	doc := documentOf(r.Target, r.job(), r.Notes)
	if r.Preview != nil {
		doc.DryRun, doc.Stamp = true, nil // it writes nothing that a stamp could mark
		doc.preview = &preview{
			Oldest: instant(r.Preview.Oldest), Newest: instant(r.Preview.Newest), Groups: r.groups(), Samples: r.samples(),
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
		Rules:         &ruleSet{MinConfidence: j.Rules.Floor},
		Fingerprint:   orNull(j.Rules.Fingerprint()),
		Scope:         orNull(j.Scope),
		Tenant:        orNull(j.Tenant),
		Examined:      c.Examined,
		Scanned:       c.Selected,
		Decayed:       c.Decayed,
		ByRule:        map[string]int64{},
		Skipped:       map[rule.Protection]int64{job.ChangedMeanwhile: c.Kept[job.ChangedMeanwhile]},
		ByTenant:      map[string]int64{},
		Failed:        []failure{},
		FailedCount:   c.FailedCount,
		Restored:      c.Restored,
		LeftAlone:     c.LeftAlone,
		BeforeImages:  j.BeforeImages,
		StopReason:    orNull(j.StopReason),
		Notes:         append([]string{}, notes...),
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
	if ttl := j.Rules.TTL; ttl != nil {
		doc.Rules.TTL = orNull(ttl.String())
	}
	if !j.Stamp.IsZero() {
		doc.Stamp = orNull(fact.FormatSecond(j.Stamp))
	}
	if j.Node { // what it did not write down is not known, and not nothing
		doc.Source, doc.AsOf, doc.Rules, doc.Fingerprint, doc.Stamp, doc.Progress = sourceNode, nil, nil, nil, nil, nil
	}
	for _, name := range ruleNames(j.Rules) {
		doc.ByRule[name] = c.ByRule[name]
	}
	for _, p := range protections {
		doc.Skipped[p.name] = c.Kept[p.name]
	}
	for tenant, n := range c.Tenants {
		doc.ByTenant[string([]rune(tenant))] += n // bytes that are not UTF-8 must not make the same key twice
	}
	for _, f := range c.Failed {
		doc.Failed = append(doc.Failed, failure(f))
	}
	for _, w := range j.Workers {
		doc.Workers = append(doc.Workers, worker{w.Host, w.PID, w.Live, int64(w.Left / time.Second), instant(w.Joined)})
	}
	return doc
}

// groups are the counts by group and rule, the largest first; then what no group was kept for.
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
	for _, name := range ruleNames(r.Job.Rules) {
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

// finite is null for the numbers that PostgreSQL can store and JSON cannot write.
func finite(n *float64) *float64 {
	if n == nil || math.IsNaN(*n) || math.IsInf(*n, 0) {
		return nil
	}
	return n
}
