package report

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"decayctl/internal/job"
)

// Jobs is a list of jobs. It is written while it is read, since there may be very many.
type Jobs struct {
	Target string    // the store, password masked
	Now    time.Time // for ages

	// Each calls use for each job, in the order in which jobs are shown. It ends with the first error.
	Each func(use func(job.Job) error) error
}

// WriteJSON writes the list as one JSON document. Each job is as in the JSON of Run.
func (l Jobs) WriteJSON(w io.Writer) error {
	const around = "  " // indentation of a job within the document
	head := fmt.Sprintf("{\n%[1]s\"schema_version\": %[2]d,\n%[1]s\"jobs\": [", around, schemaVersion)
	tail := "]\n}\n"
	if err := l.Each(func(j job.Job) error {
		var one strings.Builder
		if err := write(&one, documentOf(l.Target, j, nil)); err != nil {
			return err
		}
		indented := "\n" + around + around + strings.ReplaceAll(strings.TrimSuffix(one.String(), "\n"), "\n", "\n"+around+around)
		_, err := io.WriteString(w, head+indented)
		head, tail = ",", "\n"+around+"]\n}\n"
		return err
	}); err != nil {
		return err
	}
	if head == "," {
		head = ""
	}
	_, err := io.WriteString(w, head+tail)
	return err
}

// tableRows is how many jobs one table has at most. The widths of columns depend on all rows of a table, which are kept
// in memory.
const tableRows = 1_000

// WriteText writes the list as one or several tables.
func (l Jobs) WriteText(w io.Writer, s Style) error {
	var part []job.Job
	listed := false
	flush := func() error {
		p := &page{Style: s}
		if listed {
			p.WriteString("\n")
		}
		p.jobs(part, l.Now)
		part, listed = part[:0], true
		_, err := io.WriteString(w, p.String())
		return err
	}
	err := l.Each(func(j job.Job) error {
		if len(part) == tableRows {
			if err := flush(); err != nil {
				return err
			}
		}
		part = append(part, j)
		return nil
	})
	switch {
	case err != nil:
		return err
	case len(part) == 0:
		return writeLines(w, "No jobs in "+Clean(l.Target)+".")
	}
	return flush()
}

// Hint is a job in a few words, for a choice of jobs: its state, its age and what it expired.
func Hint(j job.Job, now time.Time) string {
	words := []string{stateCell(j)}
	if old := age(now, j.Created); old != "" {
		words = append(words, old+" old")
	}
	if j.Node {
		words = append(words, "of the node")
	} else {
		words = append(words, humanize.Comma(j.Counts.Expired())+" expired")
	}
	if j.Scope != "" {
		words = append(words, "scope "+short(j.Scope))
	}
	return strings.Join(words, ", ")
}

// jobs is a table of jobs, without empty columns.
func (p *page) jobs(list []job.Job, now time.Time) {
	apart := slices.ContainsFunc(list, func(j job.Job) bool { return !j.Node && j.Tenant != job.DefaultTenant })
	all := []struct {
		column
		cell func(job.Job) string
	}{
		{column{"ID", wordCells}, func(j job.Job) string { return ShortID(j.ID) }},
		{column{"STATE", wordCells}, stateCell},
		{column{"SOURCE", wordCells}, sourceCell},
		{column{"SCOPE", nameCells}, func(j job.Job) string { return orAll(j.Scope) }},
		{column{"TENANT", nameCells}, func(j job.Job) string {
			if !apart || j.Node { // the tenant of the node's jobs is not read
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
		{column{"AGE", numberCells}, func(j job.Job) string { return age(now, j.Created) }},
		{column{"OWNER", nameCells}, ownerCell},
		{column{"WHY", nameCells}, func(j job.Job) string { return short(j.StopReason) }},
	}
	var columns []column
	rows := make([][]string, len(list))
	for _, c := range all {
		cells := make([]string, len(list))
		for i, j := range list {
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

// stateCell is the state of a job, and tells whether its workers are dead.
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

// progressCell is the progress of a job. It is empty for a job of the node that is not done, whose progress is not
// known.
func progressCell(j job.Job) string {
	if j.Node && !j.Ended() {
		return ""
	}
	return strconv.Itoa(percent(j)) + "%"
}

// ownerCell is the first worker of a job.
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
