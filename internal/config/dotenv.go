package config

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// parseDotenv parses a .env file into NAME=value lines, as the node's reader (python-dotenv) does. Readers for Go end
// an unquoted value at any # and expand $WORD: a database password would lose its end, and another store would be
// swept.
//
// It skips lines that the node cannot read, as the node does. If such a line has a STIGMEM_ name, it fails: the node
// works with other settings than the file seems to have.
func parseDotenv(file, text string, environ map[string]string) ([]string, error) {
	if !utf8.ValidString(text) {
		return nil, errorf("%s is not UTF-8 text; save it as such", file)
	}
	text = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(strings.TrimPrefix(text, "\uFEFF"))
	r := dotenvReader{rest: text}
	values := map[string]string{}
	var pairs []string
	for {
		r.rest = strings.TrimLeftFunc(r.rest, unicode.IsSpace)
		if r.rest == "" {
			return pairs, nil
		}
		start := r.rest
		name, value, kind := r.line()
		switch kind {
		case assignment:
			value = expand(value, values, environ)
			values[name] = value
			pairs = append(pairs, name+"="+value)
		case broken:
			r.until("\n")
			if strings.Contains(strings.ToUpper(start[:len(start)-len(r.rest)]), nodePrefix) {
				number := 1 + strings.Count(text[:len(text)-len(start)], "\n")
				return nil, errorf("%s:%d cannot be read, so the node ignores it; look for a missing quote or text after one", file, number)
			}
		}
	}
}

type lineKind int

const (
	assignment lineKind = iota
	nothing             // a comment, or a name without a value
	broken
)

// dotenvReader parses the text from the left.
type dotenvReader struct{ rest string }

// until reads all bytes before the first of some bytes, or all of the text.
func (r *dotenvReader) until(stops string) string {
	end := strings.IndexAny(r.rest, stops)
	if end < 0 {
		end = len(r.rest)
	}
	taken := r.rest[:end]
	r.rest = r.rest[end:]
	return taken
}

// blanks skips white space within the line, and tells whether there was any.
func (r *dotenvReader) blanks() bool {
	rest := strings.TrimLeftFunc(r.rest, func(c rune) bool { return c != '\n' && unicode.IsSpace(c) })
	skipped := len(rest) < len(r.rest)
	r.rest = rest
	return skipped
}

// line reads [export] NAME[=value] [# comment]. If the line is broken, rest begins where it is.
func (r *dotenvReader) line() (name, value string, kind lineKind) {
	if after, ok := strings.CutPrefix(r.rest, "export"); ok {
		behind := dotenvReader{after}
		if behind.blanks() {
			*r = behind
		}
	}
	if !strings.HasPrefix(r.rest, "#") {
		var ok bool
		if name, ok = r.name(); !ok {
			return "", "", broken
		}
	}
	r.blanks()
	kind = nothing
	if after, ok := strings.CutPrefix(r.rest, "="); ok {
		r.rest, kind = after, assignment
		spaced := r.blanks()
		// A # directly after the = belongs to the value. After a blank it starts a comment.
		if !spaced || !strings.HasPrefix(r.rest, "#") {
			if value, ok = r.value(); !ok {
				return "", "", broken
			}
		}
	}
	r.blanks()
	if strings.HasPrefix(r.rest, "#") {
		r.until("\n")
	}
	if r.rest != "" && r.rest[0] != '\n' {
		return "", "", broken
	}
	return name, value, kind
}

func (r *dotenvReader) name() (string, bool) {
	if after, ok := strings.CutPrefix(r.rest, "'"); ok {
		name, behind, closed := strings.Cut(after, "'")
		if closed {
			r.rest = behind
		}
		return name, closed && name != ""
	}
	end := strings.IndexFunc(r.rest, func(c rune) bool { return c == '=' || c == '#' || unicode.IsSpace(c) })
	if end < 0 {
		end = len(r.rest)
	}
	name := r.rest[:end]
	r.rest = r.rest[end:]
	return name, name != ""
}

func (r *dotenvReader) value() (string, bool) {
	switch {
	case strings.HasPrefix(r.rest, "'"):
		text, ok := r.quoted('\'')
		return strings.NewReplacer(`\\`, `\`, `\'`, `'`).Replace(text), ok
	case strings.HasPrefix(r.rest, `"`):
		text, ok := r.quoted('"')
		return strings.NewReplacer(`\\`, `\`, `\'`, `'`, `\"`, `"`, `\a`, "\a", `\b`, "\b", `\f`, "\f",
			`\n`, "\n", `\r`, "\r", `\t`, "\t", `\v`, "\v").Replace(text), ok
	}
	text := r.until("\n")
	for i, c := range text {
		if c == '#' && i > 0 && endsInSpace(text[:i]) {
			text = text[:i]
			break
		}
	}
	return strings.TrimRightFunc(text, unicode.IsSpace), true
}

func endsInSpace(s string) bool {
	last, _ := utf8.DecodeLastRuneInString(s)
	return unicode.IsSpace(last)
}

// quoted reads a quoted text, which may have several lines. It does not decode escapes.
func (r *dotenvReader) quoted(quote byte) (string, bool) {
	for i := 1; i < len(r.rest); i++ {
		switch r.rest[i] {
		case '\\':
			i++
		case quote:
			text := r.rest[1:i]
			r.rest = r.rest[i+1:]
			return text, true
		}
	}
	return "", false
}

// expand replaces ${NAME} and ${NAME:-default} by values of earlier lines, else of the environment.
func expand(text string, values, environ map[string]string) string {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(text, "${")
		inner, rest, closed := strings.Cut(after, "}")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		name, byDefault, hasDefault := strings.Cut(inner, ":-")
		if !closed || strings.Contains(name, ":") {
			b.WriteString("${")
			text = after
			continue
		}
		value, ok := values[name]
		if !ok {
			value, ok = environ[name]
		}
		if !ok && hasDefault {
			value = byDefault
		}
		b.WriteString(value)
		text = rest
	}
}
