package sqlite

import (
	"encoding/hex"
	"encoding/json"

	"decayctl/internal/store"
)

// Ids travel to SQLite in one JSON array and as hex digits: an id is any text, and JSON would
// change what is not UTF-8. That is far cheaper than a statement for each fact.
const idsSQL = `SELECT CAST(unhex(value) AS TEXT) AS id FROM json_each($1)`

func idArray(expiries []store.Expiry) string {
	ids := jsonArray{}
	for _, e := range expiries {
		ids.hex(e.Fact.ID)
	}
	return ids.String()
}

// jsonArray grows a JSON array of hex strings, or of small arrays of them.
type jsonArray struct{ buf []byte }

func (a *jsonArray) empty() bool { return len(a.buf) == 0 }

func (a *jsonArray) String() string { return string(append(a.buf, ']')) }

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

func (a *jsonArray) hex(value string) {
	a.next()
	a.quoteHex(value)
}

func (a *jsonArray) hexes(values ...string) {
	a.next()
	for i, value := range values {
		a.buf = append(a.buf, "[,"[min(i, 1)])
		a.quoteHex(value)
	}
	a.buf = append(a.buf, ']')
}

// retraction is an id of ours, a fact's id, and a stamp that was read: any text, but one of another
// form is no stamp of a retraction.
func (a *jsonArray) retraction(id, factID, earlier string) {
	a.next()
	a.buf = append(a.buf, '[')
	a.quote(id)
	a.buf = append(a.buf, ',')
	a.quoteHex(factID)
	a.buf = append(a.buf, ',')
	a.quote(earlier)
	a.buf = append(a.buf, ']')
}

func (a *jsonArray) quote(value string) {
	quoted, _ := json.Marshal(value) //nolint:errchkjson // a string always marshals
	a.buf = append(a.buf, quoted...)
}
