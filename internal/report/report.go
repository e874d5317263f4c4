// Package report says what a sweep did, or would do, and how jobs stand: values, rendered as text for
// people and as JSON for programs, and a progress bar for the time between. It is made of values: it
// queries nothing and prints to writers it is handed.
//
// Much of what it prints was written by strangers. Every name, id, stamp and message from a store
// goes through Clean, or through the JSON writer's own escapes, so that none can steer a terminal.
package report

import (
	"strings"
	"time"

	"decayctl/internal/job"
	"decayctl/internal/rule"
	"decayctl/internal/stats"
	"decayctl/internal/sweep"
)

// Run is a job, or the dry run of one, to be shown.
type Run struct {
	Target  string            // the store, password masked
	Job     job.Job           // a dry run's is made up from its parameters, without an id; it is done
	Preview *sweep.Result     // what a dry run found; nil for a job
	Stats   *stats.Statistics // of a dry run, for its pictures; nil is none
	History job.History       // of the last sweeps by the same rules
	Notes   []string          // what the operator should know about the store
	Saved   string            // the file that a dry run was saved to as a plan; "" is none
	Now     time.Time         // for ages; zero leaves them out, as at the end of a sweep
	Made    Made              // for the end of a page
}

// job is the job with all there is to tell of it: what a dry run counted stands in its preview.
func (r Run) job() job.Job {
	j := r.Job
	if r.Preview != nil {
		j.Counts, j.Total = r.Preview.Counts, max(j.Total, r.Preview.Total)
		if j.Created.IsZero() {
			j.Created = j.Started
		}
	}
	return j
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
	{rule.Exempt, "exempt by its policy"},
	{rule.KeptAsNewest, "among the newest, which keep_last keeps"},
}

// total is the number of facts in the store. It is known only at the end: before, it is an estimate.
func total(j job.Job) int64 {
	if j.Ended() {
		return j.Counts.Examined
	}
	return max(j.Total, j.Counts.Examined)
}

// percent is how far a job has come, or how far the undo of one. Only what has ended has 100.
func percent(j job.Job) int {
	n, of := j.Counts.Examined, total(j)
	switch {
	case j.Ended(), j.State == job.Undone:
		return 100
	case j.State == job.Undoing:
		n, of = j.Counts.Restored, j.Counts.Decayed
	}
	if of <= 0 {
		return 0
	}
	return max(0, min(99, int(float64(n)/float64(of)*100)))
}

// dead tells whether all who worked on a job have left it behind. Who works on a job of the node's
// nobody can tell.
func dead(j job.Job) bool { return !j.Node && j.Dead() }

const shownID = 8 // characters of a job's id that tell it from others

// ShortID is the beginning of a job's id, as commands take it.
func ShortID(id string) string {
	if runes := []rune(id); len(runes) > shownID {
		id = string(runes[:shownID])
	}
	return Clean(id)
}

// Command is what to type to do something with a job. An id that a shell would make something else of
// is not in it: the line is there to be copied, and the id comes from the store.
func Command(verb string, j job.Job) string {
	id := ShortID(j.ID)
	if !Typable(id) {
		id = "ID"
	}
	return "decayctl jobs " + verb + " " + id
}

// Typable tells whether a text from a store means the same to a shell: it is one word, no flag, and nothing that a shell would run.
func Typable(text string) bool {
	plain := func(c rune) bool {
		return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || strings.ContainsRune("-_.:/@+", c)
	}
	return text != "" && text[0] != '-' && !strings.ContainsFunc(text, func(c rune) bool { return !plain(c) })
}

// fileArgument is a file's name as a command line takes it. One that a shell would make something else of is not shown.
func fileArgument(name string) string {
	if Typable(name) {
		return name
	}
	return "FILE"
}

// age is how long ago an instant was, in its largest unit; "" where either is not known.
func age(now, then time.Time) string {
	if now.IsZero() || then.IsZero() {
		return ""
	}
	return rule.TTL(max(0, now.Sub(then)) / time.Second).Round().String()
}
