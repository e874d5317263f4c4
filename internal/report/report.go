// Package report renders jobs and results: as text and pages for people, as JSON and CSV for programs, and as a
// progress bar. It gets values, reads nothing from a store, and writes to the writers that it is given.
//
// Names, ids, stamps and messages from a store are hostile text. All of them go through Clean, or through the escapes
// of JSON, so that none can control a terminal.
package report

import (
	"strings"
	"time"

	"decayctl/internal/job"
	"decayctl/internal/rule"
	"decayctl/internal/stats"
	"decayctl/internal/store"
	"decayctl/internal/sweep"
)

// Run is a job or a dry run, with what a report shows of it.
type Run struct {
	Target  string            // the store, password masked
	Job     job.Job           // for a dry run, a job without an id that is done
	Preview *sweep.Result     // the result of a dry run; nil for a job
	Cost    *store.WriteCost  // of the sweep that a dry run rehearses; nil if it is small, or not known
	Stats   *stats.Statistics // of a dry run, for its pictures; nil is none
	History job.History       // of the last sweeps by the same rules
	Stopped int               // newest sweeps in a row that a time limit stopped, this one included
	Notes   []string          // what the operator should know about the store
	Saved   string            // the file that a dry run was saved to as a plan; "" is none
	Now     time.Time         // for ages; zero is without ages, as at the end of a sweep
	Made    Made              // for the end of a page
}

// job is the job with its counts. Those of a dry run are in its preview.
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

// protections are the protections in the order of reports, with words for people.
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

// total is the number of facts in the store. It is an estimate until the run has ended.
func total(j job.Job) int64 {
	if j.Ended() {
		return j.Counts.Examined
	}
	return max(j.Total, j.Counts.Examined)
}

// percent is the progress of a job or of its undo. It is 100 only at the end.
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

// dead tells whether all workers of a job are dead. The workers of a job of the node are not known.
func dead(j job.Job) bool { return !j.Node && j.Dead() }

const shownID = 8 // characters of a job's id, which mostly name one job

// ShortID is the beginning of a job's id, which commands accept.
func ShortID(id string) string {
	if runes := []rune(id); len(runes) > shownID {
		id = string(runes[:shownID])
	}
	return Clean(id)
}

// Command is the command line to do something with a job, for copying. It leaves out an id that a shell would change,
// since the id comes from the store.
func Command(verb string, j job.Job) string {
	id := ShortID(j.ID)
	if !Typable(id) {
		id = "ID"
	}
	return "decayctl jobs " + verb + " " + id
}

// Typable tells whether a shell takes a text from a store as it is: as one word that is not a flag and runs nothing.
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

// age is how long ago an instant was, in its largest unit; "" if an instant is not known.
func age(now, then time.Time) string {
	if now.IsZero() || then.IsZero() {
		return ""
	}
	return rule.TTL(max(0, now.Sub(then)) / time.Second).Round().String()
}
