package storetest

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"decayctl/internal/job"
	"decayctl/internal/rule"
	"decayctl/internal/store"
)

// testEnqueued: the facts that a scan found are claimed, and no fact between them.
func testEnqueued(t *testing.T, d Database) {
	g := d.scene(t)
	g.many(10)
	h := g.start()
	found := store.ScanResult{
		Seen: store.Range{Last: store.After("0007"), Facts: 8}, IDs: []string{"0006", "0001", "gone", "0004", "0009"}, Size: 2,
		Count: job.Counts{Kept: map[rule.Protection]int64{rule.LegalHold: 2}},
	}
	g.clock.move(time.Minute)
	g.enqueue(h.Lease, found)
	want := job.Counts{Examined: 5, Kept: found.Count.Kept}
	j := g.find(h.Job.ID)
	if diff := cmp.Diff(want, j.Counts, cmpopts.EquateEmpty()); diff != "" || j.OpenClaims != 2 || j.End || !j.Updated.Equal(g.clock.now()) {
		t.Errorf("%+v (-want +got):\n%s", j, diff)
	}
	g.checkNode(h.Job.ID)
	untouched := g.unchanged()
	g.enqueue(h.Lease, found)
	untouched("claims enqueued for a job that has begun")

	claimed := func(h *share, want store.Range) store.Claim {
		t.Helper()
		c := h.claim(100)
		if diff := cmp.Diff(want, c.Range); diff != "" {
			t.Fatalf("claimed (-want +got):\n%s", diff)
		}
		return c
	}
	c := claimed(h, store.Range{Last: store.After("0004"), Facts: 2, IDs: []string{"0001", "0004"}})
	two := h.read(c)
	if len(two) != 2 || two[0].ID != "0001" || two[1].ID != "0004" {
		t.Fatalf("%+v", two)
	}
	h.apply(h.batch(c, two[:1]))

	// A worker that takes the claim over gets the rest of it.
	g.end(h.Job.ID)
	h = g.join(h.Job.ID, false)
	rest := store.Range{After: store.After("0001"), Last: store.After("0004"), Facts: 1, IDs: []string{"0004"}}
	c = claimed(h, rest)
	if again, there, err := g.s.LookupClaim(g.ctx, h.Lease, c.Number); err != nil || !there || !cmp.Equal(again, c) {
		t.Errorf("%+v, %v, %v", again, there, err)
	}
	h.apply(h.whole(c))

	// A protection that comes after the scan counts.
	b := h.whole(claimed(h, store.Range{After: store.After("0004"), Last: store.After("0006"), Facts: 1, IDs: []string{"0006"}}))
	d.Exec(t, "INSERT INTO fact_quarantine_status (fact_id, quarantine_status, updated_at) VALUES ('0006', 'pending', '2026-01-01T00:00:00+00:00')")
	if applied, err := g.s.Apply(g.ctx, b); err != nil || len(applied.Changed) != 1 {
		t.Errorf("%+v, %v", applied, err)
	}

	h.apply(h.whole(claimed(h, store.Range{After: store.After("0007"), Last: store.After("0009"), Facts: 2})))
	if end, err := g.s.Claim(g.ctx, h.Lease, 100); err != nil || !end.End() {
		t.Fatalf("%+v, %v", end, err)
	}
	if j := h.finish(job.Done); j.Counts.Examined != 10 || j.Counts.Decayed != 4 {
		t.Errorf("%+v", j.Counts)
	}
	d.expect(t, "SELECT fact_id FROM fact_validity_overrides ORDER BY fact_id", "0001", "0004", "0008", "0009")
}

// testNothingEnqueued: if a scan found nothing, the sweep is complete.
func testNothingEnqueued(t *testing.T, d Database) {
	g := d.scene(t)
	g.many(3)
	h := g.start()
	found := store.ScanResult{Seen: store.Range{Last: store.After("0002"), Facts: 3}, Size: 2}
	g.end(h.Job.ID)
	_, err := g.s.EnqueueClaims(g.ctx, h.Lease, found)
	h.lost("claims enqueued by a worker whose lease has ended", err, job.Running)
	h = g.join(h.Job.ID, false)
	g.enqueue(h.Lease, found)
	if end, err := g.s.Claim(g.ctx, h.Lease, 100); err != nil || !end.End() {
		t.Fatalf("%+v, %v", end, err)
	}
	if j := h.finish(job.Done); j.Counts.Examined != 3 || j.Counts.Decayed != 0 {
		t.Errorf("%+v", j.Counts)
	}
}

func (g *scene) enqueue(l store.Lease, f store.ScanResult) {
	g.t.Helper()
	if _, err := g.s.EnqueueClaims(g.ctx, l, f); err != nil {
		g.t.Fatalf("enqueue claims: %v", err)
	}
}
