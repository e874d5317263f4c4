package config

import "regexp"

var (
	addressSecret = regexp.MustCompile(`([a-zA-Z][a-zA-Z0-9+.-]*://)[^\s"']*@`)
	userSecret    = regexp.MustCompile(`([^\s"'/:@]*):[^\s"'/@]+@`)
	keywordSecret = regexp.MustCompile(`(?i)((?:ssl)?(?:password|passwd|pwd))(\s*=\s*)('[^']*'|[^\s"'&;]+)`)
)

// Mask takes passwords out of any text, wherever something in it looks like a database address: a
// last net below the forms that are masked by design.
func Mask(text string) string {
	text = addressSecret.ReplaceAllString(text, "$1…@")
	text = userSecret.ReplaceAllString(text, "$1:…@")
	return keywordSecret.ReplaceAllString(text, "$1$2…")
}
