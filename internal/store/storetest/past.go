package storetest

import (
	"slices"
	"testing"
	"time"

	"decayctl/internal/job"
	"decayctl/internal/rule"
	"decayctl/internal/store"
)

// pastOf are the ids of the jobs that a job by the rules of another would be compared with.
func (g *scene) pastOf(s store.Store, like job.Job, before time.Time, limit int) (ids []string) {
	g.t.Helper()
	found, err := s.Past(g.ctx, store.PastParams{Fingerprint: like.Rules.Fingerprint(), Scope: like.Scope, Tenant: like.Tenant, Before: before, Limit: limit})
	if err != nil {
		g.t.Fatalf("past: %v", err)
	}
	for _, j := range found {
		ids = append(ids, j.ID)
	}
	return ids
}

// testPast: jobs of the same rules, scope and tenant that passed over all facts, and no other.
func testPast(t *testing.T, d Database) {
	g := d.scene(t)
	g.many(2)
	team := func(p *store.StartParams) { p.Scope, p.Tenant = "team", "acme" }
	ended := func(state job.State, change ...func(*store.StartParams)) job.Job {
		g.clock.move(time.Minute)
		return g.in(state, change...)
	}
	oldest := ended(job.Done)
	elsewhere := ended(job.Done, team)
	ended(job.Done, func(p *store.StartParams) { p.Scope = "team" })
	ended(job.Done, func(p *store.StartParams) { p.Tenant = "acme" })
	ended(job.Done, func(p *store.StartParams) { p.Rules = rule.Set{Floor: ptr(rule.Floor(0.51))} })
	for _, state := range []job.State{job.Failed, job.Cancelled, job.Undone} {
		ended(state)
	}
	refused := ended(job.Done)
	d.Exec(t, "UPDATE decayctl_jobs SET state = 'failed', stop_reason = '1 fact could not be written' WHERE job_id = $1", refused.ID)
	newest := ended(job.Done)
	g.clock.move(time.Minute)
	for _, state := range []job.State{job.Paused, job.Running, job.Pending} {
		g.in(state)
	}
	for _, test := range []struct {
		like   job.Job
		before time.Time
		limit  int
		want   []string
	}{
		{oldest, g.clock.now(), 10, []string{newest.ID, refused.ID, oldest.ID}},
		{oldest, g.clock.now(), 2, []string{newest.ID, refused.ID}},
		{oldest, g.find(newest.ID).Completed, 10, []string{refused.ID, oldest.ID}},
		{oldest, g.find(oldest.ID).Completed, 10, nil},
		{elsewhere, g.clock.now(), 10, []string{elsewhere.ID}},
		{job.Job{Rules: oldest.Rules, Scope: "local"}, g.clock.now(), 10, nil},
		{job.Job{Rules: oldest.Rules, Scope: "' OR true --"}, g.clock.now(), 10, nil},
	} {
		if got := g.pastOf(g.s, test.like, test.before, test.limit); !slices.Equal(got, test.want) {
			t.Errorf("before %s, at most %d, like %s: %q, want %q", test.before, test.limit, test.like.ID, got, test.want)
		}
	}
	found, err := g.s.Past(g.ctx, store.PastParams{Fingerprint: oldest.Rules.Fingerprint(), Before: g.clock.now(), Limit: 1})
	if err != nil || len(found) != 1 || !found[0].Completed.Equal(g.find(newest.ID).Completed) || found[0].Counts.Decayed != newest.Counts.Decayed {
		t.Errorf("%+v, %v; want %+v", found, err, newest)
	}
	if got := g.pastOf(g.openAt(t, true, g.clock.now), oldest, g.clock.now(), 1); !slices.Equal(got, []string{newest.ID}) {
		t.Errorf("opened read-only: %q, want %s", got, newest.ID)
	}
}
