package report

import (
	"strconv"

	"github.com/dustin/go-humanize"

	"decayctl/internal/job"
)

// jobSection shows state, times and counts of the job's work.
func jobSection(r Run) section {
	j := r.job()
	t := grid{Caption: "The job", Repeats: true, Columns: columns("what", "value")}
	row := func(label, value string) { t.Rows = append(t.Rows, []cell{plain(label), plain(value)}) }
	if r.Preview == nil {
		t.Rows = append(t.Rows, []cell{plain("job"), name(j.ID)})
		row("state", Clean(string(j.State)))
		if !j.Node || j.Ended() {
			row("progress", strconv.Itoa(percent(j))+"%")
		}
		if j.StopReason != "" {
			t.Rows = append(t.Rows, []cell{plain("reason"), name(j.StopReason)})
		}
	}
	if !j.Started.IsZero() && r.Preview == nil {
		row("started", second(j.Started))
	}
	if !j.Completed.IsZero() {
		if r.Preview == nil {
			row("ended", second(j.Completed))
		}
		if j.State == job.Done || j.State == job.Failed {
			row("took", brief(j.Completed.Sub(j.Started)))
		}
	}
	if c := j.Counts; c.Batches > 0 {
		row("batches", humanize.Comma(c.Batches))
		row("longest write lock", brief(c.LongestLock))
		row("retries", humanize.Comma(c.Retries))
	}
	for _, w := range j.Workers {
		lease := "dead"
		if w.Live {
			lease = "lease " + brief(w.Left) + " left"
		}
		t.Rows = append(t.Rows, []cell{plain("worker"), name("process " + strconv.Itoa(w.PID) + " on " + w.Host + ": " + lease)})
	}
	s := section{ID: "job", Title: "The job", Folded: true, Tables: []grid{t}, Commands: commandsOf(r)}
	if r.Preview != nil {
		s.ID, s.Title, s.Tables[0].Caption = "work", "The work", "The work"
	}
	return s
}

// failureSection lists the facts that the database refused.
func failureSection(j job.Job) section {
	c := j.Counts
	s := section{ID: "failures", Title: "Could not be written"}
	if c.FailedCount == 0 {
		return s
	}
	t := grid{Caption: "Facts that the database refused", Columns: columns("fact", "what the database says")}
	shown := c.Failed[:min(pageFailed, len(c.Failed))]
	for _, f := range shown {
		t.Rows = append(t.Rows, []cell{name(f.FactID), name(f.Error)})
	}
	t.More = moreRows(int(c.FailedCount)-len(shown), "facts")
	s.Tables = []grid{t}
	return s
}
