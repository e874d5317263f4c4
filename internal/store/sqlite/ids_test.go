package sqlite

import (
	"database/sql"
	"testing"

	"pgregory.net/rapid"

	"decayctl/internal/fact"
	"decayctl/internal/store"
)

// TestHeadedIDs: what is packed into a list comes out of it again, whatever bytes an id has, and however long the text
// in front of it is.
func TestHeadedIDs(t *testing.T) {
	t.Parallel()
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	rapid.Check(t, func(rt *rapid.T) {
		head := rapid.StringMatching(`[0-9a-z_.-]{0,4}`)
		if rapid.Bool().Draw(rt, "as long") {
			head = rapid.StringMatching(`[0-9a-z_.-]{3}`)
		}
		id := rapid.OneOf(rapid.StringMatching(`[a-c|"]{0,3}`), rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 4), func(b []byte) string { return string(b) }))
		heads := map[*store.Expiry]string{}
		facts := make([]*store.Expiry, rapid.IntRange(0, 3).Draw(rt, "facts"))
		for i := range facts {
			facts[i] = &store.Expiry{Fact: &fact.Candidate{Fact: fact.Fact{ID: id.Draw(rt, "id")}}}
			heads[facts[i]] = head.Draw(rt, "head")
		}
		list := packHeaded(facts, func(e *store.Expiry) string { return heads[e] })
		rows, err := db.QueryContext(t.Context(), "SELECT "+list.beforeBar()+", "+list.behindBar()+" FROM ("+list.sql+") b", list.json)
		if err != nil {
			rt.Fatal(err)
		}
		defer func() { _ = rows.Close() }()
		for _, e := range facts {
			var before, behind string
			if !rows.Next() {
				rt.Fatal("a fact is missing")
			}
			if err := rows.Scan(&before, &behind); err != nil {
				rt.Fatal(err)
			}
			if before != heads[e] || behind != e.Fact.ID {
				rt.Errorf("%q and %q, not %q and %q", before, behind, heads[e], e.Fact.ID)
			}
		}
		if rows.Next() || rows.Err() != nil {
			rt.Errorf("and one more, %v", rows.Err())
		}
	})
}
