package sqlite

import (
	"encoding/hex"
	"strconv"
	"strings"

	"decayctl/internal/store"
)

// Ids travel to SQLite in one JSON array: that is far cheaper than a statement for each fact. An id is
// any text, and JSON would change what is not UTF-8, so those that are not plain travel as hex digits.
const (
	idsSQL    = `SELECT value AS id FROM json_each($1)`
	hexIDsSQL = `SELECT CAST(unhex(value) AS TEXT) AS id FROM json_each($1)`
)

// idList is some ids as a JSON array, and the query that unpacks it from $1.
type idList struct{ json, sql string }

// headed is ids that have a text in front of each, with a bar between the two.
type headed struct {
	idList
	head int // how long these texts are, where all are as long; else -1
}

// beforeBar is what a row b has in front of its id. To count is faster than to look for the bar.
func (l headed) beforeBar() string {
	if l.head < 0 {
		return l.cut("1, instr($id, $bar) - 1")
	}
	return l.cut("1, " + strconv.Itoa(l.head))
}

// behindBar is the id of such a row.
func (l headed) behindBar() string {
	if l.head < 0 {
		return l.cut("instr($id, $bar) + 1")
	}
	return l.cut(strconv.Itoa(l.head + len("|") + 1))
}

// cut takes a part of a row. Functions on text end at a NUL, which an id that is not plain may hold: its row is taken as
// bytes.
func (l idList) cut(part string) string {
	if l.sql == idsSQL {
		return strings.NewReplacer("$id", "b.id", "$bar", "'|'").Replace("substr(b.id, " + part + ")")
	}
	const bytes = "CAST(b.id AS BLOB)"
	return strings.NewReplacer("$id", bytes, "$bar", "x'7c'").Replace("CAST(substr(" + bytes + ", " + part + ") AS TEXT)")
}

// packHeaded makes a list of facts with a text in front of the id of each.
func packHeaded(expiries []*store.Expiry, headOf func(*store.Expiry) string) headed {
	rows, head := make([]string, len(expiries)), 0
	for i, e := range expiries {
		before := headOf(e)
		rows[i] = before + "|" + e.Fact.ID
		if i == 0 {
			head = len(before)
		} else if head != len(before) {
			head = -1
		}
	}
	return headed{pack(rows), head}
}

// pack makes a list of some ids.
func pack(ids []string) idList {
	size := len("[]")
	for _, id := range ids {
		size += len(id) + len(`"",`)
	}
	a := jsonArray{make([]byte, 0, size)}
	for _, id := range ids {
		if !a.plain(id) {
			return packHex(ids)
		}
	}
	return idList{a.String(), idsSQL}
}

func packHex(ids []string) idList {
	a := jsonArray{}
	for _, id := range ids {
		a.hex(id)
	}
	return idList{a.String(), hexIDsSQL}
}

func packFacts(expiries []*store.Expiry) idList {
	ids := make([]string, len(expiries))
	for i, e := range expiries {
		ids[i] = e.Fact.ID
	}
	return pack(ids)
}

// jsonArray grows a JSON array of hex strings, or of small arrays of them.
type jsonArray struct{ buf []byte }

func (a *jsonArray) String() string {
	if len(a.buf) == 0 {
		return "[]"
	}
	return string(append(a.buf, ']'))
}

func (a *jsonArray) next() {
	if len(a.buf) == 0 {
		a.buf = append(a.buf, '[')
	} else {
		a.buf = append(a.buf, ',')
	}
}

func (a *jsonArray) quoteHex(value string) {
	a.buf = append(a.buf, '"')
	a.buf = hex.AppendEncode(a.buf, []byte(value))
	a.buf = append(a.buf, '"')
}

// plain are the bytes that JSON leaves as they are.
var plain = func() (plain [256]bool) {
	for c := ' '; c <= '~'; c++ {
		plain[c] = c != '"' && c != '\\'
	}
	return plain
}()

// plain adds a value that JSON leaves as it is, or adds nothing and says so.
func (a *jsonArray) plain(value string) bool {
	for i := range len(value) {
		if !plain[value[i]] {
			return false
		}
	}
	a.next()
	a.buf = append(a.buf, '"')
	a.buf = append(a.buf, value...)
	a.buf = append(a.buf, '"')
	return true
}

func (a *jsonArray) number(value int64) {
	a.next()
	a.buf = strconv.AppendInt(a.buf, value, 10)
}

func (a *jsonArray) hex(value string) {
	a.next()
	a.quoteHex(value)
}
