package sqlite

import (
	"database/sql"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestPack: packed texts come out unchanged, whatever bytes they have, in one column or in several.
func TestPack(t *testing.T) {
	t.Parallel()
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	text := rapid.OneOf(rapid.StringMatching(`[a-c|"\\\n]{0,3}`), rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 4), func(b []byte) string { return string(b) }))
	rapid.Check(t, func(rt *rapid.T) {
		columns := []string{"a", "b", "c"}[:rapid.IntRange(1, 3).Draw(rt, "columns")]
		rows := rapid.SliceOfN(rapid.SliceOfN(text, len(columns), len(columns)), 0, 4).Draw(rt, "rows")
		list := pack(columns, len(rows), func(i int) []string { return rows[i] })
		found, err := db.QueryContext(t.Context(), "SELECT l.* FROM ("+list.sql+") l", list.json)
		if err != nil {
			rt.Fatal(err)
		}
		defer func() { _ = found.Close() }()
		for i, want := range rows {
			got, to := make([]string, len(columns)), make([]any, len(columns))
			for at := range got {
				to[at] = &got[at]
			}
			if !found.Next() {
				rt.Fatalf("%d rows of %d", i, len(rows))
			}
			if err := found.Scan(to...); err != nil || !slices.Equal(got, want) {
				rt.Errorf("%q, not %q, %v", got, want, err)
			}
		}
		if found.Next() || found.Err() != nil {
			rt.Errorf("and one more, %v", found.Err())
		}
	})
}

// TestRowSet: a set of rowids behaves like a map.
func TestRowSet(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		var s rowSet
		in := map[int64]bool{}
		for _, row := range rapid.SliceOf(rapid.Int64Range(0, 300)).Draw(rt, "rows") {
			s.add(row)
			in[row] = true
			if row >= s.end() {
				rt.Fatalf("%d is not below %d", row, s.end())
			}
		}
		following := s.end()
		for row := int64(399); row >= 0; row-- {
			if in[row] {
				following = row
			}
			if next := s.next(row); row < s.end() && next != following {
				rt.Fatalf("from %d on: %d, not %d", row, next, following)
			}
			if s.has(row) != in[row] {
				rt.Fatalf("%d: %t", row, s.has(row))
			}
		}
	})
}
