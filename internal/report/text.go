package report

import (
	"fmt"
	"io"
	"strconv"

	"github.com/dustin/go-humanize"
	"github.com/dustin/go-humanize/english"

	"decayctl/internal/job"
	"decayctl/internal/rule"
)

const shownFailed = 10 // failed facts in a text; JSON has more

// WriteText writes the run for people.
func (r Run) WriteText(w io.Writer, s Style) error {
	p := &page{Style: s}
	p.headline(r)
	p.identity(r)
	p.settings(r.job())
	p.counts(r)
	p.workers(r)
	if r.Preview != nil {
		p.pictures(r)
		p.groups(r)
		p.samples(r)
	} else {
		p.tenants(r.Job.Counts.Tenants)
	}
	p.failed(r.job().Counts)
	p.notes(r)
	if next := next(r); next != "" {
		p.WriteString("\n" + next + "\n")
	}
	_, err := io.WriteString(w, p.String())
	return err
}

// identity is the lines on the job's id, its state and its times.
func (p *page) identity(r Run) {
	if r.Preview != nil {
		return
	}
	j := r.Job
	p.row("job", short(j.ID))
	if j.StopReason != "" {
		p.row("reason", Clean(j.StopReason))
	}
	if r.Now.IsZero() {
		return
	}
	switch {
	case !j.Started.IsZero():
		p.row("started", second(j.Started)+", "+age(r.Now, j.Started)+" ago")
	case !j.Created.IsZero():
		p.row("created", second(j.Created)+", "+age(r.Now, j.Created)+" ago")
	}
	if !j.Completed.IsZero() {
		p.row("ended", second(j.Completed)+", "+age(r.Now, j.Completed)+" ago")
	}
}

// settings is the lines on the rules and the facts of the job. The node stores the scope only.
func (p *page) settings(j job.Job) {
	if j.Node {
		p.row("scope", orAll(j.Scope))
		return
	}
	p.row("as of", second(j.AsOf))
	ttl, floor := "off", "off"
	if j.Rules.TTL != nil {
		ttl = j.Rules.TTL.String()
		if cutoff, possible := j.Rules.Cutoff(j.AsOf); possible {
			ttl += ", stamped by " + second(cutoff)
		} else {
			ttl += ", longer than any fact can be old"
		}
	}
	if j.Rules.Floor != nil {
		floor = j.Rules.Floor.String()
	}
	p.row(rule.NameTTL, ttl)
	p.row(rule.NameFloor, floor)
	if n := len(j.Rules.Policies); n > 0 {
		words := counted(int64(n), "policy", "policies") + ", fingerprint " + j.Rules.Fingerprint()
		if j.Rules.Only != "" {
			words += "; only " + short(j.Rules.Only) + " acts"
		}
		p.row("policies", words)
	}
	p.row("scope", orAll(j.Scope))
	p.row("tenant", orAll(j.Tenant))
	if j.Plan != "" {
		p.row("plan", Clean(j.Plan))
	}
	p.WriteString("\n")
}

func (p *page) counts(r Run) {
	j := r.job()
	c := j.Counts
	if !j.Node {
		p.count(c.Examined, examined(j))
	}
	digits := partDigits(c)
	p.decayed(r, digits)
	p.shadow(j)
	if r.Preview != nil && r.Preview.Oldest != nil {
		p.row("stamped", second(*r.Preview.Oldest)+" to "+second(*r.Preview.Newest))
	}
	p.history(r)
	switch j.State {
	case job.Undoing:
		p.count(c.Restored, fmt.Sprintf("restored, %d%%", percent(j)))
	case job.Undone:
		p.count(c.Restored, "restored")
		p.count(c.LeftAlone, "left alone: changed since by others")
	}
	if n := c.Kept[rule.ChangedMeanwhile]; n > 0 {
		p.count(n, "changed meanwhile and left as they are; the next sweep decides")
	}
	if c.FailedCount > 0 {
		p.count(c.FailedCount, "could not be written, see below")
	}
	p.kept(c, digits)
	if (j.State == job.Done || j.State == job.Failed) && !j.Started.IsZero() && !j.Completed.IsZero() {
		p.row("took", brief(j.Completed.Sub(j.Started)))
	}
	if c.Batches > 0 {
		p.row("written in", written(c))
	}
}

func examined(j job.Job) string {
	switch {
	case j.Ended(), j.State == job.Undoing, j.State == job.Undone:
		return english.PluralWord(int(j.Counts.Examined), "fact", "facts") + " examined"
	}
	return fmt.Sprintf("of about %s facts examined, %d%%", humanize.Comma(total(j)), percent(j))
}

// decayed is the lines on the facts that a dry run selects, or that a sweep changed.
func (p *page) decayed(r Run, digits int) {
	j := r.job()
	n, ends, fades := j.Counts.Decayed, "expired", "faded"
	if r.Preview != nil {
		n, ends, fades = j.Counts.Due(), "would expire", "would fade"
	}
	if j.Counts.Selected == 0 {
		return
	}
	faded, only := j.Counts.Reduced, j.Counts.ReducedOnly
	if n > only || faded == 0 {
		p.count(n-only, ends)
	}
	if faded > 0 {
		p.count(faded, fades)
		if ended := faded - only; ended > 0 {
			p.part(digits, ended, "of them below the floor by that, so they end", "")
		}
	}
	names := j.Rules.Names()
	if len(names) < 2 || n == 0 {
		return
	}
	both := -n
	for _, name := range names {
		count := j.Counts.ByRule[name]
		both += count
		if count > 0 || len(j.Rules.Policies) == 0 {
			p.part(digits, count, "by "+short(name), "")
		}
	}
	if both > 0 || len(j.Rules.Policies) == 0 {
		p.part(digits, both, "of them by both", "")
	}
}

// shadow is the lines on what policies in mode dry_run would do.
func (p *page) shadow(j job.Job) {
	for i := range j.Rules.Policies {
		id := j.Rules.Policies[i].ID
		w := j.Counts.Would[id]
		switch {
		case w.Retract > 0 && w.Reduce > 0:
			p.count(w.Retract, "would be retracted, and "+humanize.Comma(w.Reduce)+" reduced, by "+short(id)+" (dry_run)")
		case w.Retract > 0:
			p.count(w.Retract, "would be retracted by "+short(id)+" (dry_run)")
		case w.Reduce > 0:
			p.count(w.Reduce, "would be reduced by "+short(id)+" (dry_run)")
		}
	}
}

// kept is the lines on every protection that held: without them, kept facts would look like a fault of the sweep.
func (p *page) kept(c job.Counts, digits int) {
	total := int64(0)
	for _, protection := range protections {
		total += c.Kept[protection.name]
	}
	if total == 0 {
		return
	}
	p.count(total, "kept although a rule selects them")
	for _, protection := range protections {
		if n := c.Kept[protection.name]; n > 0 {
			p.part(digits, n, string(protection.name), protection.why)
		}
	}
}

func written(c job.Counts) string {
	s := english.Plural(int(c.Batches), "batch", "batches") + ", longest write lock " + brief(c.LongestLock)
	if c.Retries > 0 {
		s += ", " + english.Plural(int(c.Retries), "retry", "retries")
	}
	return s
}

// workers is the lines on the workers of the job.
func (p *page) workers(r Run) {
	for _, w := range r.Job.Workers {
		joined := second(w.Joined)
		if ago := age(r.Now, w.Joined); ago != "" {
			joined += ", " + ago + " ago"
		}
		lease := "dead"
		if w.Live {
			lease = "lease " + brief(w.Left) + " left"
		}
		p.row("worker", fmt.Sprintf("process %d on %s, joined %s: %s", w.PID, short(w.Host), joined, lease))
	}
}

func (p *page) samples(r Run) {
	if len(r.Preview.Samples) == 0 {
		return
	}
	p.WriteString("\n" + p.bold("SAMPLES") + "\n")
	for _, s := range r.Preview.Samples {
		f := &s.Fact
		details := "stamped " + short(f.Timestamp) + ", confidence " + strconv.FormatFloat(f.EffectiveConfidence(), 'g', -1, 64)
		if until := f.EffectiveValidUntil(); until != nil {
			details += ", valid until " + short(*until)
		}
		p.line("  ", short(f.ID))
		p.line("    ", short(f.Entity)+"  "+short(f.Relation)+"  (scope "+short(f.Scope)+", tenant "+short(f.Tenant)+")")
		p.line("    ", details)
		p.line("    ", Clean(s.Reason))
	}
}

func (p *page) failed(c job.Counts) {
	if c.FailedCount == 0 {
		return
	}
	p.WriteString("\n" + p.bold("COULD NOT BE WRITTEN") + "\n")
	shown := c.Failed[:min(shownFailed, len(c.Failed))]
	for _, f := range shown {
		p.WriteString("  " + short(f.FactID) + "  " + Clean(f.Error) + "\n")
	}
	if more := c.FailedCount - int64(len(shown)); more > 0 {
		p.WriteString("  … and " + humanize.Comma(more) + " more\n")
	}
}

// allNotes are the notes of a run, with those of every undo.
func allNotes(r Run) []string {
	if r.Job.State == job.Undone && r.Job.Counts.Restored > 0 {
		return append([]string{"memory cards of restored facts stay marked as stale, and the node has to make their vectors anew"}, r.Notes...)
	}
	return r.Notes
}

func (p *page) notes(r Run) {
	notes, warnings := allNotes(r), r.Warnings()
	if len(notes)+len(warnings) > 0 {
		p.WriteString("\n")
	}
	p.warnings(warnings)
	for _, note := range notes {
		p.WriteString("note: " + Clean(note) + "\n")
	}
}

// partDigits is the width of the widest count below a count.
func partDigits(c job.Counts) int {
	widest := int64(0)
	for _, n := range c.ByRule {
		widest = max(widest, n)
	}
	for _, n := range c.Kept {
		widest = max(widest, n)
	}
	return len(humanize.Comma(widest))
}
