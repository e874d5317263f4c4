package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// write encodes v as an indented document, writeLine on one line. Both also escape control characters of terminals, since
// people read JSON there too.
func write(w io.Writer, v any) error { return encode(w, v, "  ") }

func writeLine(w io.Writer, v any) error { return encode(w, v, "") }

func encode(w io.Writer, v any, indent string) error {
	var plain bytes.Buffer
	encoder := json.NewEncoder(&plain)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", indent)
	if err := encoder.Encode(v); err != nil {
		return err
	}
	// Newlines are kept: those in strings are escaped already.
	_, err := io.WriteString(w, escape(plain.String(), "\n"))
	return err
}

// escape replaces characters that are invisible, move the cursor or change the direction of the text by \uXXXX, except
// for those in keep. Bytes that are not UTF-8 become U+FFFD.
func escape(s string, but string) string {
	harmless := func(r rune) bool { return unicode.IsPrint(r) || strings.ContainsRune(but, r) }
	if utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool { return !harmless(r) }) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		switch {
		case harmless(r):
			b.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

// orNull is null for an empty string.
func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// instant is null for the zero time.
func instant(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	return stamp(&t)
}

// stamp is an instant of a fact. The zero time is a valid one; nil is none.
func stamp(t *time.Time) *string {
	if t == nil {
		return nil
	}
	return orNull(t.UTC().Format("2006-01-02T15:04:05.000000Z07:00"))
}
