package config

import (
	"regexp"
	"strings"
)

var (
	addressSecret = regexp.MustCompile(`([a-zA-Z][a-zA-Z0-9+.-]*://)[^\s"']*@`)
	userSecret    = regexp.MustCompile(`([^\s"'/:@]*):[^\s"'/@]+@`)
	keywordSecret = regexp.MustCompile(`(?i)((?:ssl)?(?:password|passwd|pwd))(\s*=\s*)('[^']*'|[^\s"'&;]+)`)
)

// hint is the form of an address, for messages.
const hint = "postgres://user@host:5432/database"

// Mask removes passwords from a text, for everything in it that looks like a database address. It is a second
// protection for texts that should not have any.
func Mask(text string) string {
	const user, hidden = "postgres://user@", "postgres://\x00"
	text = strings.ReplaceAll(text, hint, strings.Replace(hint, user, hidden, 1))
	text = addressSecret.ReplaceAllString(text, "$1…@")
	text = userSecret.ReplaceAllString(text, "$1:…@")
	return strings.ReplaceAll(keywordSecret.ReplaceAllString(text, "$1$2…"), hidden, user)
}
