package storetest

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"decayctl/internal/fact"
	"decayctl/internal/job"
	"decayctl/internal/rule"
	"decayctl/internal/store"
	"decayctl/internal/sweep"
)

// ago is a stamp before AsOf.
func ago(d time.Duration) string { return fact.FormatInstant(AsOf.Add(-d)) }

func policies(list ...rule.Policy) rule.Set {
	rule.Order(list)
	return rule.Set{Policies: list}
}

// sweepBy sweeps by a set of rules, and returns the job.
func (d Database) sweepBy(t testing.TB, rules rule.Set, change ...func(*store.StartParams)) job.Job {
	t.Helper()
	p := store.StartParams{Rules: rules, AsOf: AsOf}
	for _, each := range change {
		each(&p)
	}
	j, err := Sweep(context.Background(), Engine(d.open(t, false)), p, sweep.Work{BatchSize: 7})
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// TakeBack undoes a job.
func (d Database) TakeBack(t testing.TB, id string) job.Job {
	t.Helper()
	engine := Engine(d.open(t, false))
	joined, err := engine.Store.Join(context.Background(), store.JoinParams{ID: id, Undo: true, Worker: Worker("a test", 2)})
	if err != nil {
		t.Fatal(err)
	}
	j, err := engine.Undo(context.Background(), joined, sweep.Work{BatchSize: 3, Pace: 1})
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// preview runs a dry run on a store that is opened read-only.
func (d Database) preview(t testing.TB, rules rule.Set) *sweep.Result {
	t.Helper()
	result, err := Engine(d.open(t, true)).Preview(context.Background(), sweep.Params{Rules: rules, AsOf: AsOf})
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// testSpecification has the five cases of the node's specification, 15.7, with overrides in place of new facts.
func testSpecification(t *testing.T, d Database) {
	ttl := rule.TTL(3600)
	retract := rule.Policy{ID: "stale", Relation: "test:*", Mode: rule.ModeRetract, TTL: &ttl}
	halve := rule.Policy{ID: "halve", Relation: "test:halving", Mode: rule.ModeConfidence, HalfLife: 3600, MinStep: rule.DefaultMinStep}
	add := func(id, relation, scope string, age time.Duration) {
		d.Insert(t, Fact(id, func(c *fact.Candidate) {
			c.Relation, c.Scope, c.Confidence, c.Timestamp = relation, scope, 1, ago(age)
		}))
	}
	company := func(p *store.StartParams) { p.Scope = "company" }
	const by = " | " + stampAny + " | stigmem:system:decay"
	rows := `SELECT fact_id, valid_until, confidence, reason, 'then', updated_by FROM fact_validity_overrides ORDER BY fact_id`

	// 4: a dry run over one stale fact reports it and writes nothing.
	add("2 stale", "test:stale", "company", 3601*time.Second)
	dry := retract
	dry.Mode = rule.ModeDryRun
	j := d.sweepBy(t, policies(dry), company)
	if w := j.Counts.WouldAll(); w != (job.Would{Retract: 1}) || j.Counts.Selected != 0 {
		t.Errorf("a policy in mode dry_run: %+v", j.Counts)
	}
	if result := d.preview(t, policies(retract)); result.Selected != 1 || result.Decayed != 0 {
		t.Errorf("a dry run: %+v", result.Counts)
	}
	d.expect(t, rows)
	// 1: two half-lives leave a quarter. 3: a fact of another scope is left alone. 5: so are the node's own facts.
	add("1 halved", "test:halving", "company", 2*time.Hour)
	add("3 public", "test:stale", "public", 3601*time.Second)
	d.Insert(t, Fact("5 system", func(c *fact.Candidate) {
		c.Entity, c.Relation, c.Scope, c.Timestamp = "stigmem:fact:1", "stigmem:received_from", "company", ago(9999*time.Hour)
	}))
	every := rule.Policy{ID: "every", Relation: "*", Mode: rule.ModeRetract, TTL: &ttl}
	j = d.sweepBy(t, policies(every, retract, halve), company)
	// 2: an hour and a second old, retracted.
	d.expect(t, rows,
		"1 halved | - | 0.25 | decay_policy:halve"+by,
		"2 stale | "+asOfText+" | 0 | decay_policy:stale"+by)
	d.expect(t, retractionRows, "2 stale | "+asOfText+" | stigmem:system:decay")
	want := map[string]int64{"policy:halve": 1, "policy:stale": 1}
	if diff := cmp.Diff(want, j.Counts.ByRule); diff != "" || j.Counts.Decayed != 2 || j.Counts.Reduced != 1 || j.Counts.Expired() != 1 || j.Counts.Kept[rule.System] != 1 {
		t.Errorf("%+v (-want +got):\n%s", j.Counts, diff)
	}
	// A second run finds nothing more.
	if again := d.sweepBy(t, policies(every, retract, halve), company); again.Counts.Selected != 0 {
		t.Errorf("the second sweep selects %+v", again.Counts)
	}
}

const stampAny = "then"

// confidenceRows are the columns of facts and edges that a policy may change.
const confidenceRows = `SELECT f.id, o.valid_until, o.confidence, o.reason, e.valid_until, e.confidence, e.decay_epoch
	FROM facts f LEFT JOIN fact_validity_overrides o ON o.fact_id = f.id LEFT JOIN entity_edges e ON e.id = f.id ORDER BY f.id`

// testConfidence writes all that a policy can make of facts and edges, and undoes it.
func testConfidence(t *testing.T, d Database) {
	const day = 24 * time.Hour
	ttl := rule.TTL(86400)
	set := policies(
		rule.Policy{ID: "fade", Relation: "fade:*", Mode: rule.ModeConfidence, HalfLife: 86400, MinConfidence: 0.05, MinStep: 0.01},
		rule.Policy{ID: "retract", Relation: "retract", Mode: rule.ModeRetract, TTL: &ttl},
		rule.Policy{ID: "expire", Relation: "expire", Mode: rule.ModeExpire, TTL: &ttl},
	)
	floor := rule.Floor(0.15)
	set.Floor = &floor
	of := func(relation string, confidence float64, age time.Duration) func(*fact.Candidate) {
		return func(c *fact.Candidate) {
			c.Relation, c.Confidence, c.Timestamp, c.Entity = relation, confidence, ago(age), "e:"+relation
		}
	}
	with := func(o fact.Override) func(*fact.Candidate) { return Overridden(o) }
	d.Insert(t,
		Fact("a fades", of("fade:a", 0.8, day)),
		Fact("b fades below the floor", of("fade:b", 0.4, 2*day)),
		Fact("c fades under an override", of("fade:c", 0.8, day), with(fact.Override{ValidUntil: ptr(farOff), Reason: ptr("extended")})),
		Fact("d faded before", of("fade:d", 0.8, day), with(fact.Override{Confidence: ptr(0.6), Reason: ptr("x"), UpdatedBy: ptr("y")})),
		Fact("e a step too small", of("fade:e", 0.8, time.Minute)),
		Fact("f retracted", of("retract", 0.8, day)),
		Fact("g retracted after a rejection", of("retract", 0.8, day), with(fact.Override{Confidence: ptr(0.0), Reason: ptr("quarantine_rejected")})),
		Fact("h expires", of("expire", 0.8, day)),
		Fact("i raised above its base", of("fade:i", 0.5, time.Second), with(fact.Override{Confidence: ptr(0.9)})),
		Fact("j fades with an expiry of its own", of("fade:j", 0.8, day), func(c *fact.Candidate) { c.ValidUntil = ptr(farOff) }),
		Fact("k by the floor", of("other", 0.1, day)),
	)
	for _, id := range []string{"a fades", "b fades below the floor", "c fades under an override", "f retracted", "g retracted after a rejection", "h expires", "j fades with an expiry of its own"} {
		d.Edge(t, id, nil)
	}
	// As the node makes edges: with the confidence and the expiry of their facts. The others differ.
	d.Exec(t, `UPDATE entity_edges SET confidence = 0.8 WHERE id IN ('a fades', 'f retracted')`)
	d.Exec(t, `UPDATE entity_edges SET confidence = 0.8, valid_until = $1 WHERE id = 'j fades with an expiry of its own'`, farOff)
	d.Exec(t, `UPDATE entity_edges SET decay_epoch = 7 WHERE id = 'c fades under an override'`)
	d.Card(t, "e:fade:a", "default", "local", 0)
	d.Card(t, "e:fade:e", "default", "local", 0)
	before := d.rows(t, factTables...)

	j := d.sweepBy(t, set)
	const ms = " | 1795435200123"
	d.expect(t, confidenceRows,
		"a fades | - | 0.4 | decay_policy:fade | - | 0.4"+ms,
		"b fades below the floor | "+asOfText+" | 0.1 | decay_policy:fade | "+asOfText+" | 0.1"+ms,
		"c fades under an override | "+farOff+" | 0.4 | decay_policy:fade | - | 0.4"+ms,
		"d faded before | - | 0.4 | decay_policy:fade | - | - | -",
		"e a step too small | - | - | - | - | - | -",
		"f retracted | "+asOfText+" | 0 | decay_policy:retract | "+asOfText+" | 0"+ms,
		"g retracted after a rejection | "+asOfText+" | 0 | decay_policy:retract | "+asOfText+" | 0"+ms,
		"h expires | "+asOfText+" | - | decay_policy:expire | "+asOfText+" | 0.5"+ms,
		"i raised above its base | - | 0.49999598 | decay_policy:fade | - | - | -",
		"j fades with an expiry of its own | - | 0.4 | decay_policy:fade | "+farOff+" | 0.4"+ms,
		"k by the floor | "+asOfText+" | - | decay_sweep | - | - | -")
	d.expect(t, `SELECT fact_id FROM fact_retractions ORDER BY fact_id`, "b fades below the floor", "f retracted", "g retracted after a rejection", "k by the floor")
	d.expect(t, cardRows, "e:fade:a | default | local | 1", "e:fade:e | default | local | 0")
	want := job.Counts{Selected: 10, Decayed: 10, Reduced: 6, ReducedOnly: 5, ByRule: map[string]int64{
		"policy:fade": 6, "policy:retract": 2, "policy:expire": 1, "min_confidence": 2,
	}}
	got := job.Counts{Selected: j.Counts.Selected, Decayed: j.Counts.Decayed, Reduced: j.Counts.Reduced, ReducedOnly: j.Counts.ReducedOnly, ByRule: j.Counts.ByRule}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}

	var changed []string
	if err := Engine(d.open(t, true)).Changes(context.Background(), j, func(c job.Change) error {
		changed = append(changed, c.FactID+": "+c.Rule())
		return nil
	}); err != nil || len(changed) != 10 || !slices.Contains(changed, "a fades: policy:fade") || !slices.Contains(changed, "k by the floor: min_confidence") {
		t.Errorf("changes %q, %v", changed, err)
	}
	if again := d.sweepBy(t, set); again.Counts.Selected != 0 {
		t.Errorf("the second sweep selects %+v", again.Counts)
	}
	undone := d.TakeBack(t, j.ID)
	if diff := cmp.Diff(before, d.rows(t, factTables...)); diff != "" || undone.Counts.Restored != 10 || undone.Counts.LeftAlone != 0 {
		t.Errorf("taken back %+v (-before +after):\n%s", undone.Counts, diff)
	}
}

// testConfidenceChanged: an undo leaves a fact alone that another process has changed, even if only the confidence differs
// and the change was made within the same second.
func testConfidenceChanged(t *testing.T, d Database) {
	set := policies(rule.Policy{ID: "fade", Relation: "*", Mode: rule.ModeConfidence, HalfLife: 86400})
	for _, id := range []string{"a", "b", "c", "d"} {
		d.Insert(t, Fact(id, func(c *fact.Candidate) { c.Confidence, c.Timestamp = 0.8, ago(24*time.Hour) }))
	}
	j := d.sweepBy(t, set)
	d.Exec(t, `UPDATE fact_validity_overrides SET confidence = 0.41 WHERE fact_id = 'a'`)
	d.Exec(t, `UPDATE fact_validity_overrides SET valid_until = '2030-01-01T00:00:00Z' WHERE fact_id = 'b'`)
	d.Exec(t, `UPDATE fact_validity_overrides SET reason = 'decay_policy:other' WHERE fact_id = 'c'`)
	left := d.Rows(t, `SELECT fact_id, valid_until, confidence, reason FROM fact_validity_overrides WHERE fact_id < 'd' ORDER BY fact_id`)
	undone := d.TakeBack(t, j.ID)
	if undone.Counts.Restored != 1 || undone.Counts.LeftAlone != 3 {
		t.Errorf("%+v", undone.Counts)
	}
	d.expect(t, `SELECT fact_id, valid_until, confidence, reason FROM fact_validity_overrides ORDER BY fact_id`, left...)
}

// testUpgraded: tables of the first version, with a job in them, are upgraded to this version. Before that they can be read.
func testUpgraded(t *testing.T, d Database) {
	d.Insert(t, Fact("a"), Fact("b", Overridden(fact.Override{ValidUntil: ptr(farOff)})))
	d.Edge(t, "b", ptr(farOff))
	floor := rule.Floor(0.5)
	j := d.sweepBy(t, rule.Set{Floor: &floor})
	older := func() {
		t.Helper()
		for _, change := range []string{
			"ALTER TABLE decayctl_jobs DROP COLUMN plan", "DROP TABLE decayctl_plans", "DROP INDEX decayctl_jobs_state", "DROP INDEX decayctl_jobs_completed", "ALTER TABLE decayctl_before DROP COLUMN edge_confidence",
			"ALTER TABLE decayctl_claims DROP COLUMN ids", "DELETE FROM decayctl_migrations WHERE version_id >= 2",
		} {
			d.Exec(t, change)
		}
	}
	older()
	if n, err := Engine(d.openBare(t, true)).Undoable(context.Background(), j); err != nil || n != 2 {
		t.Errorf("undoable %d, %v", n, err)
	}
	ddl, err := d.openBare(t, true).DDL(context.Background())
	if err != nil || strings.Contains(ddl, "decayctl_workers (") || !strings.Contains(ddl, "edge_confidence") {
		t.Errorf("the statements are %s, %v", ddl, err)
	}
	for _, byHand := range []bool{true, false} {
		if byHand {
			d.Exec(t, ddl)
		}
		if err := d.openBare(t, false).Prepare(t.Context()); err != nil {
			t.Fatal(err)
		}
		d.expect(t, "SELECT version_id FROM decayctl_migrations ORDER BY version_id", "0", "1", "2", "3", "4", "5")
		if byHand {
			older()
		}
	}
	d.TakeBack(t, j.ID)
	d.expect(t, overrideRows, "b | "+farOff+" | - | - | 2026-02-01T00:00:00+00:00 | -")
}

// testPolicyPrefilter draws stores and policies: the store must hand over each fact for which the policies do something.
func testPolicyPrefilter(t *testing.T, d Database) {
	s, ctx := d.open(t, false), context.Background()
	round := 0
	rapid.Check(t, func(rt *rapid.T) {
		round++
		written, r := d.drawRange(t, rt, s, round)
		rules := DrawPolicies(rt)
		found, err := Candidates(ctx, s, store.CandidatesParams{Range: r, AsOf: AsOf, Source: true, Prefilter: sweep.Params{Rules: rules, AsOf: AsOf}.Prefilter()})
		if err != nil {
			rt.Fatal(err)
		}
		for _, c := range written {
			c.Source = "stigmem://acme/agent/1"
			verdict := rules.Decide(&c, AsOf)
			read := slices.ContainsFunc(found, func(f fact.Candidate) bool { return f.ID == c.ID && cmp.Equal(f, c) })
			if !read && (verdict.Action != rule.Ignore || verdict.Shadow.Policy != "") {
				rt.Fatalf("left out with %s, although the rules say %+v: %+v (override %+v)", rules, verdict, c.Fact, c.Override)
			}
		}
	})
}
