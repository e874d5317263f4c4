package storetest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"decayctl/internal/fact"
	"decayctl/internal/job"
	"decayctl/internal/rule"
	"decayctl/internal/store"
)

// handiwork is what another process may do to the override of an expired fact, one column at a time.
var handiwork = []struct{ name, change string }{
	{"confidence", `UPDATE fact_validity_overrides SET confidence = 0.9 WHERE fact_id = $1`},
	{"deleted", `DELETE FROM fact_validity_overrides WHERE fact_id = $1`},
	{"reason", `UPDATE fact_validity_overrides SET reason = 'decay_sweep ' WHERE fact_id = $1`},
	{"reason null", `UPDATE fact_validity_overrides SET reason = NULL WHERE fact_id = $1`},
	{"updated_at", `UPDATE fact_validity_overrides SET updated_at = '2026-11-23T12:30:08+00:00' WHERE fact_id = $1`},
	{"updated_by", `UPDATE fact_validity_overrides SET updated_by = 'someone' WHERE fact_id = $1`},
	{"updated_by null", `UPDATE fact_validity_overrides SET updated_by = NULL WHERE fact_id = $1`},
	{"valid_until", `UPDATE fact_validity_overrides SET valid_until = '2030-01-01T00:00:00.000000+00:00' WHERE fact_id = $1`},
	{"valid_until null", `UPDATE fact_validity_overrides SET valid_until = NULL WHERE fact_id = $1`},
}

// testUndoOthers: an undo leaves alone a fact that another process changed since the sweep, with its edge and its row in the
// log. The change may come before the undo reads the fact, or just after. All other facts are restored.
func testUndoOthers(t *testing.T, d Database) {
	g := d.scene(t)
	for _, hand := range handiwork {
		for _, id := range []string{"bare ", "over "} {
			var change []func(*fact.Candidate)
			if id == "over " {
				change = append(change, Overridden(fact.Override{Confidence: ptr(0.35), ValidUntil: ptr(farOff)}))
			}
			d.Insert(t, Fact(id+hand.name, change...), Fact(id+hand.name+" beside", change...))
			d.Edge(t, id+hand.name, nil)
			d.Edge(t, id+hand.name+" beside", nil)
		}
	}
	before := g.rows(t, factTables...)
	theirs := func(row string) bool { return !strings.Contains(row, " beside") }
	for _, late := range []bool{false, true} {
		h := g.start()
		h.sweep(1000)
		undo := g.join(h.Job.ID, true)
		read := func() store.Changes {
			t.Helper()
			found, err := g.s.Changes(g.ctx, store.ChangesParams{Job: undo.Job, Size: 1000})
			if err != nil {
				t.Fatal(err)
			}
			return found
		}
		found := read()
		if len(found.List) != 4*len(handiwork) {
			t.Fatalf("%d changes", len(found.List))
		}
		for _, hand := range handiwork {
			d.Exec(t, hand.change, "bare "+hand.name)
			d.Exec(t, hand.change, "over "+hand.name)
		}
		touched := g.rows(t, factTables...)
		if !late {
			if found = read(); len(found.List) != 2*len(handiwork) || slices.ContainsFunc(ids(found.List), theirs) {
				t.Errorf("changes that are not the job's any more: %q", ids(found.List))
			}
		}
		if _, err := g.s.Restore(g.ctx, store.RestoreParams{Lease: undo.Lease, Job: undo.Job, Changes: found}); err != nil {
			t.Fatal(err)
		}
		if j := undo.finish(job.Undone); j.Counts.Restored != int64(2*len(handiwork)) || j.Counts.LeftAlone != int64(2*len(handiwork)) {
			t.Errorf("late %v: %+v", late, j.Counts)
		}
		g.checkNode(h.Job.ID)
		for table, rows := range g.rows(t, factTables...) {
			want := slices.Concat(slices.DeleteFunc(before[table], theirs), slices.DeleteFunc(touched[table], func(row string) bool { return !theirs(row) }))
			slices.Sort(want)
			if diff := cmp.Diff(want, rows); diff != "" {
				t.Errorf("late %v: %s (-theirs as it was, ours as before +after the undo):\n%s", late, table, diff)
			}
		}
		for _, table := range []string{"fact_validity_overrides", "fact_retractions", "entity_edges"} {
			d.Exec(t, "DELETE FROM "+table)
		}
		for _, hand := range handiwork {
			for _, id := range []string{"bare " + hand.name, "over " + hand.name, "bare " + hand.name + " beside", "over " + hand.name + " beside"} {
				d.Edge(t, id, nil)
				if strings.HasPrefix(id, "over ") {
					d.Exec(t, `INSERT INTO fact_validity_overrides (fact_id, valid_until, confidence, updated_at) VALUES ($1, $2, 0.35, '2026-02-01T00:00:00+00:00')`, id, farOff)
				}
			}
		}
		before = g.rows(t, factTables...)
	}
}

// testUndoEdges: an undo restores an edge if it is what the sweep wrote. If another process changed or deleted the edge, only
// the fact is restored. This holds for edges with a before-image and for those without.
func testUndoEdges(t *testing.T, d Database) {
	g := d.scene(t)
	g.many(8)
	for i := range 8 {
		var until *string
		if i < 4 {
			until = ptr(farOff)
		}
		d.Edge(t, fmt.Sprintf("%04d", i), until)
	}
	h := g.start()
	h.sweep(10)
	d.Exec(t, "UPDATE entity_edges SET valid_until = '2035' WHERE id IN ('0000', '0004')")
	d.Exec(t, "UPDATE entity_edges SET decay_epoch = NULL WHERE id IN ('0001', '0005')")
	d.Exec(t, "DELETE FROM entity_edges WHERE id IN ('0002', '0006')")
	if j := g.join(h.Job.ID, true).takeBack(10); j.Counts.Restored != 8 {
		t.Errorf("%+v", j.Counts)
	}
	d.expect(t, edgeRows, "0000 | 2035 | 1795435200123", "0001 | "+asOfText+" | -", "0003 | "+farOff+" | -",
		"0004 | 2035 | 1795435200123", "0005 | "+asOfText+" | -", "0007 | - | -")
	d.expect(t, overrideRows)
	d.expect(t, retractionRows)
}

// testUndoPart undoes a job that stopped half-way, and one that wrote nothing.
func testUndoPart(t *testing.T, d Database) {
	g := d.scene(t)
	g.many(6)
	d.Insert(t, Fact("9999", Overridden(fact.Override{Confidence: ptr(0.35)})))
	before := g.rows(t, factTables...)
	h := g.start()
	c := h.claim(4)
	h.claim(2)
	h.apply(h.batch(c, h.read(c)[:3]))
	g.move(h.Job.ID, job.Cancelled)
	if found := ids(g.changes(h.Job, 2)); !slices.Equal(found, []string{"0000", "0001", "0002"}) {
		t.Errorf("changed %v", found)
	}
	if j := g.join(h.Job.ID, true).takeBack(2); j.Counts.Restored != 3 || j.OpenClaims != 0 {
		t.Errorf("%+v", j)
	}
	none := g.in(job.Failed)
	if j := g.join(none.ID, true).takeBack(2); j.Counts.Restored != 0 || j.State != job.Undone {
		t.Errorf("%+v", j)
	}
	if diff := cmp.Diff(before, g.rows(t, factTables...)); diff != "" {
		t.Errorf("(-before +after):\n%s", diff)
	}
	g.count(0, "decayctl_workers")
}

// testImagesOfWritten: a fact that a batch left alone has no before-image, and is not part of an undo.
func testImagesOfWritten(t *testing.T, d Database) {
	g := d.scene(t)
	d.Insert(t, Fact("a", Overridden(fact.Override{Confidence: ptr(0.2)})), Fact("b", Overridden(fact.Override{Confidence: ptr(0.35)})), Fact("c"), Fact("d"))
	d.Edge(t, "c", ptr(farOff))
	d.Edge(t, "d", ptr(farOff))
	h := g.start()
	b := h.whole(h.claim(10))
	d.Exec(t, "UPDATE fact_validity_overrides SET confidence = 0.9 WHERE fact_id = 'a'")
	d.Exec(t, holdSQL, "t", "stigmem://acme/user/1", "team", "default", 1) // another scope: holds nothing here
	d.Exec(t, "INSERT INTO fact_validity_overrides (fact_id, updated_at) VALUES ('c', 'just now')")
	applied, err := g.s.Apply(g.ctx, b)
	if err != nil || !slices.Equal(applied.Changed, []int{0, 2}) {
		t.Fatalf("%+v, %v", applied, err)
	}
	if c := applied.Counts; c.Selected != 4 || c.Decayed != 2 || c.Kept[rule.ChangedMeanwhile] != 2 {
		t.Errorf("counted %+v", c)
	}
	d.expect(t, "SELECT fact_id, had_override, confidence, had_edge, edge_valid_until FROM decayctl_before ORDER BY fact_id",
		"b | 1 | 0.35 | 0 | -", "d | 0 | - | 1 | "+farOff)
	if j := g.find(h.Job.ID); j.BeforeImages != 2 {
		t.Errorf("%d before-images", j.BeforeImages)
	}
	if found := ids(g.changes(h.Job, 10)); !slices.Equal(found, []string{"b", "d"}) {
		t.Errorf("changed %v", found)
	}
}

// testFirstImage: if a job writes a fact twice, an undo restores the state before the first time.
func testFirstImage(t *testing.T, d Database) {
	g := d.scene(t)
	d.Insert(t, Fact("a", Overridden(fact.Override{Confidence: ptr(0.35), Reason: ptr("the first")})), Fact("b"))
	before := g.rows(t, factTables...)
	h := g.start()
	first, second := h.claim(1), h.claim(1)
	h.apply(h.whole(first))
	d.Exec(t, "UPDATE fact_validity_overrides SET valid_until = $1, reason = 'the second' WHERE fact_id = 'a'", farOff)
	again, b := h.whole(first), h.whole(second)
	again.Expiries[0].Retraction = ""
	b.Expiries = append(again.Expiries, b.Expiries...)
	h.apply(b)
	g.move(h.Job.ID, job.Paused)
	if j := g.join(h.Job.ID, true).takeBack(10); j.Counts.Restored != 2 {
		t.Errorf("%+v", j.Counts)
	}
	if diff := cmp.Diff(before, g.rows(t, factTables...)); diff != "" {
		t.Errorf("(-before +after):\n%s", diff)
	}
}
