// Package job says what a job is: its states and the transitions between them, its workers, how far it has come and what it
// counted. It does no I/O and has no clock. Stores keep jobs, and package sweep works on them.
package job

import (
	"encoding/json"
	"strings"
	"time"

	"decayctl/internal/fact"
	"decayctl/internal/rule"
)

// DefaultTenant is the tenant of a node's facts unless the node has several tenants, and of the rows in the node's jobs table.
const DefaultTenant = "default"

// Job is one sweep as its store keeps it. Times are zero unless they are said to be set.
type Job struct {
	ID    string // a UUIDv4, as the node gives its own jobs
	Node  bool   // made by the node: no rules, no as-of, no workers, and of the counts only Selected and Decayed
	State State

	Rules  rule.Set
	AsOf   time.Time // the instant it judges by, in microseconds
	Stamp  time.Time // updated_at of the overrides it writes, in whole seconds; no other job has it
	Scope  string    // "" is every scope
	Tenant string    // "" is every tenant

	MaxExpire *rule.Limit // to be checked before the first write; nil if there is no limit, or after it was checked
	Plan      string      // the digest of the plan that it applies; "" is none
	Total     int64       // facts in the store when the job was made, an estimate
	Counts    Counts      // of what is committed, exactly

	End          bool   // no fact is left to claim
	OpenClaims   int    // ranges that are claimed and not finished
	UndoneUpTo   string // the last fact id that an undo has handled
	UndoneAny    bool   // UndoneUpTo is set
	BeforeImages int64  // rows kept for an undo; only Find fills it

	Created    time.Time
	Started    time.Time // when the first worker joined; zero before
	Completed  time.Time // zero unless Finished
	Updated    time.Time // of the last batch, or the last change of state
	StopReason string    // why it stopped, or waits; "" if it did not
	Workers    []Worker  // processes that work on it, by number
}

// Owner is a process that works on a job.
type Owner struct {
	Host         string
	PIDNamespace string // tells apart containers that share a host's name; "" if the system has no namespaces
	PID          int
	Start        string // when the process started, as the system says it; a later process with the same PID has another
}

// Worker is a process that works on a job, under a lease.
type Worker struct {
	Number int
	Owner
	Joined time.Time
	Live   bool          // the lease has not ended
	Left   time.Duration // until the lease ends; below 0 after its end
}

// Change is what a job did to one fact, and what an undo needs to restore it.
type Change struct {
	FactID     string
	After      fact.Override  // as the job wrote it, and as it still is
	Before     *fact.Override // nil if there was no override
	Edge       *fact.Edge     // the edge before, if it differed from what the node makes of the fact; else nil
	Retraction string         // id of the row the job put into the retraction log; "" is none
}

// Text is the length in bytes of the text that the change holds, but for the stamps of edge and fact.
func (c Change) Text() int {
	return len(c.FactID) + c.After.Text() + c.Before.Text() + len(c.Retraction)
}

// SetsConfidence tells whether the job wrote a confidence, which the edge got too. rules are the job's.
func (c Change) SetsConfidence(rules rule.Set) bool {
	p := rules.Policy(PolicyOf(c.After))
	return p != nil && p.Mode != rule.ModeExpire
}

// Rule is the name of the rule that made the change. A policy leaves its id as the override's reason. Of the other two
// rules only the floor leaves a row in the retraction log, even if both selected the fact.
func (c Change) Rule() string {
	if id := PolicyOf(c.After); id != "" {
		return rule.NamePolicy + id
	}
	if c.Retraction != "" {
		return rule.NameFloor
	}
	return rule.NameTTL
}

// What decayctl writes as the reason of an override: the node's own word for a sweep, or the word of the node's specification
// followed by the policy's id.
const (
	Reason       = "decay_sweep"
	PolicyReason = "decay_policy:"
)

// PolicyOf is the id of the policy that an override names as its reason, or "".
func PolicyOf(o fact.Override) string {
	if o.Reason == nil {
		return ""
	}
	id, named := strings.CutPrefix(*o.Reason, PolicyReason)
	if !named {
		return ""
	}
	return id
}

// Tag marks the rows that a job adds to the retraction log: their ids end with it. It is the last group of the job's id, 48
// random bits as 12 hex digits.
func (j Job) Tag() string { return j.ID[max(0, len(j.ID)-12):] }

// EstimatedS is how long the job takes by the node's own formula, in seconds.
func (j Job) EstimatedS() int64 { return max(60, j.Total/1000) }

// Live tells whether a worker has a lease that has not ended.
func (j Job) Live() bool {
	for _, w := range j.Workers {
		if w.Live {
			return true
		}
	}
	return false
}

// Dead tells whether the job should have workers, but no lease of a worker lasts.
func (j Job) Dead() bool { return j.State.Worked() && !j.Live() }

// Overlaps tells whether two jobs may change the same fact.
func (j Job) Overlaps(other Job) bool {
	return (j.Scope == "" || other.Scope == "" || j.Scope == other.Scope) &&
		(j.Tenant == "" || other.Tenant == "" || j.Tenant == other.Tenant)
}

// Covers tells whether j looks at every fact that other looks at, by scope and tenant.
func (j Job) Covers(other Job) bool {
	return (j.Scope == "" || j.Scope == other.Scope) && (j.Tenant == "" || j.Tenant == other.Tenant)
}

// Public is the JSON object that the node merges into its answer at GET /v1/decay/jobs/{id}. It must have no key of the node's
// own row, since it would replace that: job_id, status, scope, estimated_s, created_at, started_at, completed_at, error.
func (j Job) Public() string {
	document := map[string]any{
		"tool": "decayctl", "state": j.State, "dry_run": false,
		"scanned": j.Counts.Selected, "decayed": j.Counts.Decayed, "reduced": j.Counts.Reduced,
		"examined": j.Counts.Examined, "total": max(j.Total, j.Counts.Examined),
		"by_rule": orEmpty(j.Counts.ByRule), "skipped": orEmpty(j.Counts.Kept), "failed_count": j.Counts.FailedCount,
		"rules": j.Rules.String(), "as_of": fact.FormatInstant(j.AsOf),
	}
	if j.Tenant != "" {
		document["tenant"] = j.Tenant
	}
	if j.StopReason != "" {
		document["stop_reason"] = j.StopReason
	}
	if j.State == Undoing || j.State == Undone {
		document["restored"], document["left_alone"] = j.Counts.Restored, j.Counts.LeftAlone
	}
	text, err := json.Marshal(document)
	if err != nil {
		return `{}` // not reached: there is nothing in it that JSON cannot write
	}
	return string(text)
}

func orEmpty[K ~string](m map[K]int64) map[K]int64 {
	if m == nil {
		return map[K]int64{}
	}
	return m
}
