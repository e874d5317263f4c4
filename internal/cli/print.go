package cli

import (
	"errors"
	"fmt"
	"io"

	"decayctl/internal/config"
	"decayctl/internal/report"
)

// document is what a command prints at its end.
type document interface {
	WriteJSON(w io.Writer) error
	WriteText(w io.Writer, s report.Style) error
}

// pageDocument is a document that can also be a page.
type pageDocument interface {
	document
	WriteMarkdown(w io.Writer) error
	WriteHTML(w io.Writer) error
}

// printDone prints the report of work that is done. If that fails, the error says what was done.
func (a *app) printDone(d document, done string) error {
	err := a.printTo(d)
	switch {
	case err == nil:
		return nil
	case is[outputError](err):
		return fmt.Errorf("%s, but the report could not be written: %w", done, err)
	}
	return fmt.Errorf("%s, but %w", done, err)
}

// printTo writes a document to stdout, and to the files of --report.
func (a *app) printTo(d document) error {
	err := a.write(a.Stdout, d)
	failed := a.writeReports(d)
	if failed != nil && isClosedPipe(err) {
		return failed // a closed pipe would hide the other error
	}
	return errors.Join(err, failed)
}

// write writes a document in the output format to out, which leads to stdout.
func (a *app) write(w io.Writer, d document) error {
	return writeForm(w, a.output.Form, d, a.style())
}

// style is what stdout can show.
func (a *app) style() report.Style {
	if !isTerminal(a.Stdout) {
		return report.Style{}
	}
	escapes := a.hasEscapes(a.Stdout)
	return report.Style{Color: !a.output.NoColor && escapes, Width: terminalWidth(a.Stdout), Draw: escapes}
}

func writeForm(w io.Writer, form string, d document, style report.Style) error {
	page, _ := d.(pageDocument)
	switch {
	case form == config.OutputJSON:
		return d.WriteJSON(w)
	case form == config.OutputMarkdown && page != nil:
		return page.WriteMarkdown(w)
	case form == config.OutputHTML && page != nil:
		return page.WriteHTML(w)
	}
	return d.WriteText(w, style)
}
