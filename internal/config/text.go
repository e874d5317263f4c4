package config

import (
	"strconv"
	"strings"
)

// The longest piece of a setting that an error repeats.
const quoteLimit = 60

// quote repeats a value in an error: on one line, and not at length. A database address may stand in
// the wrong place, so whatever looks like one is not repeated.
func quote(text string) string {
	if strings.Contains(text, "@") || strings.Contains(text, "://") || strings.Contains(text, "password") {
		return "a text that is not shown, as it may hold a password"
	}
	if len(text) > quoteLimit {
		return strconv.Quote(text[:quoteLimit]) + "…"
	}
	return strconv.Quote(text)
}

// clean makes text fit for one line of output. Paths and names from outside may hold line breaks
// and terminal codes; those are shown quoted.
func clean(text string) string {
	for _, r := range text {
		if !strconv.IsPrint(r) || r == '\uFFFD' {
			return strconv.Quote(text)
		}
	}
	return text
}

// plainName repeats a name that decayctl does not know. Whatever does not look like a name may be
// a value that went astray, a password among them, and is not repeated.
func plainName(name string) string {
	odd := func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.", r)
	}
	if name == "" || len(name) > quoteLimit || strings.ContainsFunc(name, odd) {
		return "a name that is not shown here"
	}
	return name
}
