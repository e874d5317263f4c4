package storetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"decayctl/internal/fact"
	"decayctl/internal/job"
	"decayctl/internal/rule"
	"decayctl/internal/store"
	"decayctl/internal/sweep"
)

// Engine is a sweep engine as the commands make it, but without output and pauses.
func Engine(s store.Store) *sweep.Engine {
	return &sweep.Engine{
		Store: s, Progress: func(sweep.Progress) {}, Halt: func() error { return nil }, Note: func(string) {},
		Sleep: func(ctx context.Context, _ time.Duration) error { return ctx.Err() },
	}
}

// Sweep starts a job and runs it to its end, or to the first error. It fills in the fields that p leaves out.
func Sweep(ctx context.Context, e *sweep.Engine, p store.StartParams, w sweep.Work) (job.Job, error) {
	if err := e.Store.Prepare(ctx); err != nil {
		return job.Job{}, err
	}
	if p.ID == "" {
		p.ID = uuid.NewString()
	}
	if p.Worker.Gone == nil {
		p.Worker = Worker("a test", 1)
	}
	joined, err := e.Store.Start(ctx, p)
	if err != nil {
		return job.Job{}, err
	}
	w.Workers = max(w.Workers, 1)
	if w.Pace == 0 {
		w.Pace = 1
	}
	return e.Sweep(ctx, joined, w)
}

// Worker is a process with a lease that outlasts the test. It takes every process for alive.
func Worker(host string, pid int) store.WorkerParams {
	return store.WorkerParams{
		Owner: job.Owner{Host: host, PID: pid, Start: "once"}, Lease: time.Hour,
		Gone: func(job.Owner) bool { return false },
	}
}

// testRejected: a fact that the database refuses is reported, and all others are written.
func testRejected(t *testing.T, d Database) {
	for i := range 30 {
		d.Insert(t, Fact(fmt.Sprintf("%02d", i)))
	}
	d.Exec(t, `INSERT INTO fact_retractions (id, fact_id, retracted_at, retracted_by) VALUES ('taken', '17', '2026', 'x')`)
	s := d.open(t, false)
	engine := Engine(s)
	refusing := refuseOne{Store: s, fact: "17"}
	engine.Store = refusing
	j, err := Sweep(context.Background(), engine, store.StartParams{Rules: rule.Set{Floor: ptr(rule.Floor(0.5))}, AsOf: AsOf}, sweep.Work{})
	result := j.Counts
	if err != nil || j.State != job.Failed || result.Selected != 30 || result.Decayed != 29 || result.FailedCount != 1 || result.Failed[0].FactID != "17" {
		t.Fatalf("%+v, %v", result, err)
	}
	d.expect(t, "SELECT count(*) FROM fact_validity_overrides", "29")
	d.expect(t, "SELECT count(*) FROM fact_validity_overrides WHERE fact_id = '17'", "0")
}

// refuseOne gives one fact a retraction id that exists, in whatever batch the fact is, so that the database refuses the row.
type refuseOne struct {
	store.Store
	fact string
}

func (r refuseOne) Apply(ctx context.Context, b store.Batch) (store.Applied, error) {
	for i := range b.Expiries {
		if b.Expiries[i].ID == r.fact {
			b.Expiries[i].Retraction = "taken"
		}
	}
	return r.Store.Apply(ctx, b)
}

func testTwiceIsOnce(t *testing.T, d Database) {
	for i := range 200 {
		d.Insert(t, Fact(fmt.Sprintf("%03d", i), func(c *fact.Candidate) {
			c.Timestamp, c.Confidence = stamps[i%len(stamps)], confidences[i%len(confidences)]
			c.LegalHold, c.QuarantinePending = i%17 == 0, i%19 == 0
			c.Entity = fmt.Sprintf("e%d", i)
			if i%5 == 0 {
				c.ValidUntil = ptr(stamps[(i/5)%len(stamps)])
			}
			if i%7 == 0 {
				c.Override = &fact.Override{Confidence: ptr(confidences[i%3]), UpdatedAt: "x"}
			}
		}))
	}
	p := store.StartParams{Rules: rule.Set{TTL: ptr(rule.TTL(86400)), Floor: ptr(rule.Floor(0.5))}, AsOf: AsOf}
	forecast, err := Engine(d.open(t, true)).Preview(context.Background(), sweep.Params{Rules: p.Rules, AsOf: AsOf})
	if err != nil {
		t.Fatal(err)
	}
	s := d.open(t, false)
	first, err := Sweep(context.Background(), Engine(s), p, sweep.Work{BatchSize: 9})
	if err != nil {
		t.Fatal(err)
	}
	if first.Counts.Decayed == 0 || first.Counts.Decayed != forecast.Due() || first.Counts.Examined != 200 {
		t.Errorf("decayed %d of %d examined, the dry run said %d", first.Counts.Decayed, first.Counts.Examined, forecast.Due())
	}
	for name, pair := range map[string][2]any{
		"by rule": {forecast.ByRule, first.Counts.ByRule}, "kept": {forecast.Kept, first.Counts.Kept}, "tenants": {forecast.Tenants, first.Counts.Tenants},
	} {
		if diff := cmp.Diff(pair[0], pair[1]); diff != "" {
			t.Errorf("%s (-dry run +sweep):\n%s", name, diff)
		}
	}
	after := [3][]string{d.Rows(t, overrideRows), d.Rows(t, retractionRows), d.Rows(t, edgeRows)}
	second, err := Sweep(context.Background(), Engine(s), p, sweep.Work{BatchSize: 9})
	if err != nil || second.Counts.Due() != 0 {
		t.Errorf("the second sweep had %d to expire, %v", second.Counts.Due(), err)
	}
	if diff := cmp.Diff(after, [3][]string{d.Rows(t, overrideRows), d.Rows(t, retractionRows), d.Rows(t, edgeRows)}); diff != "" {
		t.Errorf("the second sweep changed (-before +after):\n%s", diff)
	}
	if diff := cmp.Diff(first.Counts.Kept, second.Counts.Kept); diff != "" {
		t.Errorf("the second sweep kept others (-first +second):\n%s", diff)
	}
}
