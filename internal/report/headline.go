package report

import (
	"decayctl/internal/job"
)

// headline is the state of the job in one or two lines, with what the operator can do.
func (p *page) headline(r Run) {
	first, second := headline(r)
	p.WriteString(p.bold(first) + "\n")
	if second != "" {
		p.WriteString(second + "\n")
	}
	p.WriteString("\n")
}

func headline(r Run) (first, second string) {
	j, target := r.job(), Clean(r.Target)
	nothing := j.Counts.Selected == 0
	switch {
	case r.Preview != nil && j.Counts.Due() == 0:
		return "Dry run of " + target + ". Nothing would expire.", ""
	case r.Preview != nil:
		return "Dry run of " + target + ". Nothing was written.", ""
	case j.State == job.Done && nothing:
		return "Swept " + target + ". There was nothing to expire.", ""
	case j.State == job.Done:
		return "Swept " + target + ".", ""
	case j.State == job.Undone:
		return "Undone: the sweep of " + target + ".", ""
	case j.State == job.Undoing && dead(j):
		return "Undo of the sweep of " + target + " left behind.", "No process works on it. What is restored stays restored."
	case j.State == job.Undoing:
		return "Undo of the sweep of " + target + " running.", ""
	case dead(j):
		return "Sweep of " + target + " left behind.", "No process works on it. " + standing(j)
	}
	first = "Sweep of " + target + " " + Clean(string(j.State)) + "."
	switch {
	case j.Node, j.State == job.Running:
		return first, ""
	case j.State == job.Pending:
		return first, "Nobody has begun it."
	}
	return first, standing(j)
}

// standing says that what a stopped sweep has written stays.
func standing(j job.Job) string {
	if j.Counts.Decayed == 0 {
		return "Nothing has expired."
	}
	return "What has expired stays expired."
}

// next is what the operator can do about the job, or "".
func next(r Run) string {
	j := r.job()
	live := ""
	if j.Live() {
		live = ", should it stop"
	}
	switch {
	case r.Preview != nil && r.Saved != "":
		return "To apply the plan: decayctl sweep --plan " + fileArgument(r.Saved)
	case r.Preview != nil:
		return ""
	case j.Node:
		return "The node made this job, and keeps neither its rules nor what it changed: decayctl can show it, no more."
	case j.State == job.Pending:
		return "To begin: " + Command("resume", j)
	case j.State == job.Failed && j.Ended():
		return "A new sweep tries again what could not be written."
	case j.State == job.Running, j.State == job.Paused, j.State == job.Failed:
		return "To go on" + live + ": " + Command("resume", j)
	case j.State == job.Undoing:
		return "To go on" + live + ": " + Command("undo", j)
	case j.State == job.Cancelled && j.Counts.Decayed > 0:
		return "To take back what has expired: " + Command("undo", j)
	}
	return ""
}
