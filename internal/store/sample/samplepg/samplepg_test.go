package samplepg_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"decayctl/internal/store/pgtest"
	"decayctl/internal/store/sample"
	"decayctl/internal/store/sample/samplepg"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
)

// PostgreSQL holds the rows that were made, and no others; so does SQLite, hence both hold the same.
func TestFill(t *testing.T) {
	db := pgtest.Start(t).NewDatabase(t, pgtest.DatabaseOptions{Schema: "acme"})
	conn := db.Conn(t)
	o := sample.Options{
		Facts: 2000, AsOf: time.Date(2026, 6, 15, 12, 0, 0, 500_000_000, time.UTC), Seed: 1, VectorDimension: 3,
	}
	before := indexes(t, conn)
	if err := samplepg.Fill(t.Context(), conn, o); err != nil {
		t.Fatal(err)
	}
	// A fill drops indexes for speed; none may be missing afterwards.
	if diff := cmp.Diff(append(before, vectorIndex), indexes(t, conn)); diff != "" {
		t.Errorf("indexes before and after (-before +after):\n%s", diff)
	}
	for rows := range sample.Generate(o) {
		want := map[string]int{}
		for _, row := range rows.Values {
			want[line(row)]++
		}
		stored, err := conn.Query(t.Context(), "SELECT "+strings.Join(rows.Columns, ", ")+" FROM "+rows.Table)
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]int{}
		all, err := pgx.CollectRows(stored, func(row pgx.CollectableRow) ([]any, error) { return row.Values() })
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range all {
			got[line(row)]++
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-made +stored):\n%.2000s", rows.Table, diff)
		}
	}
}

// vectorIndex comes with the table that a fill makes; its name sorts last.
const vectorIndex = "CREATE UNIQUE INDEX vec_facts_pkey ON acme.vec_facts USING btree (fact_id)"

func indexes(t *testing.T, conn *pgx.Conn) []string {
	t.Helper()
	rows, err := conn.Query(t.Context(),
		`SELECT indexdef FROM pg_indexes WHERE schemaname = current_schema() ORDER BY indexname COLLATE "C"`)
	if err != nil {
		t.Fatal(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestFillFailsAsAWhole(t *testing.T) {
	conn := pgtest.Start(t).NewDatabase(t, pgtest.DatabaseOptions{}).Conn(t)
	o := sample.Options{Facts: 50, AsOf: time.Date(2026, 6, 15, 12, 0, 0, 0, time.UTC)}
	if err := samplepg.Fill(t.Context(), conn, o); err != nil {
		t.Fatal(err)
	}
	before := indexes(t, conn)
	if err := samplepg.Fill(t.Context(), conn, o); err == nil {
		t.Error("filling it again with the same rows is no error")
	}
	if diff := cmp.Diff(before, indexes(t, conn)); diff != "" {
		t.Errorf("indexes before and after (-before +after):\n%s", diff)
	}
}

// line writes a row so that the same values of different Go types look the same.
func line(row []any) string {
	fields := make([]string, len(row))
	for i, v := range row {
		switch v := v.(type) {
		case float32:
			fields[i] = strconv.FormatFloat(float64(v), 'g', -1, 32)
		case float64:
			fields[i] = strconv.FormatFloat(v, 'g', -1, 64)
		default:
			fields[i] = fmt.Sprintf("%q", fmt.Sprint(v))
		}
	}
	return strings.Join(fields, " ")
}
