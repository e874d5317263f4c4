package storetest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"decayctl/internal/fact"
	"decayctl/internal/job"
	"decayctl/internal/rule"
	"decayctl/internal/store"
	"decayctl/internal/sweep"
)

// testNewest: keep_last keeps the newest facts of each group, however ranges and batches divide the group.
func testNewest(t *testing.T, d Database) {
	ttl := rule.TTL(86400)
	keep := rule.Policy{ID: "keep", Relation: "r", Mode: rule.ModeRetract, TTL: &ttl, KeepLast: 2}
	other := rule.Policy{ID: "other", Relation: "r", Source: "bot:*", Mode: rule.ModeExpire, TTL: &ttl}
	rule.Order([]rule.Policy{other, keep})
	set := rule.Set{Policies: []rule.Policy{other, keep}}
	add := func(id string, days int, change ...func(*fact.Candidate)) {
		d.Insert(t, Fact(id, append([]func(*fact.Candidate){func(c *fact.Candidate) {
			c.Entity, c.Relation, c.Timestamp, c.Confidence = "e", "r", ago(time.Duration(days)*24*time.Hour), 0.9
		}}, change...)...))
	}
	add("a old", 10)
	add("b newest", 2, func(c *fact.Candidate) { c.Timestamp = "2026-11-21T21:00:00+09:00" }) // the instant counts, not the text
	add("c old", 5)
	add("d old", 4)
	add("e same instant, earlier id", 3)
	add("f same instant", 3)
	add("g another policy's", 2, func(c *fact.Candidate) { c.Source = "bot:1" })
	add("h expired", 2, func(c *fact.Candidate) { c.ValidUntil = ptr("2026-11-22T00:00:00Z") })
	add("i no date", 0, func(c *fact.Candidate) { c.Timestamp = "not a date" })
	add("j another scope", 9, func(c *fact.Candidate) { c.Scope = "team" })
	add("k another tenant", 9, func(c *fact.Candidate) { c.Tenant = "acme" })
	add("l another entity", 9, func(c *fact.Candidate) { c.Entity = "f" })
	result := d.preview(t, set)
	j := d.sweepBy(t, set)
	d.expect(t, `SELECT fact_id FROM fact_validity_overrides ORDER BY fact_id`, "a old", "c old", "d old", "f same instant", "g another policy's")
	if j.Counts.Kept[rule.KeptAsNewest] != 5 || result.Kept[rule.KeptAsNewest] != 5 || result.Selected != 5 || j.Counts.Kept[rule.UnreadableTimestamp] != 1 {
		t.Errorf("%+v, and the dry run %+v", j.Counts, result.Counts)
	}
	x, err := Engine(d.open(t, true)).Explain(context.Background(), sweep.Params{Rules: set, AsOf: AsOf}, "b newest")
	if err != nil || x.Verdict.Kept != rule.KeptAsNewest || !x.Fact.Newest {
		t.Errorf("%+v, %v", x.Verdict, err)
	}
	for _, id := range []string{"nobody", "a\xff", "a\x00"} {
		_, err = Engine(d.open(t, true)).Explain(context.Background(), sweep.Params{Rules: set, AsOf: AsOf}, id)
		_ = is[*store.UnknownFact](t, id, err)
	}
}

// testProtections: with every protection and every mode, nothing is written or forecast, there is nothing to undo, and the
// fact is counted under the name of the protection.
func testProtections(t *testing.T, d Database) {
	ttl := rule.TTL(1)
	protections := map[rule.Protection]func(*fact.Candidate){
		rule.System:               func(c *fact.Candidate) { c.Entity = "stigmem:node:x" },
		rule.Rel:                  func(c *fact.Candidate) { c.Relation = "rel:x" },
		rule.LegalHold:            func(c *fact.Candidate) { c.LegalHold = true },
		rule.QuarantinePending:    func(c *fact.Candidate) { c.QuarantinePending = true },
		rule.UnreadableTimestamp:  func(c *fact.Candidate) { c.Timestamp = "yesterday" },
		rule.UnreadableValidUntil: func(c *fact.Candidate) { c.ValidUntil = ptr("tomorrow") },
		rule.Exempt:               func(c *fact.Candidate) { c.Relation = "exempt:x" },
		rule.KeptAsNewest:         func(c *fact.Candidate) { c.Relation = "keep:x" },
	}
	for _, mode := range rule.Modes {
		tenant := string(mode) // so that one store does for all of them
		p := rule.Policy{ID: "p", Relation: "*", Tenant: tenant, Mode: mode, Exempt: []string{"exempt:*"}}
		if mode == rule.ModeConfidence || mode == rule.ModeDryRun {
			p.HalfLife = 86400
		}
		if mode != rule.ModeConfidence {
			p.TTL = &ttl
		}
		keep := p
		keep.ID, keep.Relation, keep.KeepLast = "k", "keep:*", 1
		set := policies(p, keep)
		if mode == rule.ModeConfidence { // what keeps the newest from ending by the floor; it fades all the same
			floor := rule.Floor(0.5)
			set.Floor = &floor
		}
		wantKept := map[rule.Protection]int64{}
		for why, change := range protections {
			d.Insert(t, Fact(tenant+" "+string(why), func(c *fact.Candidate) {
				c.Tenant, c.Entity, c.Confidence, c.Timestamp = tenant, "e:"+tenant+string(why), 0.9, ago(72*time.Hour)
				change(c)
			}))
			wantKept[why] = 1
		}
		if mode == rule.ModeDryRun {
			wantKept = nil // it keeps nothing from anything
		}
		var written int64
		if mode == rule.ModeConfidence {
			written = 1
		}
		before := d.rows(t, factTables...)
		result, err := Engine(d.open(t, true)).Preview(context.Background(), sweep.Params{Rules: set, AsOf: AsOf, Tenant: tenant})
		if err != nil {
			t.Fatal(err)
		}
		check := func(what string, c job.Counts) {
			t.Helper()
			if diff := cmp.Diff(wantKept, c.Kept); diff != "" || c.Selected != written {
				t.Errorf("%s, %s: %+v (-want +got):\n%s", mode, what, c, diff)
			}
			want := job.Would{}
			if mode == rule.ModeDryRun { // the newest would fade, were the policy to act
				want.Reduce = 1
			}
			if w := c.WouldAll(); w != want {
				t.Errorf("%s, %s: would %+v", mode, what, w)
			}
		}
		check("dry run", result.Counts)
		for what, run := range map[string]func() job.Job{
			"sweep":  func() job.Job { return d.sweepBy(t, set, func(p *store.StartParams) { p.Tenant = tenant }) },
			"resume": func() job.Job { return d.stopped(t, set, tenant) },
		} {
			j := run()
			check(what, j.Counts)
			d.expectArgs(t, []any{tenant}, `SELECT count(*) FROM fact_validity_overrides o JOIN facts f ON f.id = o.fact_id WHERE f.tenant_id = $1`, fmt.Sprint(written))
			if undone := d.TakeBack(t, j.ID); undone.Counts.Restored != written || undone.Counts.LeftAlone != 0 {
				t.Errorf("%s, %s, undone: %+v", mode, what, undone.Counts)
			}
			if diff := cmp.Diff(before, d.rows(t, factTables...)); diff != "" {
				t.Errorf("%s, %s, undone (-before +after):\n%s", mode, what, diff)
			}
		}
	}
}

// between changes a store once, at one point of a sweep.
type between struct {
	store.Store
	place string

	mu     sync.Mutex // a range is read while another one is claimed
	change func()
}

func (b *between) at(place string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if place == b.place && b.change != nil {
		b.change()
		b.change = nil
	}
}

func (b *between) Claim(ctx context.Context, l store.Lease, size int) (store.Claim, error) {
	b.at("before the claim")
	c, err := b.Store.Claim(ctx, l, size)
	b.at("after the claim")
	return c, err
}

func (b *between) Candidates(ctx context.Context, p store.CandidatesParams, use func([]fact.Candidate) error) error {
	err := b.Store.Candidates(ctx, p, func(part []fact.Candidate) error {
		b.at("while facts are read")
		return use(part)
	})
	b.at("after the read")
	return err
}

func (b *between) Apply(ctx context.Context, batch store.Batch) (store.Applied, error) {
	b.at("before the batch")
	return b.Store.Apply(ctx, batch)
}

// testProtectedAtEveryPoint: at whatever point another process commits a hold, a quarantine or an override, the sweep leaves
// that fact alone and expires all others.
func testProtectedAtEveryPoint(t *testing.T, d Database) {
	floor := rule.Floor(0.5)
	for _, place := range []string{"before the claim", "after the claim", "while facts are read", "after the read", "before the batch"} {
		for what, change := range map[string]string{
			"hold": `INSERT INTO tombstones (id, entity_uri, scope, tenant_id, legal_hold, signed_by, signature, created_at)
				VALUES ('hold ' || $1, $1, '*', 'default', 1, 'a', 'x', 'x')`,
			"quarantine": "INSERT INTO fact_quarantine_status (fact_id, quarantine_status, updated_at) VALUES ($1, 'pending', 'x')",
			"override":   "INSERT INTO fact_validity_overrides (fact_id, confidence, updated_at) VALUES ($1, 0.9, 'x')",
		} {
			id := place + ", " + what
			for _, each := range []string{id + " 1", id, id + " 2"} {
				d.Insert(t, Fact(each, func(c *fact.Candidate) { c.Entity = each }))
				d.Edge(t, each, nil)
			}
			s := &between{Store: d.open(t, false), place: place, change: func() { d.Exec(t, change, id) }}
			j, err := Sweep(context.Background(), Engine(s), store.StartParams{Rules: rule.Set{Floor: &floor}, AsOf: AsOf}, sweep.Work{})
			if err != nil || j.Counts.Decayed != 2 || s.change != nil {
				t.Errorf("%s: %+v, %v", id, j.Counts, err)
			}
			for _, left := range []string{
				"SELECT fact_id FROM fact_validity_overrides WHERE fact_id = $1 AND valid_until IS NOT NULL",
				"SELECT fact_id FROM fact_retractions WHERE fact_id = $1",
				"SELECT id FROM entity_edges WHERE id = $1 AND decay_epoch IS NOT NULL",
			} {
				d.expectArgs(t, []any{id}, left)
			}
		}
	}
}

// stopped sweeps in two parts: one process stops after its first batch, and another one resumes.
func (d Database) stopped(t testing.TB, rules rule.Set, tenant string) job.Job {
	t.Helper()
	ctx, s := context.Background(), d.open(t, false)
	engine := Engine(s)
	engine.Halt = func() error { return &sweep.Stopped{Why: "a test"} }
	left, err := Sweep(ctx, engine, store.StartParams{Rules: rules, AsOf: AsOf, Tenant: tenant}, sweep.Work{BatchSize: 1})
	if err == nil || left.State != job.Paused {
		t.Fatalf("stopped as %s, %v", left.State, err)
	}
	joined, err := s.Join(ctx, store.JoinParams{ID: left.ID, Worker: Worker("a test", 3)})
	if err != nil {
		t.Fatal(err)
	}
	j, err := Engine(s).Sweep(ctx, joined, sweep.Work{Workers: 1, BatchSize: 2, Pace: 1})
	if err != nil || j.Rules.String() != rules.String() {
		t.Fatalf("resumed by %s, %v", j.Rules, err)
	}
	return j
}
