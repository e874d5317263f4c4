package report

import (
	"html/template"
	"strconv"
	"strings"

	"github.com/dustin/go-humanize"

	"decayctl/internal/job"
	"decayctl/internal/report/chart"
)

// Made says what made a report.
type Made struct {
	Version string // of decayctl
	Command string // the command line, without secrets; "" is not known
}

// Prose is the last line of a page.
func (m Made) Prose() prose {
	if m.Version == "" {
		return nil
	}
	line := words("decayctl " + m.Version)
	if m.Command != "" {
		line = line.then(": ").name(m.Command)
	}
	return line
}

// summary is what Markdown and HTML show of a run: one content, so that the two cannot differ.
// Its texts are plain: each form escapes them by itself. The template of HTML reads its fields.
type summary struct {
	Kind       string // "Dry run"
	State      string // a word for the job's state; "" in a dry run
	Tone       tone   // of the state
	Answer     prose  // the first sentence: what was found, or done
	Looked     prose  // what was looked at, and by which rules
	Tiles      []tile
	Warnings   []prose
	Notes      []string // to be known first
	Paragraphs []prose  // of a page that has no numbers
	Sections   []section
	Made       Made
}

// tone is how a state is to be taken.
type tone string

const (
	toneGood  tone = "good"
	toneBusy  tone = "busy"
	toneCare  tone = "care"
	toneWrong tone = "wrong"
)

// span is a piece of a sentence. A name comes from the store or the operator; it is set apart from the words.
type span struct {
	Text string
	Name bool
}

type prose []span

func words(text string) prose { return prose{{Text: text}} }

// then goes on with more words.
func (p prose) then(text string) prose { return append(p, span{Text: text}) }

// name goes on with a name.
func (p prose) name(text string) prose { return append(p, span{Text: clipped(text), Name: true}) }

// clipped makes a name fit to be shown. It may have any length.
func clipped(text string) string { return Clean(job.Clip(text)) }

// sentence makes a text with names in it fit to be shown.
func sentence(text string) string { return Clean(job.ClipAt(text, 1000)) }

// tile is one large number with what it counts.
type tile struct {
	Value, Label, Detail string
	Class                string // a category's, or a tone
}

// section is a part of a page. One with nothing in it is left out.
type section struct {
	ID, Title string
	Intro     prose
	Figures   []figure
	Tables    []grid
	Commands  []command
	Folded    bool // of lesser interest: behind a click in Markdown
}

// figure is a picture, with the same in numbers.
type figure struct {
	Caption string
	SVG     template.HTML // made by chart, which escapes its texts
	Legend  []key
	Numbers grid
	Details bool // the page has the numbers as a table too; else the legend has them
}

// key is a line of a legend.
type key struct {
	Class, Label  string
	Number, Share string // "" is none
}

// Swatch is the color that the key explains.
func (k key) Swatch() template.HTML {
	return template.HTML(chart.Cell([]chart.Part{{Class: k.Class, Value: 1}}, 1)) //nolint:gosec // nothing of the store is in it
}

// grid is a table.
type grid struct {
	Caption string
	Repeats bool // the caption says no more than the heading above it
	Columns []heading
	Rows    [][]cell
	Foot    [][]cell // sums of what has no row of its own
	More    string   // what is left out
}

type heading struct {
	Name   string
	Number bool // right-aligned
}

type cell struct {
	Text   string
	Name   bool // from the store or the operator
	Number bool
	Bar    template.HTML
}

// command is a line to be copied, and what it is for.
type command struct{ Label, Line string }

func number(n int64) cell { return cell{Text: humanize.Comma(n), Number: true} }

func name(text string) cell { return cell{Text: clipped(text), Name: true} }

func plain(text string) cell { return cell{Text: text} }

// share is a part of a whole, with a bar.
func share(n, of int64, parts ...chart.Part) cell {
	return cell{Text: portionText(n, of), Number: true, Bar: template.HTML(chart.Cell(parts, float64(of)))} //nolint:gosec // nothing of the store is in it
}

func orAllCell(text string) cell {
	if text == "" {
		return plain("all")
	}
	return name(text)
}

func columns(names ...string) (all []heading) {
	for _, name := range names {
		text, number := strings.CutSuffix(name, "#")
		all = append(all, heading{text, number})
	}
	return all
}

// summaryOf says what there is to say of a run, the most important first.
func summaryOf(r Run) *summary {
	j := r.job()
	s := &summary{Answer: answerOf(r), Looked: lookedAt(j), Tiles: tilesOf(r), Warnings: proseOf(r.Warnings()), Made: r.Made}
	for _, note := range allNotes(r) {
		s.Notes = append(s.Notes, sentence(note))
	}
	s.Kind, s.State, s.Tone = kindOf(r)
	for _, of := range []section{
		standingSection(r), histogramSection(r), groupSection(r), tenantSection(r), forecastSection(r.forecast()), historySection(r), protectionSection(j), rulesSection(j),
		sampleSection(r),
		failureSection(j), jobSection(r), scopeSection(r),
	} {
		if len(of.Intro)+len(of.Figures)+len(of.Tables)+len(of.Commands) > 0 {
			s.Sections = append(s.Sections, of)
		}
	}
	return s
}

func kindOf(r Run) (kind, state string, of tone) {
	j := r.job()
	switch {
	case r.Preview != nil:
		return "Dry run", "", toneGood
	case j.State == job.Undoing || j.State == job.Undone:
		kind = "Undo of a sweep"
	default:
		kind = "Sweep"
	}
	switch {
	case dead(j):
		return kind, "left behind", toneCare
	case j.State == job.Done || j.State == job.Undone:
		of = toneGood
	case j.State == job.Failed:
		of = toneWrong
	case j.State == job.Paused || j.State == job.Cancelled:
		of = toneCare
	default:
		of = toneBusy
	}
	state = clipped(string(j.State))
	switch j.State {
	case job.Undoing:
		state = "running"
	case job.Undone:
		state = "done"
	}
	return kind, state, of
}

// answerOf is the sentence that answers what the reader came for.
func answerOf(r Run) prose {
	j := r.job()
	c := j.Counts
	facts := func(n int64) string { return counted(n, "fact", "facts") }
	switch {
	case r.Stats != nil && c.Due() > 0:
		live := r.Stats.Standing.Live()
		return words(changeText(c.WouldExpire(), c.ReducedOnly, live, "live fact", "would expire", "would fade") + " in ").name(r.Target).then(". Nothing was written.")
	case r.Stats != nil:
		return words("Nothing would expire of " + counted(r.Stats.Standing.Live(), "live fact", "live facts") + " in ").name(r.Target).then(".")
	case r.Preview != nil && c.Due() == 0:
		return words("Nothing would expire of " + facts(c.Examined) + " in ").name(r.Target).then(".")
	case r.Preview != nil:
		return words(changeText(c.WouldExpire(), c.ReducedOnly, c.Examined, "fact", "would expire", "would fade") + " in ").name(r.Target).then(". Nothing was written.")
	case j.State == job.Undone:
		return words("The undo gave back " + facts(c.Restored) + " in ").name(r.Target).then(", and left " + facts(c.LeftAlone) + " alone: changed since by others.")
	case j.State == job.Undoing:
		return words("The undo has given back " + facts(c.Restored) + " of " + humanize.Comma(c.Decayed) + " in ").name(r.Target).then(".")
	case j.Node:
		return words("The node swept ").name(r.Target).then(", and expired " + facts(c.Expired()) + ".")
	case j.Ended() && c.Selected == 0:
		return words("There was nothing to expire among " + facts(c.Examined) + " in ").name(r.Target).then(".")
	case j.Ended():
		return words(changeText(c.Expired(), c.ReducedOnly, c.Examined, "fact", "expired", "faded") + " in ").name(r.Target).then(".")
	}
	_, standing := headline(r)
	return words(changeText(c.Expired(), c.ReducedOnly, 0, "fact", "expired", "faded") + " so far in ").name(r.Target).then(strings.TrimSuffix(". "+standing, " "))
}

// changeText counts what changes; of 0 leaves the whole out.
func changeText(ends, fades, of int64, one, end, fade string) string {
	text := counted(ends, one, one+"s")
	if of > 0 {
		text = humanize.Comma(ends) + " of " + counted(of, one, one+"s")
	}
	text += " " + end
	if fades > 0 {
		text += " and " + humanize.Comma(fades) + " " + fade
	}
	return text
}

// lookedAt is a line on which facts were judged, and by which rules.
func lookedAt(j job.Job) prose {
	if j.Node {
		return words("scope ").name(orAll(j.Scope))
	}
	line := words("as of " + second(j.AsOf) + " · scope ").name(orAll(j.Scope)).then(" · tenant ").name(orAll(j.Tenant)).then(" · rules ")
	return line.name(j.Rules.Words())
}

// portionText is a part of a whole in percent, never rounded to nothing or to all.
func portionText(n, of int64) string {
	if of <= 0 || n <= 0 {
		return "0%"
	}
	percent := float64(n) / float64(of) * 100
	switch {
	case n >= of:
		return "100%"
	case percent < 0.1:
		return "<0.1%"
	case percent > 99.9:
		return ">99.9%"
	case percent < 9.95 || percent > 99:
		return strconv.FormatFloat(percent, 'f', 1, 64) + "%"
	}
	return strconv.FormatFloat(percent, 'f', 0, 64) + "%"
}

// commandsOf are the lines that lead on from here.
func commandsOf(r Run) []command {
	j := r.job()
	if r.Preview != nil || j.Node {
		return nil
	}
	var lines []command
	switch {
	case j.Ended() && j.State == job.Failed:
	case j.State == job.Pending, j.State == job.Running, j.State == job.Paused, j.State == job.Failed:
		lines = append(lines, command{"go on with the job", Command("resume", j)})
	case j.State == job.Undoing:
		lines = append(lines, command{"go on with the undo", Command("undo", j)})
	}
	if j.State.May(job.Undoing) && j.State != job.Undoing && j.Counts.Decayed > 0 {
		lines = append(lines, command{"list each fact that the sweep changed", Command("facts", j)}, command{"take the sweep back", Command("undo", j)})
	}
	return lines
}
