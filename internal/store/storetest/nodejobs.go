package storetest

import (
	"encoding/json"
	"testing"
	"time"

	"decayctl/internal/fact"
	"decayctl/internal/job"
	"decayctl/internal/store"
)

// checkNode checks that the node's row of a job shows the job as it is.
func (g *scene) checkNode(id string) {
	g.t.Helper()
	j := g.find(id)
	none := func(text string) string {
		if text == "" {
			return "-"
		}
		return text
	}
	want := store.NodeRowOf(j)
	g.expectArgs(g.t, []any{id}, `SELECT job_type, status, scope, created_at, started_at, completed_at, error FROM jobs WHERE id = $1`,
		"decay | "+want.Status+" | "+none(want.Scope)+" | "+fact.FormatInstant(j.Created)+" | "+none(want.Started)+" | "+none(want.Completed)+" | "+none(want.Error))
	var document map[string]any
	if err := json.Unmarshal([]byte(g.Rows(g.t, "SELECT result_json FROM jobs WHERE id = $1", id)[0]), &document); err != nil {
		g.t.Fatalf("the node cannot read the result of %s: %v", id, err)
	}
	for key, value := range map[string]any{
		"state": string(j.State), "tool": "decayctl", "dry_run": false,
		"scanned": float64(j.Counts.Selected), "decayed": float64(j.Counts.Decayed), "examined": float64(j.Counts.Examined),
	} {
		if document[key] != value {
			g.t.Errorf("%s is %s: the node shows %s %v, want %v", id, j.State, key, document[key], value)
		}
	}
	for _, key := range []string{"job_id", "status", "scope", "estimated_s", "created_at", "started_at", "completed_at", "error"} {
		if _, there := document[key]; there {
			g.t.Errorf("the result of %s hides the node's own key %s", id, key)
		}
	}
}

// testNodeRow checks the node's row of a job in all its states.
func testNodeRow(t *testing.T, d Database) {
	g := d.scene(t)
	g.many(6)
	const columns = "SELECT status, scope, estimated_s, started_at, completed_at, error FROM jobs WHERE id = $1"
	const first, second, third = "2026-11-23T12:00:07.250000+00:00", "2026-11-23T12:01:07.250000+00:00", "2026-11-23T12:02:07.250000+00:00"
	j := g.start(func(p *store.StartParams) { p.Later, p.Scope, p.Total = true, "local", 250_000 }).Job
	step := func(row string) {
		t.Helper()
		g.expectArgs(t, []any{j.ID}, columns, row)
		g.checkNode(j.ID)
	}
	step("pending | local | 250 | - | - | -")
	h := g.join(j.ID, false)
	step("running | local | 250 | " + first + " | - | -")
	g.clock.move(time.Minute)
	h.apply(h.whole(h.claim(4)))
	step("running | local | 250 | " + first + " | - | -")
	g.move(j.ID, job.Paused)
	step("running | local | 250 | " + first + " | - | -")
	g.join(j.ID, false).sweep(4)
	step("done | local | 250 | " + first + " | " + second + " | -")
	h = g.join(j.ID, true)
	step("running | local | 250 | " + first + " | - | -")
	g.clock.move(time.Minute)
	h.takeBack(4)
	step("done | local | 250 | " + first + " | " + third + " | -")

	h = g.start()
	j = h.Job
	step("running | - | 100 | " + third + " | - | -")
	if _, err := g.s.Leave(g.ctx, h.Lease, job.Failed, "the disk is full"); err != nil {
		t.Fatal(err)
	}
	step("failed | - | 100 | " + third + " | " + third + " | the disk is full")
	g.join(j.ID, false)
	step("running | - | 100 | " + third + " | - | -")
	g.move(j.ID, job.Cancelled)
	step("failed | - | 100 | " + third + " | " + third + " | by hand")
}

// testNodeTenant: the node shows a job to callers of its tenant only. Older nodes do not have the column.
func testNodeTenant(t *testing.T, d Database) {
	g := d.scene(t)
	var jobs []string
	for _, tenant := range []string{"", "acme'; --"} {
		p := g.params(func(p *store.StartParams) { p.Tenant = tenant })
		if _, err := g.s.Start(g.ctx, p); err != nil {
			t.Fatal(err)
		}
		jobs = append(jobs, p.ID)
		g.move(p.ID, job.Cancelled)
	}
	_, err := d.Query("SELECT tenant_id FROM jobs")
	older := err != nil
	if older {
		d.Exec(t, "ALTER TABLE jobs ADD COLUMN tenant_id TEXT NOT NULL DEFAULT 'default'") // the node has migrated meanwhile
		t.Cleanup(func() { d.Exec(t, "ALTER TABLE jobs DROP COLUMN tenant_id") })
	}
	p := g.params(func(p *store.StartParams) { p.Tenant = "acme" })
	if _, err := g.s.Start(g.ctx, p); err != nil {
		t.Fatal(err)
	}
	const tenantOf = "SELECT tenant_id FROM jobs WHERE id = $1"
	g.expectArgs(t, []any{jobs[0]}, tenantOf, "default")
	if !older {
		g.expectArgs(t, []any{jobs[1]}, tenantOf, "acme'; --")
	}
	g.expectArgs(t, []any{p.ID}, tenantOf, "acme")
}
