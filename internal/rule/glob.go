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

// covers tells whether g surely matches all that other matches. A * in other counts as a character that only a * in g matches.
func (g glob) covers(other glob) bool {
	return g.any() || !other.any() && g.matches(string(other))
}
