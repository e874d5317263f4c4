package storetest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"decayctl/internal/fact"
	"decayctl/internal/job"
	"decayctl/internal/store"
)

func within(scope, tenant string) func(*store.StartParams) {
	return func(p *store.StartParams) { p.Scope, p.Tenant = scope, tenant }
}

// testOverlap starts sweeps of all pairs of scopes and tenants. The second is refused if there can be a fact that both
// would change.
func testOverlap(t *testing.T, d Database) {
	g := d.scene(t)
	scopes, tenants := []string{"", "local", "team"}, []string{"", "default", "acme"}
	covers := func(choice, value string) bool { return choice == "" || choice == value }
	common := func(values []string, a, b string) bool {
		for _, value := range append([]string{"another"}, values[1:]...) {
			if covers(a, value) && covers(b, value) {
				return true
			}
		}
		return false
	}
	for _, one := range scopes {
		for _, his := range tenants {
			h := g.start(within(one, his))
			for _, two := range scopes {
				for _, hers := range tenants {
					joined, err := g.s.Start(g.ctx, g.params(within(two, hers)))
					what := fmt.Sprintf("%q of %q beside %q of %q", two, hers, one, his)
					if common(scopes, one, two) && common(tenants, his, hers) {
						if e := is[*job.Busy](t, what, err); e.Job.ID != h.Job.ID {
							t.Errorf("%s: waits for %s, not %s", what, e.Job.ID, h.Job.ID)
						}
					} else if err != nil {
						t.Errorf("%s: %v", what, err)
					} else {
						g.move(joined.Job.ID, job.Cancelled)
					}
				}
			}
			g.move(h.Job.ID, job.Cancelled)
		}
	}
}

// testBusy: while a job has a live worker, a start, a resume and an undo are refused, with the name of that worker, and
// change nothing.
func testBusy(t *testing.T, d Database) {
	g := d.scene(t)
	g.many(3)
	paused := g.in(job.Paused).ID
	done := g.in(job.Done).ID
	h := g.start()
	refused := func(id string) {
		t.Helper()
		untouched := g.unchanged()
		_, start := g.s.Start(g.ctx, g.params())
		_, resume := g.s.Join(g.ctx, store.JoinParams{ID: paused, Worker: g.worker()})
		for what, err := range map[string]error{"start": start, "resume": resume} {
			e := is[*job.Busy](t, what, err)
			if e.Job.ID != id || !e.Now.Equal(g.clock.now()) || !strings.Contains(err.Error(), fmt.Sprintf("process %d on mars", g.find(id).Workers[0].PID)) {
				t.Errorf("%s is told %v", what, err)
			}
		}
		untouched("a refused sweep")
	}
	g.clock.move(time.Minute)
	refused(h.Job.ID)
	undo := store.JoinParams{ID: done, Undo: true, Worker: g.worker()}
	_, err := g.s.Join(g.ctx, undo)
	_ = is[*job.Busy](t, "an undo beside a sweep", err)
	g.move(h.Job.ID, job.Paused)
	if _, err := g.s.Join(g.ctx, undo); err != nil {
		t.Fatal(err)
	}
	refused(done)
	_, err = g.s.Join(g.ctx, undo)
	_ = is[*job.Busy](t, "an undo beside itself", err)
}

// testDead: a job whose workers are dead does not block another one. It is paused, and can be resumed.
func testDead(t *testing.T, d Database) {
	g := d.scene(t)
	g.many(6)
	for what, die := range map[string]func(h *share, p *store.WorkerParams){
		"its lease has ended": func(h *share, _ *store.WorkerParams) { h.end(h.Job.ID) },
		"its process is gone": func(h *share, p *store.WorkerParams) {
			p.Gone = func(o job.Owner) bool { return o == h.Job.Workers[0].Owner }
		},
	} {
		for _, resume := range []bool{false, true} {
			paused := g.in(job.Paused).ID
			h := g.start()
			h.apply(h.whole(h.claim(2)))
			h.claim(2)
			p := g.params()
			die(h, &p.Worker)
			g.clock.move(time.Minute)
			var joined store.Joined
			var err error
			if resume {
				joined, err = g.s.Join(g.ctx, store.JoinParams{ID: paused, Worker: p.Worker})
			} else {
				joined, err = g.s.Start(g.ctx, p)
			}
			if err != nil || len(joined.Paused) != 1 || joined.Paused[0].ID != h.Job.ID {
				t.Fatalf("%s: %+v, %v", what, joined, err)
			}
			dead := g.find(h.Job.ID)
			if dead.State != job.Paused || dead.StopReason != "its process is gone" || len(dead.Workers) > 0 || dead.OpenClaims != 1 || dead.Counts.Decayed != 2 {
				t.Errorf("%s: it is left as %+v", what, dead)
			}
			if diff := cmp.Diff(dead, joined.Paused[0], sameJob); diff != "" {
				t.Errorf("%s: told otherwise (-is +told):\n%s", what, diff)
			}
			g.checkNode(dead.ID)
			g.move(joined.Job.ID, job.Cancelled)
			g.Exec(t, "DELETE FROM fact_validity_overrides")
			g.Exec(t, "DELETE FROM fact_retractions")
		}
	}

	// A job that died during an undo stays undoing, and does not block another one either.
	undoing := g.in(job.Undoing).ID
	if h := g.start(); len(h.Paused) > 0 || g.find(undoing).State != job.Undoing {
		t.Errorf("an undo left behind: paused %+v, %s", h.Paused, g.find(undoing).State)
	}
}

// testTakeover: a resume continues where the dead worker stopped, in the middle of its claim.
func testTakeover(t *testing.T, d Database) {
	g := d.scene(t)
	g.many(10)
	h := g.start()
	c := h.claim(4)
	open := h.claim(3)
	h.apply(h.batch(c, h.read(c)[:1]))
	h.end(h.Job.ID)
	g.clock.move(time.Minute)
	next := g.join(h.Job.ID, false)
	if len(next.RemovedWorkers) != 1 || next.RemovedWorkers[0].Owner != h.Job.Workers[0].Owner || next.Lease.Worker == h.Lease.Worker {
		t.Errorf("%+v", next.Joined)
	}
	if j := next.Job; j.State != job.Running || !j.Started.Equal(h.Job.Started) || len(j.Workers) != 1 || j.Workers[0].Number != next.Lease.Worker || j.Counts.Decayed != 1 {
		t.Errorf("the job goes on as %+v", j)
	}
	for i, want := range []store.Claim{
		{Number: c.Number, Range: store.Range{After: store.After("0000"), Last: c.Last, Facts: 3}},
		{Number: open.Number, Range: open.Range},
		{Number: open.Number + 1, Range: store.Range{After: open.Last, Last: store.After("0009"), Facts: 3}},
	} {
		got := next.claim(100)
		if !cmp.Equal(got, want) {
			t.Errorf("claim %d is %+v, want %+v", i, got, want)
		}
		next.apply(next.whole(got))
	}
	if c, err := g.s.Claim(g.ctx, next.Lease, 100); err != nil || !c.End() {
		t.Errorf("claimed %+v, %v behind the last fact", c, err)
	}
	if j := next.finish(job.Done); j.Counts.Decayed != 10 || j.Counts.Examined != 10 || j.Counts.Selected != 10 {
		t.Errorf("counted %+v", j.Counts)
	}
	g.count(10, "fact_retractions")
	g.count(0, "decayctl_claims")
	g.count(0, "decayctl_workers")

	// If the process has surely ended, the end of its lease is not waited for.
	h = g.start()
	p := store.JoinParams{ID: h.Job.ID, Worker: g.worker()}
	p.Worker.Gone = func(o job.Owner) bool { return o == h.Job.Workers[0].Owner }
	joined, err := g.s.Join(g.ctx, p)
	if err != nil || len(joined.RemovedWorkers) != 1 || joined.RemovedWorkers[0].Number != h.Lease.Worker || len(joined.Job.Workers) != 1 {
		t.Errorf("%+v, %v", joined, err)
	}
	h.lost("a renewal by the one that was put out", g.s.Renew(g.ctx, h.Lease), job.Running)
}

// testUndoRace undoes one job from eight processes at once.
func testUndoRace(t *testing.T, d Database) {
	g := d.scene(t)
	g.many(3)
	id := g.start().sweep(2).ID
	won := g.race(8, func(s store.Store, p store.WorkerParams) error {
		_, err := s.Join(g.ctx, store.JoinParams{ID: id, Undo: true, Worker: p})
		return err
	})
	if j := g.find(id); won != 1 || j.State != job.Undoing || len(j.Workers) != 1 {
		t.Errorf("%d of 8 take the job back: %+v", won, j)
	}
}

// testSuperseded: a job that a later sweep superseded cannot be resumed, but it can be undone. A sweep of one scope does not
// supersede a job of all scopes, nor one of one tenant a job of all tenants: such a job has facts left that the sweep did not see.
func testSuperseded(t *testing.T, d Database) {
	g := d.scene(t)
	g.many(3)
	by := g.start(func(p *store.StartParams) { p.AsOf, p.Scope, p.Tenant = AsOf.Add(time.Microsecond), "local", "default" }).sweep(2)
	// The job by must seem to have ended after the jobs below were created, which could not start while it ran.
	ended := func(at time.Time) {
		t.Helper()
		d.Exec(t, "UPDATE decayctl_jobs SET completed_at = $1 WHERE job_id = $2", fact.FormatInstant(at), by.ID)
	}
	ended(g.clock.now().Add(24 * time.Hour))
	resume := func(id string) error {
		_, err := g.s.Join(g.ctx, store.JoinParams{ID: id, Worker: g.worker()})
		return err
	}
	for _, state := range job.Sources(job.Running) {
		before := g.in(state, within("local", "default"))
		g.clock.move(time.Minute)
		e := is[*job.Superseded](t, string(state), resume(before.ID))
		want := job.Cancelled
		if !state.May(job.Cancelled) {
			want = state
		}
		after := g.find(before.ID)
		if after.State != want || e.Job.State != want || e.Job.ID != before.ID || e.By.ID != by.ID || len(after.Workers) > 0 {
			t.Errorf("%s: told of %s by %s, left as %+v", state, e.Job.State, e.By.ID, after)
		}
		if want == job.Cancelled && (after.StopReason != "superseded by job "+by.ID || !after.Completed.Equal(g.clock.now())) {
			t.Errorf("%s: %+v", state, after)
		}
		g.checkNode(before.ID)
	}
	for what, change := range map[string]func(*store.StartParams){
		"of other facts":       within("team", "default"),
		"of all scopes":        within("", "default"),
		"of all tenants":       within("local", ""),
		"of everything":        within("", ""),
		"of the same as-of":    func(p *store.StartParams) { p.AsOf = by.AsOf },
		"of a still later one": func(p *store.StartParams) { p.AsOf = by.AsOf.Add(time.Microsecond) },
	} {
		id := g.in(job.Paused, within("local", "default"), change).ID
		if err := resume(id); err != nil {
			t.Errorf("a job %s: %v", what, err)
		}
		g.move(id, job.Cancelled)
	}

	ended(g.clock.now())
	g.clock.move(time.Minute)
	knowing := g.in(job.Paused, within("local", "default")).ID
	if err := resume(knowing); err != nil {
		t.Errorf("a job that was made afterwards: %v", err)
	}
	g.move(knowing, job.Cancelled)
	ended(g.clock.now().Add(24 * time.Hour))

	old := g.in(job.Failed, within("local", "default")).ID
	_ = is[*job.Superseded](t, "a failed job", resume(old))
	g.join(old, true).takeBack(10)
	old = g.in(job.Failed, within("local", "default")).ID
	g.join(by.ID, true).takeBack(10)
	if err := resume(old); err != nil {
		t.Errorf("the sweep that had overtaken the job is taken back: %v", err)
	}
}

// testForeign: decayctl does not change jobs of the node.
func testForeign(t *testing.T, d Database) {
	g := d.scene(t)
	g.nodeJob(t, "node-decay", "decay", "running", "2026-11-01T00:00:00.000000+00:00", nil)
	g.nodeJob(t, "node-lint", "lint", "running", "2026-11-01T00:00:00.000000+00:00", nil)
	untouched := g.unchanged()
	for _, to := range []job.State{job.Running, job.Undoing, job.Paused, job.Cancelled} {
		if e := is[*job.Foreign](t, "a job of the node", g.try("node-decay", to)); e.ID != "node-decay" {
			t.Errorf("%+v", e)
		}
		_ = is[*job.Unknown](t, "a job of another kind", g.try("node-lint", to))
		_ = is[*job.Unknown](t, "no job", g.try("none", to))
	}
	untouched("what was refused")
}
