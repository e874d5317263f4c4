package sqlite

import (
	"encoding/hex"
	"strconv"
	"strings"

	"decayctl/internal/store"
)

// list is rows of text as a JSON array, and the query that reads them from the argument $1. One statement with a list is
// much faster than a statement for each row.
type list struct{ json, sql string }

// pack makes a list of n rows with the given columns. If JSON cannot hold one of the texts, all texts are hex digits.
func pack(columns []string, n int, row func(i int) []string) list {
	json, plain := encode(n, row, false)
	if !plain {
		json, _ = encode(n, row, true)
	}
	selected := make([]string, len(columns))
	for at, name := range columns {
		value := "value"
		if len(columns) > 1 {
			value = "value ->> " + strconv.Itoa(at)
		}
		if !plain {
			value = "CAST(unhex(" + value + ") AS TEXT)"
		}
		selected[at] = value + " AS " + name
	}
	return list{json, "SELECT " + strings.Join(selected, ", ") + " FROM json_each($1)"}
}

// encode makes a JSON array of n rows. A row is a text, or an array if it has several texts. Without digits, plain is
// false at the first text that JSON cannot hold.
func encode(n int, row func(i int) []string, digits bool) (json string, plain bool) {
	buf := []byte{'['}
	for i := range n {
		if i > 0 {
			buf = append(buf, ',')
		}
		values := row(i)
		if len(values) > 1 {
			buf = append(buf, '[')
		}
		for at, value := range values {
			if at > 0 {
				buf = append(buf, ',')
			}
			buf = append(buf, '"')
			switch {
			case digits:
				buf = hex.AppendEncode(buf, []byte(value))
			case isPlain(value):
				buf = append(buf, value...)
			default:
				return "", false
			}
			buf = append(buf, '"')
		}
		if len(values) > 1 {
			buf = append(buf, ']')
		}
	}
	return string(append(buf, ']')), true
}

// isPlain tells whether a text is the same in JSON. An id may be any text, and JSON would change bytes that are not UTF-8.
func isPlain(text string) bool {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

func packIDs(ids []string) list {
	return pack([]string{"id"}, len(ids), func(i int) []string { return ids[i : i+1] })
}

func packFacts(expiries []*store.Expiry) list {
	return pack([]string{"id"}, len(expiries), func(i int) []string { return []string{expiries[i].ID} })
}

// packRows makes a JSON array of rowids.
func packRows(rows []wanted) string {
	buf := []byte{'['}
	for i, w := range rows {
		if i > 0 {
			buf = append(buf, ',')
		}
		buf = strconv.AppendInt(buf, w.row, 10)
	}
	return string(append(buf, ']'))
}
