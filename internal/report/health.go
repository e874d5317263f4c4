package report

import (
	"fmt"
	"io"
	"strconv"
	"time"

	"decayctl/internal/job"
	"decayctl/internal/store"
)

// Health is the result of a check of a store.
type Health struct {
	Target string // the store, password masked
	Found  store.Diagnosis
	Left   []LeftJob

	JobsHidden bool // the role may not read the jobs; a note says why

	History job.History // of the sweeps by the rules of the newest one, up to now
	Stopped int         // newest sweeps in a row that a time limit stopped

	Notes []string
	Now   time.Time // for ages
}

// LeftJob is an unfinished job without a live worker, with the command that continues it.
type LeftJob struct {
	Job     job.Job
	Command string
}

// clockSlack is the difference of two clocks from which on the operator is told: as-of is read from one, and facts get
// timestamps of the other.
const clockSlack = 5 * time.Second

type leftJob struct {
	JobID      string    `json:"job_id"`
	Status     job.State `json:"status"`
	StopReason *string   `json:"stop_reason"`
	Command    string    `json:"command"`
}

type missingIndex struct {
	Table     string   `json:"table"`
	Columns   []string `json:"columns"`
	Effect    string   `json:"effect"`
	Statement string   `json:"statement"`
}

// fkChecks is null on a database on which decayctl cannot leave foreign keys unchecked.
type fkChecks struct {
	Permitted bool     `json:"permitted"`
	Grant     *string  `json:"grant"`
	Obstacles []string `json:"obstacles"`
	Orphans   int64    `json:"orphans"`
}

type cluster struct {
	Workers   int         `json:"workers"`
	Misplaced []misplaced `json:"misplaced"`

	Unfinished int  `json:"unfinished_transactions"`
	Maintained bool `json:"maintenance_daemon"`
}

type misplaced struct {
	Table      string   `json:"table"`
	Problem    string   `json:"problem"`
	Statements []string `json:"statements"`
}

type tenantFacts struct {
	Tenant string `json:"tenant"`
	Facts  int64  `json:"facts"`
}

// Warnings say what is wrong with how sweeps went lately.
func (h Health) Warnings() (warnings []Warning) {
	if job.FallsBehind(h.Stopped) {
		warnings = append(warnings, behind(h.Stopped))
	}
	if h.History.LongGap() {
		warnings = append(warnings, Warning{Code: longGap, Text: fmt.Sprintf(
			"The last sweep that came to its end was %s ago; the usual interval is %s. Look whether it still runs, and at a dry run before the next one",
			betweenSweeps(h.History.Gap), betweenSweeps(h.History.Interval))})
	}
	return warnings
}

// WriteJSON writes the result as one JSON document.
func (h Health) WriteJSON(w io.Writer) error {
	type privileges struct {
		Role    *string  `json:"role"`
		Held    []string `json:"held"`
		Missing []string `json:"missing"`
	}
	type stamps struct {
		OddTimestamps        int64 `json:"odd_timestamps"`
		UnreadableTimestamps int64 `json:"unreadable_timestamps"`
		OddValidUntil        int64 `json:"odd_valid_until"`
		UnreadableValidUntil int64 `json:"unreadable_valid_until"`
	}
	type images struct {
		Rows int64   `json:"rows"`
		MB   float64 `json:"mb"`
	}
	d := h.Found
	indexes := []missingIndex{}
	for _, i := range d.MissingIndexes {
		indexes = append(indexes, missingIndex(i))
	}
	tenants := []tenantFacts{}
	for _, t := range d.Tenants {
		tenants = append(tenants, tenantFacts{job.Clip(t.Tenant), t.Facts})
	}
	var keys *fkChecks
	if k := d.KeyChecks; k != nil {
		keys = &fkChecks{k.Permitted, orNull(k.Grant), append([]string{}, k.Obstacles...), k.Orphans}
	}
	var clock *int64
	if d.Clock != nil {
		ms := d.Clock.Milliseconds()
		clock = &ms
	}
	own := &d.OwnVersion
	if d.OwnVersion < 0 {
		own = nil
	}
	var nodes *cluster
	if d.Cluster != nil {
		nodes = &cluster{d.Cluster.Workers, []misplaced{}, d.Cluster.Unfinished, d.Cluster.Maintained}
		for _, m := range d.Cluster.Misplaced {
			nodes.Misplaced = append(nodes.Misplaced, misplaced(m))
		}
	}
	left := []leftJob{}
	for _, l := range h.Left {
		left = append(left, leftJob{l.Job.ID, l.Job.State, orNull(l.Job.StopReason), l.Command})
	}
	return write(w, struct {
		SchemaVersion int            `json:"schema_version"`
		Store         string         `json:"store"`
		Server        string         `json:"server"`
		Migration     string         `json:"migration"`
		Tables        *int64         `json:"tables"`
		Privileges    privileges     `json:"privileges"`
		Indexes       []missingIndex `json:"indexes"`
		Cluster       *cluster       `json:"cluster"`
		ClockMS       *int64         `json:"clock_ms"`
		Triggers      []string       `json:"triggers"`
		NoFKChecks    *fkChecks      `json:"no_fk_checks"`
		FirstSweep    *writeCost     `json:"first_sweep"`
		Facts         int64          `json:"facts"`
		Tenants       []tenantFacts  `json:"tenants"`
		OtherTenants  int64          `json:"other_tenants"`
		Stamps        stamps         `json:"stamps"`
		Jobs          []leftJob      `json:"jobs"`
		BeforeImages  images         `json:"before_images"`
		Warnings      []runWarning   `json:"warnings"`
		Notes         []string       `json:"notes"`
	}{
		schemaVersion, h.Target, d.Server, d.Migration, own,
		privileges{orNull(d.Role), append([]string{}, d.HeldPrivileges...), append([]string{}, d.MissingPrivileges...)},
		indexes, nodes, clock, append([]string{}, d.Triggers...), keys, writeCostOf(d.FirstSweep), d.Facts, tenants, d.OtherTenants,
		stamps{d.Stamps.OddTimestamps, d.Stamps.UnreadableTimestamps, d.Stamps.OddExpiries, d.Stamps.UnreadableExpiries},
		left, images{d.BeforeImages, d.BeforeImageMB}, warningsOf(h.Warnings()), append([]string{}, h.Notes...),
	})
}

// WriteText writes the result for people: a line for each part that is well, and what to do for each part that is not.
func (h Health) WriteText(w io.Writer, s Style) error {
	p, d := &page{Style: s}, h.Found
	p.WriteString(p.bold("Looked over "+Clean(h.Target)+". Nothing was written.") + "\n\n")
	p.row("server", short(d.Server))
	p.row("schema", short(d.Migration)+", with all columns that decayctl uses")
	switch {
	case d.OwnBroken:
		p.row("own tables", "broken: no sweep can be made, resumed or undone; the note below says what mends that")
	case d.OwnVersion > store.NewestOwn:
		p.row("own tables", fmt.Sprintf("version %d, of a newer decayctl; this one knows up to %d and sweeps no more here: upgrade it", d.OwnVersion, store.NewestOwn))
	case d.OwnVersion > 0:
		p.row("own tables", "version "+strconv.FormatInt(d.OwnVersion, 10))
	case d.OwnVersion < 0:
		p.row("own tables", "there, but not for this role to read")
	default:
		p.row("own tables", "none yet; the first sweep makes them")
	}
	p.privileges(d)
	p.indexes(d.MissingIndexes)
	p.cluster(d.Cluster)
	p.triggers(d.Triggers)
	p.keyChecks(d.KeyChecks)
	p.clock(d)
	p.row("facts", "about "+counted(d.Facts, "fact", "facts"))
	for i, note := range CostNotes(d.FirstSweep) {
		label := ""
		if i == 0 {
			label = "a first sweep"
		}
		p.row(label, Clean(note))
	}
	if d.Cluster == nil || len(d.Cluster.Misplaced) == 0 { // else no fact was read
		p.tenantFacts(d)
		p.stamps(d.Stamps)
	}
	if d.OwnBroken || d.OwnVersion < 0 {
		p.row("kept for undos", "not known")
	} else if d.BeforeImages == 0 {
		p.row("kept for undos", "no rows")
	} else {
		p.row("kept for undos", counted(d.BeforeImages, "row", "rows")+fmt.Sprintf(", %.1f MB; 'decayctl jobs prune' removes old ones", d.BeforeImageMB))
	}
	switch {
	case d.OwnBroken || h.JobsHidden:
		p.row("jobs", "not known")
	case d.Cluster.HidesJobs():
		p.row("jobs", "not known until their tables are moved")
	default:
		p.left(h.Left, h.Now)
	}
	p.warnings(h.Warnings())
	for _, note := range h.Notes {
		p.WriteString("note: " + Clean(note) + "\n")
	}
	_, err := io.WriteString(w, p.String())
	return err
}

// Statements are for an administrator to run.
type Statements struct{ SQL string }

// WriteJSON writes the statements as one JSON document.
func (s Statements) WriteJSON(w io.Writer) error {
	return write(w, struct {
		SchemaVersion int    `json:"schema_version"`
		DDL           string `json:"ddl"`
	}{schemaVersion, s.SQL})
}

// WriteText writes the statements alone, for a database's own shell.
func (s Statements) WriteText(w io.Writer, _ Style) error {
	_, err := io.WriteString(w, CleanLines(s.SQL))
	return err
}
