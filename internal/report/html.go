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

// WriteHTML writes the run as an HTML page: one file that loads nothing and can be read without its script.
func (r Run) WriteHTML(w io.Writer) error { return summaryOf(r).writeHTML(w) }

// writeHTML fills the template. The page's content security policy allows its style and script by hash, so that no
// injected style or script has an effect.
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

// Title is the title of the page, which a browser shows in its tab.
func (s *summary) Title() string { return "decayctl: " + s.Kind }
