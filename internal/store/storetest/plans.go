package storetest

import (
	"slices"
	"testing"

	"decayctl/internal/job"
	"decayctl/internal/store"
)

// parts are what a store hands over of the facts that a job may change.
func (g *scene) parts(id string) (parts []string) {
	g.t.Helper()
	if err := g.s.ReadReviewed(g.ctx, id, func(part string) error { parts = append(parts, part); return nil }); err != nil {
		g.t.Fatal(err)
	}
	return parts
}

// openCheck is what a job has still to find before it writes.
func (g *scene) openCheck(id string) (check string, open bool) {
	g.t.Helper()
	check, open, err := g.s.PlanCheck(g.ctx, id)
	if err != nil {
		g.t.Fatal(err)
	}
	return check, open
}

func withPlan(p *store.StartParams) { p.Plan, p.Check = "digest", `{"text": "µ\u202e'; --"}` }

// testPlans: a plan is checked once in the life of a job, and what the worker that did has found is what all workers
// may change, as long as the job may be gone on with.
func testPlans(t *testing.T, d Database) {
	g := d.scene(t)
	none := g.start()
	if check, open := g.openCheck(none.Job.ID); open || check != "" || none.Job.Plan != "" || g.find(none.Job.ID).Plan != "" {
		t.Errorf("a job without a plan has the check %q of %q", check, none.Job.Plan)
	}
	none.finishEmpty()

	waiting := g.start(withPlan, func(p *store.StartParams) { p.Later = true }).Job
	h := g.join(waiting.ID, false)
	if check, open := g.openCheck(waiting.ID); !open || check != `{"text": "µ\u202e'; --"}` || g.find(waiting.ID).Plan != "digest" {
		t.Errorf("the check is %q, and of %q", check, g.find(waiting.ID).Plan)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(g.s.AddReviewed(g.ctx, h.Lease, 0, "first"))
	g.move(waiting.ID, job.Paused) // as after a kill: the next worker checks anew
	h = g.join(waiting.ID, false)
	must(g.s.AddReviewed(g.ctx, h.Lease, 1, "behind"))
	must(g.s.AddReviewed(g.ctx, h.Lease, 0, "written twice"))
	must(g.s.AddReviewed(g.ctx, h.Lease, 0, "before"))
	must(g.s.ClearPlanCheck(g.ctx, h.Lease))
	check := func(what string) {
		t.Helper()
		if parts := g.parts(waiting.ID); !slices.Equal(parts, []string{"before", "behind"}) {
			t.Errorf("%s: %q", what, parts)
		}
		if _, open := g.openCheck(waiting.ID); open {
			t.Errorf("%s: the plan is still to be checked", what)
		}
	}
	check("checked")
	must(g.s.AddReviewed(g.ctx, h.Lease, 2, "too late"))
	must(g.s.ClearPlanCheck(g.ctx, h.Lease))
	check("checked twice")
	g.move(waiting.ID, job.Paused)
	check("paused")
	h = g.join(waiting.ID, false)
	check("resumed")
	left, err := g.s.Leave(g.ctx, h.Lease, job.Failed, "the disk is full")
	if err != nil || left.Plan != "digest" {
		t.Errorf("%+v, %v", left, err)
	}
	check("failed")
	if err := g.s.AddReviewed(g.ctx, h.Lease, 0, "no worker"); err == nil {
		t.Error("a worker that has left has written")
	}
	if err := g.s.ClearPlanCheck(g.ctx, h.Lease); err == nil {
		t.Error("a worker that has left has checked")
	}

	g.join(waiting.ID, true).takeBack(5)
	g.count(0, "decayctl_plans")
	if j := g.find(waiting.ID); j.State != job.Undone || j.Plan != "digest" {
		t.Errorf("undone: %+v", j)
	}

	// However a job ends, what it needed of its plan goes.
	cancelled := g.start(withPlan)
	g.count(1, "decayctl_plans")
	g.move(cancelled.Job.ID, job.Cancelled)
	g.count(0, "decayctl_plans")
	done := g.start(withPlan)
	must(g.s.AddReviewed(g.ctx, done.Lease, 0, ""))
	must(g.s.ClearPlanCheck(g.ctx, done.Lease))
	done.finishEmpty()
	g.count(0, "decayctl_plans")
	failed := g.start(withPlan)
	if _, err := g.s.Leave(g.ctx, failed.Lease, job.Failed, "the disk is full"); err != nil {
		t.Fatal(err)
	}
	g.clock.move(1)
	if n, err := g.prune(g.clock.now().Add(1_000_000)); err != nil || n < 4 {
		t.Errorf("pruned %d, %v", n, err)
	}
	g.count(0, "decayctl_plans")
}

// finishEmpty ends the job of a store without facts.
func (h *share) finishEmpty() {
	h.t.Helper()
	if c, err := h.s.Claim(h.ctx, h.Lease, 10); err != nil || !c.End() {
		h.t.Fatalf("claimed %+v, %v", c, err)
	}
	h.finish(job.Done)
}

// testNodeID: a node writes its id into its store.
func testNodeID(t *testing.T, d Database) {
	g := d.scene(t)
	d.Exec(t, "DELETE FROM node_meta WHERE key = 'node_id'")
	for _, want := range []string{"", "stigmem:node:1"} {
		if want != "" {
			d.Exec(t, "INSERT INTO node_meta (key, value) VALUES ('node_id', 'stigmem:node:1')")
		}
		for _, readOnly := range []bool{true, false} {
			if id, err := d.openBare(t, readOnly).NodeID(g.ctx); err != nil || id != want {
				t.Errorf("read-only %v: %q, %v, want %q", readOnly, id, err, want)
			}
		}
	}
}
