// Package report says what a sweep did, or would do: one value, rendered as text for people and as
// JSON for programs, and a progress bar for the time between. It is made of values: it queries
// nothing and prints to writers it is handed.
//
// Much of what it prints was written by strangers. Every name, id, stamp and message from a store
// goes through Clean, or through the JSON writer's own escapes, so that none can steer a terminal.
package report

import (
	"time"

	"decayctl/internal/rule"
	"decayctl/internal/sweep"
)

// How a run can stand. These words are part of the JSON.
const (
	StatusDone   = "done"
	StatusFailed = "failed"
	StatusPaused = "paused" // interrupted; running again goes on
)

// Run is what one sweep or dry run was and did.
type Run struct {
	Target     string // the store, password masked
	Params     sweep.Params
	Result     *sweep.Result // never nil; partial where the run did not get to the end
	Status     string
	StopReason string // why it ended early; "" where it did not
	Started    time.Time
	Completed  time.Time // zero where the run is to go on
	Notes      []string  // what the operator should know about the store
	JobID      string    // "" for a run that is no job
}

// protections are all reasons for leaving a fact alone, in the order in which they are counted, with
// a few words for people.
var protections = []struct {
	name rule.Protection
	why  string
}{
	{rule.System, "names of the node itself"},
	{rule.Rel, "rel: relations never decay"},
	{rule.LegalHold, "entity under a legal hold"},
	{rule.QuarantinePending, "awaiting a moderator"},
	{rule.UnreadableTimestamp, "stamp that is no date"},
	{rule.UnreadableValidUntil, "expiry that is no date"},
}

// rules are the names of the rules that are on.
func (r Run) rules() []string {
	var names []string
	if r.Params.Rules.TTL != nil {
		names = append(names, rule.NameTTL)
	}
	if r.Params.Rules.Floor != nil {
		names = append(names, rule.NameFloor)
	}
	return names
}

// expired counts the facts that ByRule is about: a dry run's would expire.
func (r Run) expired() int64 {
	if r.Params.DryRun {
		return r.Result.Selected
	}
	return r.Result.Decayed
}

// total is the number of facts in the store. It is known only at the end: before, it is an estimate.
func (r Run) total() int64 {
	if r.Status == StatusDone {
		return r.Result.Examined
	}
	return max(r.Result.Total, r.Result.Examined)
}
