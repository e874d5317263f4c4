package report

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/dustin/go-humanize"

	"decayctl/internal/job"
)

// Jobs is a list of jobs, in the order in which they are to be shown.
type Jobs struct {
	Target string // the store, password masked
	List   []job.Job
	Now    time.Time // for ages
}

// WriteJSON writes the list as one JSON document. Each job is in it as Run writes it alone.
func (l Jobs) WriteJSON(w io.Writer) error {
	documents := []document{}
	for _, j := range l.List {
		documents = append(documents, documentOf(l.Target, j, nil))
	}
	return write(w, struct {
		SchemaVersion int        `json:"schema_version"`
		Jobs          []document `json:"jobs"`
	}{schemaVersion, documents})
}

// WriteText writes the list as a table.
func (l Jobs) WriteText(w io.Writer, s Style) error {
	p := &page{Style: s}
	if len(l.List) == 0 {
		p.WriteString("No jobs in " + Clean(l.Target) + ".\n")
	} else {
		p.jobs(l)
	}
	_, err := io.WriteString(w, p.String())
	return err
}

// jobs is the table of jobs. A column in which no job has anything is left out.
func (p *page) jobs(l Jobs) {
	apart := slices.ContainsFunc(l.List, func(j job.Job) bool { return j.Tenant != "" })
	all := []struct {
		column
		cell func(job.Job) string
	}{
		{column{"ID", wordCells}, func(j job.Job) string { return ShortID(j.ID) }},
		{column{"STATE", wordCells}, stateCell},
		{column{"SOURCE", wordCells}, sourceCell},
		{column{"SCOPE", nameCells}, func(j job.Job) string { return orAll(j.Scope) }},
		{column{"TENANT", nameCells}, func(j job.Job) string {
			if !apart {
				return ""
			}
			return orAll(j.Tenant)
		}},
		{column{"PROGRESS", numberCells}, progressCell},
		{column{"EXPIRED", numberCells}, func(j job.Job) string { return humanize.Comma(j.Counts.Expired()) }},
		{column{"FADED", numberCells}, func(j job.Job) string {
			if j.Counts.Reduced == 0 {
				return ""
			}
			return humanize.Comma(j.Counts.Reduced)
		}},
		{column{"AGE", numberCells}, func(j job.Job) string { return age(l.Now, j.Created) }},
		{column{"OWNER", nameCells}, ownerCell},
		{column{"WHY", nameCells}, func(j job.Job) string { return short(j.StopReason) }},
	}
	var columns []column
	rows := make([][]string, len(l.List))
	for _, c := range all {
		cells := make([]string, len(l.List))
		for i, j := range l.List {
			cells[i] = c.cell(j)
		}
		if !slices.ContainsFunc(cells, func(cell string) bool { return cell != "" }) {
			continue
		}
		columns = append(columns, c.column)
		for i, cell := range cells {
			rows[i] = append(rows[i], cell)
		}
	}
	p.table(columns, rows)
}

// stateCell tells a job that was left behind from one that is being worked on: their states are equal.
func stateCell(j job.Job) string {
	switch {
	case dead(j) && j.State == job.Undoing:
		return "dead undo"
	case dead(j):
		return "dead"
	}
	return short(string(j.State))
}

func sourceCell(j job.Job) string {
	if j.Node {
		return sourceNode
	}
	return ""
}

// progressCell is empty where nobody knows: the node says of its jobs only that they are done.
func progressCell(j job.Job) string {
	if j.Node && !ended(j) {
		return ""
	}
	return strconv.Itoa(percent(j)) + "%"
}

// ownerCell names the first process that is at work on a job.
func ownerCell(j job.Job) string {
	first, more := "", 0
	for _, w := range j.Workers {
		switch {
		case !w.Live:
		case first == "":
			first = short(w.Host) + ":" + strconv.Itoa(w.PID)
		default:
			more++
		}
	}
	if more > 0 {
		first += fmt.Sprintf(" +%d", more)
	}
	return first
}
