package report

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/dustin/go-humanize/english"
	"github.com/jedib0t/go-pretty/v6/text"

	"decayctl/internal/rule"
	"decayctl/internal/sweep"
)

// Style is what the reader's side can show.
type Style struct {
	Color bool
	Width int // columns; 0 where it is not a terminal
}

const (
	longestName = 60 // columns of a name, an id or a stamp, whatever the width
	shownFailed = 10 // of the failed facts; JSON has more
)

// page is a text report in the making. Labels and counts share a column, right-aligned.
type page struct {
	strings.Builder
	Style
}

// WriteText writes the run for people.
func (r Run) WriteText(w io.Writer, s Style) error {
	p := &page{Style: s}
	p.headline(r)
	p.settings(r)
	p.counts(r)
	p.groups(r)
	p.samples(r)
	p.failed(r)
	if len(r.Notes) > 0 {
		p.WriteString("\n")
	}
	for _, note := range r.Notes {
		p.WriteString("note: " + Clean(note) + "\n")
	}
	_, err := io.WriteString(w, p.String())
	return err
}

func (p *page) headline(r Run) {
	target, nothing := Clean(r.Target), r.Result.Selected == 0
	var first, second string
	switch {
	case r.Status == StatusDone && r.Params.DryRun && nothing:
		first = "Dry run of " + target + ". Nothing would expire."
	case r.Status == StatusDone && r.Params.DryRun:
		first = "Dry run of " + target + ". Nothing was written."
	case r.Status == StatusDone && nothing:
		first = "Swept " + target + ". There was nothing to expire."
	case r.Status == StatusDone:
		first = "Swept " + target + "."
	case r.Params.DryRun:
		first = "Dry run of " + target + " " + stopped(r.Status) + "."
		second = "It covers only what was examined. Nothing was written."
	default:
		first = "Sweep of " + target + " " + stopped(r.Status) + "."
		second = "What has expired stays expired. Run the sweep again to go on."
	}
	p.WriteString(p.bold(first) + "\n")
	if second != "" {
		p.WriteString(second + "\n")
	}
	p.WriteString("\n")
}

func stopped(status string) string {
	if status == StatusPaused {
		return "interrupted"
	}
	return Clean(status)
}

// settings says by which rules facts were judged, and which facts.
func (p *page) settings(r Run) {
	if r.StopReason != "" {
		p.row("reason", Clean(r.StopReason))
	}
	p.row("as of", second(r.Params.AsOf))
	ttl, floor := "off", "off"
	if rules := r.Params.Rules; rules.TTL != nil {
		ttl = rules.TTL.String()
		if cutoff, possible := rules.Cutoff(r.Params.AsOf); possible {
			ttl += ", stamped by " + second(cutoff)
		} else {
			ttl += ", longer than any fact can be old"
		}
	}
	if r.Params.Rules.Floor != nil {
		floor = r.Params.Rules.Floor.String()
	}
	p.row(rule.NameTTL, ttl)
	p.row(rule.NameFloor, floor)
	p.row("scope", orAll(r.Params.Scope))
	p.row("tenant", orAll(r.Params.Tenant))
	p.WriteString("\n")
}

func (p *page) counts(r Run) {
	res := r.Result
	examined := english.PluralWord(int(res.Examined), "fact", "facts") + " examined"
	if r.Status != StatusDone {
		examined = "of about " + humanize.Comma(r.total()) + " facts examined"
	}
	p.count(res.Examined, examined)

	digits := partDigits(res)
	if res.Selected > 0 {
		verb := "expired"
		if r.Params.DryRun {
			verb = "would expire"
		}
		p.count(r.expired(), verb)
		if rules := r.rules(); len(rules) > 1 && r.expired() > 0 {
			both := -r.expired()
			for _, name := range rules {
				both += res.ByRule[name]
				p.part(digits, res.ByRule[name], "by "+name, "")
			}
			p.part(digits, both, "of them by both", "")
		}
	}
	if r.Params.DryRun && !res.Oldest.IsZero() {
		p.row("stamped", second(res.Oldest)+" to "+second(res.Newest))
	}
	if n := res.Kept[sweep.ChangedMeanwhile]; n > 0 {
		p.count(n, "changed meanwhile and left as they are; the next sweep decides")
	}
	if res.FailedCount > 0 {
		p.count(res.FailedCount, "could not be written, see below")
	}
	p.kept(res, digits)
	if !r.Completed.IsZero() {
		p.row("took", brief(r.Completed.Sub(r.Started)))
	}
	if res.Batches > 0 {
		p.row("written in", written(res))
	}
}

// kept names every protection that held: one that cannot be seen looks like a sweep that missed.
func (p *page) kept(res *sweep.Result, digits int) {
	total := int64(0)
	for _, protection := range protections {
		total += res.Kept[protection.name]
	}
	if total == 0 {
		return
	}
	p.count(total, "kept although a rule selects them")
	for _, protection := range protections {
		if n := res.Kept[protection.name]; n > 0 {
			p.part(digits, n, string(protection.name), protection.why)
		}
	}
}

func written(res *sweep.Result) string {
	s := english.Plural(res.Batches, "batch", "batches") + ", longest write lock " + brief(res.LongestLock)
	if res.Retries > 0 {
		s += ", " + english.Plural(res.Retries, "retry", "retries")
	}
	return s
}

func (p *page) samples(r Run) {
	if len(r.Result.Samples) == 0 {
		return
	}
	p.WriteString("\n" + p.bold("SAMPLES") + "\n")
	for _, s := range r.Result.Samples {
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

func (p *page) failed(r Run) {
	if r.Result.FailedCount == 0 {
		return
	}
	p.WriteString("\n" + p.bold("COULD NOT BE WRITTEN") + "\n")
	shown := r.Result.Failed[:min(shownFailed, len(r.Result.Failed))]
	for _, f := range shown {
		p.WriteString("  " + short(f.FactID) + "  " + Clean(f.Error) + "\n")
	}
	if more := r.Result.FailedCount - int64(len(shown)); more > 0 {
		p.WriteString("  … and " + humanize.Comma(more) + " more\n")
	}
}

func (p *page) row(label, text string) { fmt.Fprintf(p, "%16s  %s\n", label, text) }

func (p *page) count(n int64, text string) { p.row(humanize.Comma(n), text) }

// part is a count below a count.
func (p *page) part(digits int, n int64, name, why string) {
	line := fmt.Sprintf("%*s  %s", digits, humanize.Comma(n), name)
	if why != "" {
		line = fmt.Sprintf("%-*s  %s", digits+2+len(rule.UnreadableValidUntil), line, p.dim(why))
	}
	p.row("", line)
}

// partDigits is the width of the widest count below a count.
func partDigits(res *sweep.Result) int {
	widest := int64(0)
	for _, n := range res.ByRule {
		widest = max(widest, n)
	}
	for _, n := range res.Kept {
		widest = max(widest, n)
	}
	return len(humanize.Comma(widest))
}

// line keeps to the width of the terminal, if it is one.
func (p *page) line(indent, s string) {
	if p.Width > 0 {
		s = text.Snip(s, max(1, p.Width-len(indent)), "…")
	}
	p.WriteString(indent + s + "\n")
}

func (p *page) bold(s string) string { return p.paint("\x1b[1m", s) }

func (p *page) dim(s string) string { return p.paint("\x1b[2m", s) }

func (p *page) paint(code, s string) string {
	if !p.Color {
		return s
	}
	return code + s + "\x1b[0m"
}

// short makes a name from the store fit to be shown.
func short(s string) string { return text.Snip(Clean(s), longestName, "…") }

func orAll(s string) string {
	if s == "" {
		return "all"
	}
	return short(s)
}

// second writes an instant for people.
func second(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// brief drops what does not matter beside the largest unit.
func brief(d time.Duration) string {
	switch {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}
