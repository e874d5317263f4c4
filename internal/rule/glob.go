package rule

import "strings"

// glob is a pattern in which * stands for any number of characters, and every other character for itself. Case counts.
type glob string

// anything is the pattern that matches every text.
const anything = "*"

func (g glob) any() bool { return g == "" || strings.Trim(string(g), anything) == "" }

func (g glob) exact() bool { return !g.any() && !strings.Contains(string(g), anything) }

// prefix is the literal text with which every match begins.
func (g glob) prefix() string {
	literal, _, _ := strings.Cut(string(g), anything)
	return literal
}

// matches compares piece by piece from the left. For each * the shortest match will do, except for the last, which must reach
// the end.
func (g glob) matches(text string) bool {
	if g.any() {
		return true
	}
	first, rest, wild := strings.Cut(string(g), anything)
	if !wild {
		return text == first
	}
	if !strings.HasPrefix(text, first) {
		return false
	}
	text = text[len(first):]
	for {
		piece, more, wild := strings.Cut(rest, anything)
		if !wild {
			return strings.HasSuffix(text, piece)
		}
		at := strings.Index(text, piece)
		if at < 0 {
			return false
		}
		text, rest = text[at+len(piece):], more
	}
}

// suffix is the literal text with which every match ends.
func (g glob) suffix() string { return string(g[strings.LastIndex(string(g), anything)+1:]) }

// meets tells whether some text matches both. Of two patterns with a * only the ends can exclude each other: the text may
// have what is between the ends of one before what is between those of the other.
func (g glob) meets(other glob) bool {
	switch {
	case g.any() || other.any():
		return true
	case g.exact():
		return other.matches(string(g))
	case other.exact():
		return g.matches(string(other))
	}
	return (strings.HasPrefix(g.prefix(), other.prefix()) || strings.HasPrefix(other.prefix(), g.prefix())) &&
		(strings.HasSuffix(g.suffix(), other.suffix()) || strings.HasSuffix(other.suffix(), g.suffix()))
}

// covers tells whether g surely matches all that other matches. A * in other counts as a character that only a * in g matches.
func (g glob) covers(other glob) bool {
	return g.any() || !other.any() && g.matches(string(other))
}
