package report

import (
	"fmt"
	"strconv"
	"time"

	"github.com/dustin/go-humanize"

	"decayctl/internal/job"
	"decayctl/internal/rule"
)

// The codes of a run's warnings.
const (
	farAboveUsual = "far_above_usual"
	longGap       = "long_gap"
	fallingBehind = "falling_behind"
)

// expired is the number of facts that a sweep has expired, or a dry run would. As for --max-expire, facts that only lose
// confidence do not count.
func (r Run) expired() int64 {
	c := r.job().Counts
	if r.Preview != nil {
		return c.WouldExpire()
	}
	return c.Expired()
}

// Warnings say what is unusual about a run, compared with the last sweeps by the same rules. A sweep that is being undone
// has none, since the operator has reacted.
func (r Run) Warnings() (warnings []Warning) {
	h, n := r.History, r.expired()
	if r.Job.State == job.Undoing || r.Job.State == job.Undone {
		return nil
	}
	if h.FarAbove(n) {
		text := counted(n, "fact", "facts") + " expired"
		advice := "'" + Command("undo", r.Job) + "' takes the sweep back, and --max-expire refuses one like it"
		if r.Preview != nil {
			text = counted(n, "fact", "facts") + " would expire"
			advice = "Look at the groups before you sweep, and set --max-expire"
		}
		than := times(n, h.Median) + " times the usual number, " + humanize.Comma(h.Median)
		if h.Median == 0 {
			than = "usually none do"
		}
		warnings = append(warnings, Warning{Code: farAboveUsual, Text: text + ", " + than + ". " + advice})
	}
	if job.FallsBehind(r.Stopped) {
		warnings = append(warnings, behind(r.Stopped))
	}
	if h.LongGap() {
		advice := "A dry run shows what a sweep would expire, and --max-expire limits it"
		if r.Preview != nil {
			advice = "Look at these numbers before you sweep, and set --max-expire"
		}
		warnings = append(warnings, Warning{Code: longGap, Text: fmt.Sprintf(
			"%s passed since the last sweep by these rules; the usual interval is %s. After a restored backup or a long break much may expire at once. %s",
			betweenSweeps(h.Gap), betweenSweeps(h.Interval), advice)})
	}
	return warnings
}

// behind warns that time limits have stopped several sweeps in a row.
func behind(stopped int) Warning {
	return Warning{Code: fallingBehind, Text: fmt.Sprintf(
		"The last %d sweeps were stopped by --max-runtime before their end: facts become stale faster than sweeps take them away. Give --max-runtime more time, or raise --pace", stopped)}
}

// history compares a finished run with the last sweeps.
func (p *page) history(r Run) {
	h := r.History
	if !h.Known() || !r.job().Ended() {
		return
	}
	usual := fmt.Sprintf("%s expired, the median of the last %d sweeps by these rules", humanize.Comma(h.Median), h.Jobs)
	if n := r.expired(); n > 0 && h.Median > 0 {
		usual += "; this is " + times(n, h.Median) + " times that"
	}
	p.row("usual", usual)
	p.row("last sweep", second(h.Last)+", "+betweenSweeps(h.Gap)+" before; usually every "+betweenSweeps(h.Interval))
}

func (p *page) warnings(warnings []Warning) {
	for _, w := range warnings {
		of := ""
		if w.Policy != "" {
			of = "policy " + short(w.Policy) + ": "
		}
		p.WriteString(p.alert("warning:") + " " + of + Clean(w.Text) + "\n")
	}
}

// usualTile is a tile with the usual number; nil if it is not known or the run has not ended.
func usualTile(r Run) []tile {
	h, n := r.History, r.expired()
	if !h.Known() || !r.job().Ended() {
		return nil
	}
	t := tile{Value: humanize.Comma(h.Median), Label: "is usual", Detail: fmt.Sprintf("the median of the last %d sweeps", h.Jobs)}
	if n > 0 && h.Median > 0 {
		t.Detail += "; this is " + times(n, h.Median) + " times that"
	}
	if h.FarAbove(n) {
		t.Class = string(toneCare)
	}
	return []tile{t}
}

// historySection shows the comparison of a finished run with the last sweeps.
func historySection(r Run) section {
	s := section{ID: "history", Title: "Compared with the last sweeps"}
	h := r.History
	if !h.Known() || !r.job().Ended() {
		return s
	}
	t := grid{Caption: fmt.Sprintf("The last %d sweeps by the same rules, of the same scope and tenant", h.Jobs), Columns: columns("what", "usual#", "this one#")}
	ratio := ""
	if n := r.expired(); n > 0 && h.Median > 0 {
		ratio = " (" + times(n, h.Median) + " times)"
	}
	t.Rows = [][]cell{
		{plain("facts that expire"), number(h.Median), {Text: humanize.Comma(r.expired()) + ratio, Number: true}},
		{plain("time since the sweep before"), {Text: betweenSweeps(h.Interval), Number: true}, {Text: betweenSweeps(h.Gap), Number: true}},
	}
	s.Tables = []grid{t}
	s.Intro = words("The last one ended at " + second(h.Last) + ". Usual is the median.")
	return s
}

// proseOf are warnings with the names in them set apart.
func proseOf(warnings []Warning) (all []prose) {
	for _, w := range warnings {
		if w.Policy == "" {
			all = append(all, words(Clean(w.Text)))
		} else {
			all = append(all, words("Policy ").name(w.Policy).then(": "+Clean(w.Text)))
		}
	}
	return all
}

// times is a ratio for people.
func times(n, of int64) string {
	ratio := float64(n) / float64(of)
	if ratio < 10 {
		return strconv.FormatFloat(ratio, 'f', 1, 64)
	}
	return humanize.Comma(int64(ratio))
}

// betweenSweeps is a time between sweeps, rounded so that a nightly sweep is one per day.
func betweenSweeps(d time.Duration) string {
	unit := time.Second
	for _, u := range []time.Duration{time.Minute, time.Hour, 24 * time.Hour} {
		if d >= 2*u {
			unit = u
		}
	}
	return rule.TTL(d.Round(unit) / time.Second).String()
}

// past is the JSON of a history.
type past struct {
	Jobs      int     `json:"jobs"`
	Median    *int64  `json:"median_expired"`
	LastEnded *string `json:"last_ended_at"`
	IntervalS *int64  `json:"usual_interval_s"`
	GapS      *int64  `json:"gap_s"`
}

func pastOf(h job.History) *past {
	if h.Jobs == 0 {
		return nil
	}
	gap := int64(h.Gap / time.Second)
	doc := &past{Jobs: h.Jobs, LastEnded: instant(h.Last), GapS: &gap}
	if h.Known() {
		interval := int64(h.Interval / time.Second)
		doc.Median, doc.IntervalS = &h.Median, &interval
	}
	return doc
}

type runWarning struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

func warningsOf(all []Warning) []runWarning {
	documents := []runWarning{}
	for _, w := range all {
		documents = append(documents, runWarning{w.Code, w.Text})
	}
	return documents
}
