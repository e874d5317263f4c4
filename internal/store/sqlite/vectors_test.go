package sqlite_test

import (
	"strings"
	"testing"

	"decayctl/internal/store/storetest"
)

// TestVectorsOfExpiredFactsAreDeleted: other facts keep their vectors.
func TestVectorsOfExpiredFactsAreDeleted(t *testing.T) {
	t.Parallel()
	path := newFile(t)
	d := database(t, path)
	d.Exec(t, "CREATE VIRTUAL TABLE vec_facts USING vec0(fact_id TEXT PRIMARY KEY, embedding FLOAT[4])")
	for _, id := range []string{"a", "b", "it's \"c\""} {
		d.Insert(t, storetest.Fact(id))
		d.Exec(t, "INSERT INTO vec_facts (fact_id, embedding) VALUES ($1, '[1, 2, 3, 4]')", id)
	}
	d.Exec(t, "UPDATE fact_validity_overrides SET confidence = 0.9")
	d.Exec(t, "INSERT INTO fact_validity_overrides (fact_id, confidence, updated_at) VALUES ('b', 0.9, 'x')")
	if got := run(t, open(t, path, false), false); got.Decayed != 2 {
		t.Errorf("expired %d", got.Decayed)
	}
	if left := d.Rows(t, "SELECT fact_id FROM vec_facts"); len(left) != 1 || left[0] != "b" {
		t.Errorf("vectors left: %v", left)
	}
}

// TestUnwritableVectorsDoNotStopASweep: a vec_facts that cannot be written is reported.
func TestUnwritableVectorsDoNotStopASweep(t *testing.T) {
	t.Parallel()
	path := newFile(t)
	d := database(t, path)
	d.Insert(t, storetest.Fact("a"))
	d.Exec(t, "CREATE VIEW vec_facts AS SELECT id AS fact_id FROM facts")
	s := open(t, path, false)
	if notes := s.Notes(); len(notes) != 1 || !strings.Contains(notes[0], "vec_facts cannot be written") {
		t.Errorf("notes: %q", notes)
	}
	if got := run(t, s, false); got.Decayed != 1 {
		t.Errorf("expired %d", got.Decayed)
	}
}
