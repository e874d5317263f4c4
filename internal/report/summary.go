package report

import (
	"html/template"
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

// summary is the content of a page, for Markdown and HTML alike. Its texts are not escaped: each form escapes them itself.
// The template of HTML reads its fields.
type summary struct {
	Kind       string // "Dry run"
	State      string // a word for the job's state; "" in a dry run
	Tone       tone   // of the state
	Answer     prose  // the first sentence: what was found, or done
	Looked     prose  // which facts were judged, and by which rules
	Tiles      []tile
	Warnings   []prose
	Notes      []string // shown above the numbers
	Paragraphs []prose  // of a page that has no numbers
	Sections   []section
	Made       Made
}

// tone is the class of a state, which decides on its color.
type tone string

const (
	toneGood  tone = "good"
	toneBusy  tone = "busy"
	toneCare  tone = "care"
	toneWrong tone = "wrong"
)

// span is a piece of a sentence. A name comes from the store or the operator, and is shown as code.
type span struct {
	Text string
	Name bool
}

type prose []span

func words(text string) prose { return prose{{Text: text}} }

// then appends words.
func (p prose) then(text string) prose { return append(p, span{Text: text}) }

// name appends a name.
func (p prose) name(text string) prose { return append(p, span{Text: clipped(text), Name: true}) }

// clipped cleans and cuts a name, which may have any length.
func clipped(text string) string { return Clean(job.Clip(text)) }

// sentence cleans and cuts a text with names in it.
func sentence(text string) string { return Clean(job.ClipAt(text, 1000)) }

// tile is one large number with what it counts.
type tile struct {
	Value, Label, Detail string
	Class                string // a category's, or a tone
}

// section is a part of a page. An empty section is left out.
type section struct {
	ID, Title string
	Intro     prose
	Figures   []figure
	Tables    []grid
	Commands  []command
	Folded    bool // of lesser interest: behind a click in Markdown
}

// figure is a picture and its numbers.
type figure struct {
	Caption string
	SVG     template.HTML // made by chart, which escapes its texts
	Legend  []key
	Numbers grid
	Details bool // the page shows the numbers as a table too; otherwise the legend has them
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
	Repeats bool // the caption repeats the heading above it, and is not shown
	Columns []heading
	Rows    [][]cell
	Foot    [][]cell // sums of the rows that are not shown
	More    string   // says what is left out
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

// command is a command line to copy, and its purpose.
type command struct{ Label, Line string }

func number(n int64) cell { return cell{Text: humanize.Comma(n), Number: true} }

func name(text string) cell { return cell{Text: clipped(text), Name: true} }

func plain(text string) cell { return cell{Text: text} }

// share is a number as a share of a whole, with a bar.
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
