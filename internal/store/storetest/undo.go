package storetest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"decayctl/internal/fact"
	"decayctl/internal/job"
	"decayctl/internal/rule"
	"decayctl/internal/store"
)

const farOff, farOffToo = "2131-05-06T07:08:09.000000+00:00", "2132-01-01"

// varied inserts facts in every state that a sweep may find, and returns the changes of a job that expires all of them.
func (g *scene) varied() (changes []job.Change) {
	g.t.Helper()
	retract := func(id, factID, at, by string) {
		g.Exec(g.t, `INSERT INTO fact_retractions (id, fact_id, retracted_at, retracted_by) VALUES ($1, $2, $3, $4)`, id, factID, at, by)
	}
	until := func(c *fact.Candidate) { c.ValidUntil = ptr(farOff) }
	edge := func(id string, validUntil *string, epoch *int64) *fact.Edge {
		g.Edge(g.t, id, validUntil)
		g.Exec(g.t, "UPDATE entity_edges SET decay_epoch = $1 WHERE id = $2", epoch, id)
		return &fact.Edge{ValidUntil: validUntil, DecayEpoch: epoch}
	}
	add := func(id string, change ...func(*fact.Candidate)) *job.Change {
		c := Fact(id, change...)
		g.Insert(g.t, c)
		changes = append(changes, job.Change{FactID: id, Before: c.Override})
		return &changes[len(changes)-1]
	}
	add("a plain")
	add("b confidence only", Overridden(fact.Override{Confidence: ptr(0.35)}))
	add("c expiry later", Overridden(fact.Override{ValidUntil: ptr(farOffToo)}))
	add("d all columns", until, Overridden(fact.Override{
		ValidUntil: ptr(farOff), Confidence: ptr(0.1), Reason: ptr("it's \"quoted\""), UpdatedAt: "any text", UpdatedBy: ptr("")}))
	add("e rejected", Overridden(fact.Override{Confidence: ptr(0.0), Reason: ptr("quarantine_rejected"), UpdatedBy: ptr("moderator")}))
	add("f edge as its fact")
	edge("f edge as its fact", nil, nil)
	add("g edge with the fact's expiry", until)
	edge("g edge with the fact's expiry", ptr(farOff), nil)
	c := add("h edge that differs", until)
	c.Edge = edge("h edge that differs", ptr(farOffToo), nil)
	c = add("i edge without expiry", until)
	c.Edge = edge("i edge without expiry", nil, nil)
	c = add("j edge that decayed before")
	c.Edge = edge("j edge that decayed before", ptr("2026-01-01T00:00:00.000000+00:00"), ptr(int64(1767225600000)))
	c = add("k edge and override", Overridden(fact.Override{ValidUntil: ptr(farOff)}))
	c.Edge = edge("k edge and override", ptr(farOff), ptr(int64(0)))
	c = add("k edge of an epoch alone", until)
	c.Edge = edge("k edge of an epoch alone", ptr(farOff), ptr(int64(7)))
	add("l retracted before")
	retract("x1", "l retracted before", "2026-01-02T00:00:00.000000+00:00", "someone")
	retract("x2", "l retracted before", "2026-01-03T00:00:00.000000+00:00", store.Actor)
	add("m retracted at the very as-of").Retraction = "none"
	retract("x3", "m retracted at the very as-of", asOfText, store.Actor)
	add("n by age alone").Retraction = "none"
	add("\u202eevil '%_\n")
	add("日本")
	edge("z of no fact", ptr(farOff), nil)
	return changes
}

// expected adds what the job writes to changes.
func (h *share) expected(changes []job.Change) []job.Change {
	want := slices.Clone(changes)
	for i := range want {
		w := &want[i]
		w.After = fact.Override{ValidUntil: ptr(fact.FormatInstant(h.Job.AsOf)), Reason: ptr(store.Reason), UpdatedAt: fact.FormatSecond(h.Job.Stamp), UpdatedBy: ptr(store.Actor)}
		if w.Before != nil {
			w.After.Confidence = w.Before.Confidence
		}
		if w.Retraction == "" {
			w.Retraction = "retract_" + w.FactID + "-" + h.Job.Tag()
		} else {
			w.Retraction = ""
		}
	}
	return want
}

// expire expires all facts in small batches, without a retraction for the facts "by age alone".
func (h *share) expire() job.Job {
	h.t.Helper()
	return h.sweepBy(3, func(c store.Claim) store.Batch {
		b := h.whole(c)
		for i, e := range b.Expiries {
			if e.ID == "n by age alone" {
				b.Expiries[i].Retraction, e.Shared.Verdict.Rules = "", []string{rule.NameTTL}
			}
		}
		return b
	})
}

// testUndo: after an undo every row is what it was before the sweep.
func testUndo(t *testing.T, d Database) {
	g := d.scene(t)
	facts := g.varied()
	d.Card(t, "stigmem://acme/user/1", "default", "local", 0)
	before := g.rows(t, factTables...)
	for _, size := range []int{1, 3, 100} {
		h := g.start()
		h.expire()
		if cmp.Equal(before, g.rows(t, factTables...)) {
			t.Fatal("the sweep changed nothing")
		}
		want := h.expected(facts)
		found := g.changes(h.Job, size)
		d.expect(t, "SELECT fact_id FROM fact_validity_overrides ORDER BY fact_id", ids(found)...)
		slices.SortFunc(found, func(a, b job.Change) int {
			return slices.Index(ids(want), a.FactID) - slices.Index(ids(want), b.FactID)
		})
		if diff := cmp.Diff(want, found); diff != "" {
			t.Errorf("changes, %d at once (-want +got):\n%s", size, diff)
		}
		g.clock.move(time.Minute)
		undo := g.join(h.Job.ID, true)
		j := undo.takeBack(size)
		if diff := cmp.Diff(before, g.rows(t, factTables...)); diff != "" {
			t.Errorf("taken back, %d at once (-before the sweep +after the undo):\n%s", size, diff)
		}
		if j.Counts.Restored != int64(len(facts)) || j.Counts.LeftAlone != 0 || j.Counts.Decayed != int64(len(facts)) || !j.Completed.Equal(g.clock.now()) {
			t.Errorf("%+v", j)
		}
		g.checkNode(j.ID)
		g.count(0, "decayctl_workers")
		d.expect(t, "SELECT is_stale FROM memory_cards", "1") // it is made again, of what holds now
	}
}

func ids(changes []job.Change) (all []string) {
	for _, c := range changes {
		all = append(all, c.FactID)
	}
	return all
}

// testUndoStopped runs an undo in two parts and repeats the first part: restored rows stay restored.
func testUndoStopped(t *testing.T, d Database) {
	g := d.scene(t)
	facts := g.varied()
	before := g.rows(t, factTables...)
	h := g.start()
	h.expire()
	undo := g.join(h.Job.ID, true)
	found, err := g.s.Changes(g.ctx, store.ChangesParams{Job: undo.Job, Size: 5})
	if err != nil || len(found.List) != 5 {
		t.Fatalf("%+v, %v", found, err)
	}
	restore := store.RestoreParams{Lease: undo.Lease, Job: undo.Job, Changes: found}
	for range 2 {
		g.clock.move(time.Minute)
		restored, err := g.s.Restore(g.ctx, restore)
		if err != nil || restored.Counts.Restored != 5 || restored.Counts.Decayed != int64(len(facts)) {
			t.Errorf("%+v, %v", restored, err)
		}
		j := g.find(h.Job.ID)
		if !j.UndoneAny || j.UndoneUpTo != found.Last.ID || !cmp.Equal(j.Counts, restored.Counts) || j.State != job.Undoing || !j.Updated.Equal(g.clock.now()) {
			t.Errorf("%+v", j)
		}
		g.checkNode(j.ID)
		g.count(len(facts)-5, "fact_validity_overrides WHERE updated_at = $1", stampText)
	}
	next, err := g.s.Changes(g.ctx, store.ChangesParams{Job: undo.Job, After: found.Last, Size: 5})
	if err != nil || len(next.List) != 5 {
		t.Fatalf("%+v, %v", next, err)
	}
	g.end(h.Job.ID)
	restore.Changes, restore.After = next, found.Last
	tooLate := func(what string) {
		t.Helper()
		untouched := g.unchanged()
		_, err := g.s.Restore(g.ctx, restore)
		undo.lost(what, err, job.Undoing)
		untouched(what)
	}
	tooLate("an undo after its lease")
	again := g.join(h.Job.ID, true)
	tooLate("an undo that was taken over")
	if again.Job.UndoneUpTo != found.Last.ID || len(again.RemovedWorkers) != 1 {
		t.Errorf("%+v", again.Joined)
	}
	again.takeBack(5)
	if diff := cmp.Diff(before, g.rows(t, factTables...)); diff != "" {
		t.Errorf("(-before the sweep +after the undo):\n%s", diff)
	}
}

// testUndoMerged: the undo of a later sweep restores the override of the earlier one. The undo of the earlier sweep leaves
// alone an override that a later sweep has changed.
func testUndoMerged(t *testing.T, d Database) {
	g := d.scene(t)
	d.Insert(t, Fact("a", Overridden(fact.Override{Confidence: ptr(0.35), Reason: ptr("raised")})), Fact("b"))
	d.Edge(t, "a", nil)
	ahead := time.Now().UTC().Truncate(time.Second).AddDate(1, 0, 0) // the first one's host's clock is ahead
	first := g.start(func(p *store.StartParams) { p.AsOf = ahead })
	first.sweep(10)
	swept := g.rows(t, factTables...)
	second := g.start()
	second.sweep(10)
	both := g.rows(t, factTables...)
	if found := g.changes(first.Job, 10); len(found) > 0 {
		t.Errorf("still the first one's: %+v", found)
	}
	if j := g.join(first.Job.ID, true).takeBack(10); j.Counts.Restored != 0 || j.Counts.LeftAlone != 2 {
		t.Errorf("%+v", j.Counts)
	}
	if diff := cmp.Diff(both, g.rows(t, factTables...)); diff != "" {
		t.Errorf("the undo of the first touched the second's (-before +after):\n%s", diff)
	}
	g.join(second.Job.ID, true).takeBack(10)
	if diff := cmp.Diff(swept, g.rows(t, factTables...)); diff != "" {
		t.Errorf("the undo of the second (-before it +after):\n%s", diff)
	}
}

// testUndoOneOfTwo: of two jobs with the same as-of, an undo restores only the facts of its own job.
func testUndoOneOfTwo(t *testing.T, d Database) {
	g := d.scene(t)
	g.many(6)
	for i := range 6 {
		d.Edge(t, fmt.Sprintf("%04d", i), nil)
	}
	before := g.rows(t, factTables...)
	first := g.start()
	first.apply(first.whole(first.claim(3)))
	g.move(first.Job.ID, job.Paused)
	between := g.rows(t, factTables...)
	second := g.start()
	second.sweep(10)
	if found := ids(g.changes(second.Job, 10)); !slices.Equal(found, []string{"0003", "0004", "0005"}) {
		t.Errorf("the second one's are %v", found)
	}
	g.join(second.Job.ID, true).takeBack(2)
	if diff := cmp.Diff(between, g.rows(t, factTables...)); diff != "" {
		t.Errorf("the undo of the second (-before it +after):\n%s", diff)
	}
	g.start().sweep(10)
	g.join(first.Job.ID, true).takeBack(2)
	if found := d.Rows(t, "SELECT fact_id FROM fact_retractions ORDER BY fact_id"); !slices.Equal(found, []string{"0003", "0004", "0005"}) {
		t.Errorf("the undo of the first left the log of %v", found)
	}
	g.join(g.list(job.Done)[0].ID, true).takeBack(2)
	if diff := cmp.Diff(before, g.rows(t, factTables...)); diff != "" {
		t.Errorf("all taken back (-before +after):\n%s", diff)
	}
}

// testUndoVectors: an undo cannot restore a vector. It asks the node to make it again.
func testUndoVectors(t *testing.T, d Database) {
	g := d.scene(t)
	g.many(3)
	d.Exec(t, "CREATE TABLE vec_facts (fact_id text PRIMARY KEY, embedding text)")
	if d.Distribute != nil {
		d.Distribute(t, "vec_facts", "fact_id")
	}
	t.Cleanup(func() { d.Exec(t, "DROP TABLE vec_facts") })
	d.Exec(t, "INSERT INTO vec_facts VALUES ('0000', 'x'), ('0001', 'x'), ('0002', 'x')")
	d.Exec(t, "INSERT INTO fact_embedding_status (fact_id, embedding_missing, updated_at) VALUES ('0000', 0, 'x'), ('0002', 0, 'x')")
	g.s = g.other() // sees the table
	h := g.start()
	h.sweep(10)
	g.count(0, "vec_facts")
	d.Exec(t, "INSERT INTO vec_facts VALUES ('0002', 'made again meanwhile')")
	g.clock.move(time.Minute)
	g.join(h.Job.ID, true).takeBack(10)
	const now = "2026-11-23T12:01:07+00:00 | stigmem:system:decay"
	d.expect(t, "SELECT fact_id, embedding_missing, updated_at, updated_by FROM fact_embedding_status ORDER BY fact_id",
		"0000 | 1 | "+now, "0001 | 1 | "+now, "0002 | 0 | x | -")
}
