package config

import (
	"strconv"
	"strings"
)

// The length of the longest value that an error repeats.
const quoteLimit = 60

// quote is a value for an error: on one line, and shortened. It does not repeat what looks like a database address,
// which may have been given for the wrong setting.
func quote(text string) string {
	if strings.Contains(text, "@") || strings.Contains(text, "://") || strings.Contains(text, "password") {
		return "a text that is not shown, as it may hold a password"
	}
	if len(text) > quoteLimit {
		return strconv.Quote(text[:quoteLimit]) + "…"
	}
	return strconv.Quote(text)
}

// clean makes a text fit for one line of output. Paths and names may hold line breaks and terminal codes, which it
// quotes.
func clean(text string) string {
	for _, r := range text {
		if !strconv.IsPrint(r) || r == '\uFFFD' {
			return strconv.Quote(text)
		}
	}
	return text
}

// plainName is an unknown name for an error. It does not repeat what does not look like a name, which may be a password
// in the wrong place.
func plainName(name string) string {
	odd := func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.", r)
	}
	if name == "" || len(name) > quoteLimit || strings.ContainsFunc(name, odd) {
		return "a name that is not shown here"
	}
	return name
}
