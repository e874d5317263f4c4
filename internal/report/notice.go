package report

import (
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/dustin/go-humanize"

	"decayctl/internal/job"
	"decayctl/internal/store"
)

// Pending is a sweep that was stored for later.
type Pending struct {
	Target string // the store, password masked
	Job    job.Job
}

// WriteJSON writes the answer of the node for a sweep that it runs later.
func (n Pending) WriteJSON(w io.Writer) error {
	return write(w, struct {
		SchemaVersion int       `json:"schema_version"`
		JobID         string    `json:"job_id"`
		Status        job.State `json:"status"`
		EstimatedS    int64     `json:"estimated_s"`
	}{schemaVersion, n.Job.ID, job.Pending, n.Job.EstimatedS()})
}

// WriteText writes the job's id, and how to start it.
func (n Pending) WriteText(w io.Writer, _ Style) error {
	return writeLines(w,
		"Sweep of "+Clean(n.Target)+" written down as job "+short(n.Job.ID)+".",
		"To begin: "+Command("resume", n.Job))
}

// Pruned is how many finished jobs were removed, with their before-images.
type Pruned struct {
	Count  int64
	Before time.Time // the jobs had ended before this
}

// WriteJSON writes the number as one JSON document.
func (n Pruned) WriteJSON(w io.Writer) error {
	return write(w, struct {
		SchemaVersion int     `json:"schema_version"`
		Pruned        int64   `json:"pruned"`
		Before        *string `json:"before"`
	}{schemaVersion, n.Count, instant(n.Before)})
}

// WriteText writes the number in one line.
func (n Pruned) WriteText(w io.Writer, _ Style) error {
	return writeLines(w, "Pruned "+counted(n.Count, "job", "jobs")+" that ended before "+second(n.Before)+".")
}

// Undoable is what an undo of a job would do.
type Undoable struct {
	Target string // the store, password masked
	Job    job.Job
	Count  int64 // facts that the undo would restore
}

// leftAlone counts the facts that the job expired, that are not restored, and that another process has changed since.
func (n Undoable) leftAlone() int64 {
	return max(0, n.Job.Counts.Decayed-n.Job.Counts.Restored-n.Count)
}

// WriteJSON writes the numbers as one JSON document.
func (n Undoable) WriteJSON(w io.Writer) error {
	return write(w, struct {
		SchemaVersion int       `json:"schema_version"`
		JobID         string    `json:"job_id"`
		Status        job.State `json:"status"`
		DryRun        bool      `json:"dry_run"`
		Restored      int64     `json:"restored"`
		LeftAlone     int64     `json:"left_alone"`
	}{schemaVersion, n.Job.ID, n.Job.State, true, n.Count, n.leftAlone()})
}

// WriteText writes the numbers for people.
func (n Undoable) WriteText(w io.Writer, _ Style) error {
	return writeLines(w,
		"An undo of job "+short(n.Job.ID)+" would restore "+counted(n.Count, "fact", "facts")+" in "+Clean(n.Target)+". Nothing was written.",
		"It would leave "+counted(n.leftAlone(), "fact", "facts")+" alone: changed since by others.")
}

// Nothing is the result of a command that found no job to work on, which is not an error.
type Nothing struct {
	Text string // a sentence
}

// WriteJSON writes the sentence and an empty list of jobs as one JSON document.
func (n Nothing) WriteJSON(w io.Writer) error {
	return write(w, struct {
		SchemaVersion int        `json:"schema_version"`
		Jobs          []document `json:"jobs"`
		Message       string     `json:"message"`
	}{schemaVersion, []document{}, n.Text})
}

// WriteText writes the sentence.
func (n Nothing) WriteText(w io.Writer, _ Style) error { return writeLines(w, Clean(n.Text)) }

// WriteErrorJSON writes an error as one JSON document: a code for programs, a message for people, the exit code, and
// detail if there is any, such as SQL statements for an administrator.
func WriteErrorJSON(w io.Writer, code, message, detail string, exit int) error {
	type details struct {
		Code    string `json:"code"`
		Message string `json:"message"`
		Detail  string `json:"detail,omitempty"`
		Exit    int    `json:"exit"`
	}
	return write(w, struct {
		SchemaVersion int     `json:"schema_version"`
		Error         details `json:"error"`
	}{schemaVersion, details{code, message, detail, exit}})
}

// TenantNotes are notes on the tenants that a sweep of one tenant left alone: a typing error in a name must not look
// like a clean store.
func TenantNotes(tenant string, others store.OtherTenants) (notes []string) {
	if !others.Known {
		notes = append(notes, "no fact is of tenant "+strconv.Quote(job.Clip(tenant))+"; 'decayctl doctor' lists the tenants")
	}
	if others.Facts > 0 {
		were := "were"
		if others.Facts == 1 {
			were = "was"
		}
		notes = append(notes, fmt.Sprintf("%s of %s %s left alone; --all-tenants sweeps them too",
			counted(others.Facts, "fact", "facts"), counted(others.Tenants, "other tenant", "other tenants"), were))
	}
	return notes
}

func counted(n int64, one, many string) string {
	if n == 1 {
		many = one
	}
	return humanize.Comma(n) + " " + many
}

func writeLines(w io.Writer, lines ...string) error {
	text := ""
	for _, line := range lines {
		text += line + "\n"
	}
	_, err := io.WriteString(w, text)
	return err
}
