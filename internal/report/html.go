package report

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"io"
)

var (
	//go:embed page/page.html.tmpl
	pageTemplate string
	//go:embed page/page.css
	pageStyle string
	//go:embed page/page.js
	pageScript string
)

var parsedPage = template.Must(template.New("page").Parse(pageTemplate))

// WriteHTML writes the run as a page: one file, which asks for nothing and needs no script to be read.
func (r Run) WriteHTML(w io.Writer) error { return summaryOf(r).writeHTML(w) }

// writeHTML fills the template. Style and script are named in the page's security policy by their hashes, so that no
// other style, and no other script, has an effect, wherever it comes from.
func (s *summary) writeHTML(w io.Writer) error {
	return parsedPage.Execute(w, struct {
		*summary
		Policy, Style, Script template.HTML
	}{s, securityPolicy(), template.HTML("<style>" + pageStyle + "</style>"), template.HTML("<script>" + pageScript + "</script>")}) //nolint:gosec // embedded files
}

func securityPolicy() template.HTML {
	return template.HTML(`<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src ` + hashOf(pageStyle) + //nolint:gosec // hashes
		`; script-src ` + hashOf(pageScript) + `; base-uri 'none'; form-action 'none'">`)
}

func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// Title is the page's, as it stands in a tab of a browser.
func (s *summary) Title() string { return "decayctl: " + s.Kind }
