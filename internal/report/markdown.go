package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"

	"decayctl/internal/job"
)

// WriteMarkdown writes the run as Markdown, for a summary or a comment of a CI system.
func (r Run) WriteMarkdown(w io.Writer) error { return summaryOf(r).writeMarkdown(w) }

func (s *summary) writeMarkdown(w io.Writer) error {
	m := &markdown{}
	title := "decayctl: " + strings.ToLower(s.Kind)
	if s.State != "" {
		title += " " + s.State
	}
	m.add("## " + mdText(title))
	m.add("**" + m.prose(s.Answer) + "**")
	if len(s.Looked) > 0 {
		m.add(m.prose(s.Looked))
	}
	for _, w := range s.Warnings {
		m.add("> [!WARNING]\n> " + m.prose(w))
	}
	for _, note := range s.Notes {
		m.add("> [!NOTE]\n> " + mdText(note))
	}
	for _, p := range s.Paragraphs {
		m.add(m.prose(p))
	}
	for _, of := range s.Sections {
		m.section(of)
	}
	if made := s.Made.Prose(); len(made) > 0 {
		m.add("<sub>" + m.prose(made) + "</sub>")
	}
	_, err := io.WriteString(w, strings.Join(m.blocks, "\n\n")+"\n")
	return err
}

// markdown builds a document of blocks with an empty line between them.
type markdown struct{ blocks []string }

func (m *markdown) add(block string) { m.blocks = append(m.blocks, block) }

func (m *markdown) prose(p prose) string {
	var b strings.Builder
	for _, s := range p {
		if s.Name {
			b.WriteString(mdName(s.Text))
		} else {
			b.WriteString(mdText(s.Text))
		}
	}
	return b.String()
}

func (m *markdown) section(of section) {
	if of.Folded {
		m.add("<details><summary>" + mdText(of.Title) + "</summary>")
	} else {
		m.add("### " + mdText(of.Title))
	}
	if len(of.Intro) > 0 {
		m.add(m.prose(of.Intro))
	}
	for _, f := range of.Figures {
		m.figure(f)
	}
	for _, t := range of.Tables {
		m.grid(t)
	}
	for _, c := range of.Commands {
		m.add("To " + mdText(c.Label) + ":\n\n```\n" + c.Line + "\n```")
	}
	if of.Folded {
		m.add("</details>")
	}
}

// figure writes the numbers of a picture, since Markdown of CI systems cannot show an SVG.
func (m *markdown) figure(f figure) {
	switch {
	case len(f.Numbers.Rows) == 0:
	case f.Details:
		m.add("<details><summary>" + mdText(f.Caption) + "</summary>")
		m.grid(f.Numbers)
		m.add("</details>")
	default:
		m.grid(f.Numbers)
	}
}

func (m *markdown) grid(t grid) {
	var b strings.Builder
	for _, c := range t.Columns {
		fmt.Fprintf(&b, "| %s ", mdText(c.Name))
	}
	b.WriteString("|\n")
	for _, c := range t.Columns {
		if c.Number {
			b.WriteString("|--:")
		} else {
			b.WriteString("|--")
		}
	}
	b.WriteString("|")
	for _, row := range slices.Concat(t.Rows, t.Foot) {
		b.WriteString("\n")
		for _, c := range row {
			text := mdText(c.Text)
			if c.Name {
				text = mdName(c.Text)
			}
			fmt.Fprintf(&b, "| %s ", text)
		}
		b.WriteString("|")
	}
	m.add(b.String())
	if t.More != "" {
		m.add("… " + mdText(t.More) + ".")
	}
}

// mdName writes a name as code, in which renderers find no links, mentions or issue numbers. If the name has a character
// that ends a code span or a cell, all its marks are written as character references, which are never markup.
func mdName(text string) string {
	switch {
	case text == "":
		return ""
	case !strings.ContainsAny(text, "`|\\") && strings.TrimSpace(text) == text:
		return "`" + text + "`"
	}
	return "<code>" + mdReferences(text, isMark) + "</code>"
}

// mdText escapes markup in running text. An @, a # and the beginning of an address get a word joiner, so that they name no
// account, no issue and no link.
func mdText(text string) string {
	text = mdReferences(text, func(r rune) bool { return strings.ContainsRune("\\`*_[]<>&|~#@", r) })
	return strings.NewReplacer("://", ":&#8288;//", "www.", "www&#8288;.").Replace(text)
}

// isMark tells whether a character may be markup.
func isMark(r rune) bool {
	return r <= unicode.MaxASCII && (unicode.IsPunct(r) || unicode.IsSymbol(r))
}

// mdReferences writes marks as character references.
func mdReferences(text string, mark func(rune) bool) string {
	var b strings.Builder
	for _, r := range text {
		switch {
		case !mark(r):
			b.WriteRune(r)
		case r == '@' || r == '#':
			fmt.Fprintf(&b, "&#%d;&#8288;", r)
		default:
			fmt.Fprintf(&b, "&#%d;", r)
		}
	}
	return b.String()
}

// Pages of sentences, for commands that have no numbers to show.

// WriteMarkdown writes the job's id, and how to start it.
func (n Pending) WriteMarkdown(w io.Writer) error { return n.summary().writeMarkdown(w) }

// WriteHTML writes the job's id, and how to start it.
func (n Pending) WriteHTML(w io.Writer) error { return n.summary().writeHTML(w) }

func (n Pending) summary() *summary {
	return &summary{
		Kind: "Sweep", State: string(job.Pending), Tone: toneBusy,
		Answer:     words("A sweep of ").name(n.Target).then(" is written down as job ").name(n.Job.ID).then("."),
		Paragraphs: []prose{words("To begin: ").name(Command("resume", n.Job))},
	}
}

// WriteMarkdown writes the numbers.
func (n Undoable) WriteMarkdown(w io.Writer) error { return n.summary().writeMarkdown(w) }

// WriteHTML writes the numbers.
func (n Undoable) WriteHTML(w io.Writer) error { return n.summary().writeHTML(w) }

func (n Undoable) summary() *summary {
	return &summary{
		Kind:       "Dry run of an undo",
		Answer:     words("An undo of job ").name(n.Job.ID).then(" would restore " + counted(n.Count, "fact", "facts") + " in ").name(n.Target).then(". Nothing was written."),
		Paragraphs: []prose{words("It would leave " + counted(n.leftAlone(), "fact", "facts") + " alone: changed since by others.")},
	}
}

// WriteMarkdown writes the sentence.
func (n Nothing) WriteMarkdown(w io.Writer) error { return n.summary().writeMarkdown(w) }

// WriteHTML writes the sentence.
func (n Nothing) WriteHTML(w io.Writer) error { return n.summary().writeHTML(w) }

func (n Nothing) summary() *summary {
	return &summary{Kind: "Nothing to do", Answer: words(sentence(n.Text))}
}
