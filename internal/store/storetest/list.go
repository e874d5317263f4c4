package storetest

import (
	"context"
	"slices"
	"testing"
	"time"

	"decayctl/internal/fact"
	"decayctl/internal/job"
	"decayctl/internal/store"
	"decayctl/internal/sweep"
)

// nodeJob inserts a job of the node.
func (d Database) nodeJob(t testing.TB, id, kind, status, created string, result *string) {
	t.Helper()
	d.Exec(t, `INSERT INTO jobs (id, job_type, status, scope, estimated_s, created_at, started_at, completed_at, result_json)
		VALUES ($1, $2, $3, 'team', 60, $4, $4, $4, $5)`, id, kind, status, created, result)
}

func named(id string) func(*store.StartParams) {
	return func(p *store.StartParams) { p.ID, p.Later = id, true }
}

func testFind(t *testing.T, d Database) {
	g := d.scene(t)
	for _, id := range []string{"abc", "abcd", "abce", "ab_", "ab%", `ab\`, "ABC1", "é1", "zz1", "zz2", "zz3", "zz4"} {
		g.start(named(id))
	}
	g.nodeJob(t, "node1", "decay", "done", "2026-11-01T00:00:00.000000+00:00", ptr(`{"scanned": 7, "decayed": 5, "dry_run": false}`))
	g.nodeJob(t, "node2", "lint", "done", "2026-11-01T00:00:00.000000+00:00", nil)
	for prefix, want := range map[string]string{
		"abc": "abc", "abcd": "abcd", "ab_": "ab_", "ab%": "ab%", `ab\`: `ab\`, "A": "ABC1", "é": "é1", "node": "node1", "zz2": "zz2",
	} {
		if j, err := g.s.Find(g.ctx, prefix); err != nil || j.ID != want {
			t.Errorf("%q finds %q, %v; want %q", prefix, j.ID, err, want)
		}
	}
	for prefix, n := range map[string]int{"ab": 3, "zz": 3} {
		_, err := g.s.Find(g.ctx, prefix)
		e := is[*job.Ambiguous](t, prefix, err)
		for _, id := range e.IDs {
			if len(id) <= len(prefix) || id[:len(prefix)] != prefix {
				t.Errorf("%q could be %q", prefix, e.IDs)
			}
		}
		if len(e.IDs) < 2 || len(e.IDs) > n || e.Prefix != prefix {
			t.Errorf("%q could be %q", prefix, e.IDs)
		}
	}
	for _, prefix := range []string{"", "x", "%", "_", "a%", "abc_", "abcdef", "node2", "' OR true --", `\`, "a\xff", "a\x00"} {
		_, err := g.s.Find(g.ctx, prefix)
		if e := is[*job.Unknown](t, prefix, err); e.Prefix != prefix || !e.PrunedBefore.IsZero() {
			t.Errorf("%q: %+v", prefix, e)
		}
	}
	j := g.find("node1")
	if !j.Node || j.State != job.Done || j.Scope != "team" || j.Counts.Selected != 7 || j.Counts.Decayed != 5 || fact.FormatInstant(j.Created) != "2026-11-01T00:00:00.000000+00:00" {
		t.Errorf("a job of the node is %+v", j)
	}
}

func testList(t *testing.T, d Database) {
	g := d.scene(t)
	g.many(2)
	g.nodeJob(t, "node old", "decay", "failed", "2026-11-01T00:00:00.000000+00:00", nil)
	g.nodeJob(t, "node new", "decay", "done", "2026-12-01T00:00:00.000000+00:00", ptr("not JSON"))
	g.nodeJob(t, "node lint", "lint", "done", "2026-11-02T00:00:00.000000+00:00", nil)
	var want []string
	for _, state := range []job.State{job.Done, job.Paused, job.Failed, job.Running} {
		want = append([]string{g.in(state).ID}, want...)
		g.clock.move(time.Second)
	}
	running, failed, paused, done := want[0], want[1], want[2], want[3]
	for _, test := range []struct {
		p    store.ListParams
		want []string
	}{
		{store.ListParams{}, []string{"node new", running, failed, paused, done, "node old"}},
		{store.ListParams{Limit: 3}, []string{"node new", running, failed}},
		{store.ListParams{Limit: 100}, []string{"node new", running, failed, paused, done, "node old"}},
		{store.ListParams{States: []job.State{job.Done}}, []string{"node new", done}},
		{store.ListParams{States: []job.State{job.Failed, job.Paused}}, []string{failed, paused, "node old"}},
		{store.ListParams{States: []job.State{job.Failed, job.Paused}, Limit: 2}, []string{failed, paused}},
		{store.ListParams{States: []job.State{job.Undoing}}, nil},
	} {
		all, err := listed(g.ctx, g.s, test.p)
		var got []string
		for _, j := range all {
			got = append(got, j.ID)
			if workers := len(j.Workers); j.Node != (j.ID[:4] == "node") || (workers == 1) != (j.ID == running) {
				t.Errorf("listed %+v", j)
			}
		}
		if err != nil || !slices.Equal(got, test.want) {
			t.Errorf("%+v: %q, %v; want %q", test.p, got, err, test.want)
		}
	}
}

// Prune removes jobs that ended before an instant, as the command does, without pauses.
func Prune(ctx context.Context, s store.Store, before time.Time) (int64, error) {
	return Engine(s).Prune(ctx, before, sweep.Work{Pace: 1})
}

func (g *scene) prune(before time.Time) (int64, error) { return Prune(g.ctx, g.s, before) }

// testPrune: only finished jobs that ended before the limit are removed.
func testPrune(t *testing.T, d Database) {
	g := d.scene(t)
	d.Insert(t, Fact("a", Overridden(fact.Override{Confidence: ptr(0.2)})), Fact("b"))
	var old []job.Job
	for _, state := range job.States {
		if state != job.Running { // the next start would pause it
			old = append(old, g.in(state))
		}
	}
	old = append(old, g.in(job.Running))
	g.clock.move(time.Hour)
	limit := g.clock.now() // what ends at this very instant stays
	d.Exec(t, "DELETE FROM fact_validity_overrides WHERE fact_id = 'b'")
	young := g.in(job.Done)
	g.nodeJob(t, "node decay", "decay", "done", "2020-01-01T00:00:00.000000+00:00", nil)
	g.nodeJob(t, "node lint", "lint", "done", "2020-01-01T00:00:00.000000+00:00", nil)

	untouched := g.unchanged()
	if n, err := g.prune(limit.Add(-2 * time.Hour)); n != 0 || err != nil {
		t.Errorf("pruned %d, %v", n, err)
	}
	untouched("a prune that finds nothing")
	if n, err := g.prune(limit); n != 4 || err != nil {
		t.Errorf("pruned %d, %v; want done, failed, cancelled and undone", n, err)
	}
	for _, j := range append(old, young) {
		gone := 1
		if j.State.Finished() && j.ID != young.ID {
			gone = 0
			_, err := g.s.Find(g.ctx, j.ID)
			if e := is[*job.Unknown](t, string(j.State), err); !e.PrunedBefore.Equal(limit) {
				t.Errorf("pruned before %s", e.PrunedBefore)
			}
			for _, table := range []string{"decayctl_before", "decayctl_claims", "decayctl_workers"} {
				g.count(0, table+" WHERE job_id = $1", j.ID)
			}
		}
		g.count(gone, "decayctl_jobs WHERE job_id = $1", j.ID)
		g.count(gone, "jobs WHERE id = $1", j.ID)
	}
	g.count(2, "jobs WHERE id LIKE 'node%'")

	// pruned_before is the latest limit, even if the clock was set back.
	g.clock.move(-2 * time.Hour)
	g.in(job.Cancelled)
	if n, err := g.prune(limit.Add(-time.Hour)); n != 1 || err != nil {
		t.Errorf("pruned %d, %v", n, err)
	}
	_, err := g.s.Find(g.ctx, "none")
	if e := is[*job.Unknown](t, "none", err); !e.PrunedBefore.Equal(limit) {
		t.Errorf("pruned before %s, want %s", e.PrunedBefore, limit)
	}
}

// testPruneSuperseding: a job that supersedes another stays until the other is finished. Without it, the older job could be
// resumed and would judge facts by its older as-of. A job that covers only a part of the other supersedes nothing.
func testPruneSuperseding(t *testing.T, d Database) {
	g := d.scene(t)
	older := g.in(job.Paused)
	g.clock.move(time.Minute)
	newer := g.in(job.Done, func(p *store.StartParams) { p.AsOf = older.AsOf.Add(time.Second) })
	elsewhere := g.in(job.Done, func(p *store.StartParams) { p.AsOf = older.AsOf.Add(-time.Second) })
	part := g.in(job.Done, within("local", ""), func(p *store.StartParams) { p.AsOf = older.AsOf.Add(time.Second) })
	g.clock.move(time.Hour)
	if n, err := g.prune(g.clock.now()); n != 2 || err != nil {
		t.Errorf("pruned %d, %v; want the two that supersede nothing", n, err)
	}
	g.count(0, "decayctl_jobs WHERE job_id = $1", part.ID)
	g.count(1, "decayctl_jobs WHERE job_id = $1", newer.ID)
	g.count(0, "decayctl_jobs WHERE job_id = $1", elsewhere.ID)
	g.move(older.ID, job.Cancelled)
	g.clock.move(time.Hour)
	if n, err := g.prune(g.clock.now()); n != 2 || err != nil {
		t.Errorf("pruned %d, %v; want both", n, err)
	}
}

// testPruneStuck: a job that cannot be removed does not keep other jobs from being removed.
func testPruneStuck(t *testing.T, d Database) {
	g := d.scene(t)
	var all []string
	for range 5 {
		all = append(all, g.in(job.Failed).ID)
		g.clock.move(time.Minute)
	}
	slices.Sort(all) // the one in the middle, by any order of theirs that is not this one too
	stuck := all[2]
	unpin := g.pin(t, "decayctl_jobs", "job_id", stuck)
	n, err := g.prune(g.clock.now())
	if n != 4 || err == nil {
		t.Errorf("pruned %d, %v; want all but one, and why", n, err)
	}
	d.expect(t, "SELECT job_id FROM decayctl_jobs", stuck)
	d.expect(t, "SELECT id FROM jobs", stuck)
	if j := g.find(stuck); j.State != job.Failed {
		t.Errorf("%+v", j)
	}
	unpin()
	if n, err := g.prune(g.clock.now()); n != 1 || err != nil {
		t.Errorf("afterwards pruned %d, %v", n, err)
	}
}

func testCountUpTo(t *testing.T, d Database) {
	g := d.scene(t)
	for _, id := range []string{"a", "b", "c", "d", "e", "f"} {
		d.Insert(t, Fact(id, func(c *fact.Candidate) {
			if id > "d" {
				c.Scope = "team"
			}
			if id > "e" {
				c.Tenant = "acme"
			}
		}))
	}
	for _, test := range []struct {
		scope, tenant string
		most, want    int64
	}{
		{"", "", 100, 6}, {"", "", 6, 6}, {"", "", 5, 5}, {"", "", 1, 1}, {"team", "", 100, 2}, {"team", "", 1, 1},
		{"", "acme", 100, 1}, {"team", "default", 100, 1}, {"local", "acme", 100, 0}, {"local", "' OR '1'='1", 100, 0},
	} {
		if n, err := g.s.CountUpTo(g.ctx, test.scope, test.tenant, test.most); n != test.want || err != nil {
			t.Errorf("%+v: %d, %v", test, n, err)
		}
	}
}
