package storetest

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"decayctl/internal/fact"
	"decayctl/internal/job"
	"decayctl/internal/rule"
	"decayctl/internal/store"
	"decayctl/internal/sweep"
)

// justNow is an expiry that is later than AsOf and has passed.
func justNow() string { return fact.FormatInstant(time.Now().Add(-time.Second)) }

// byNode expires facts now, as the node's own sweep does.
func (d Database) byNode(t testing.TB, ids ...string) {
	t.Helper()
	at := justNow()
	for _, id := range ids {
		d.Exec(t, `DELETE FROM fact_validity_overrides WHERE fact_id = $1`, id)
		d.Exec(t, `INSERT INTO fact_validity_overrides (fact_id, valid_until, reason, updated_at, updated_by) VALUES ($1, $2, $3, $2, $4)`, id, at, store.Reason, store.Actor)
		d.Exec(t, `INSERT INTO fact_retractions (id, fact_id, retracted_at, retracted_by) VALUES ($1, $2, $3, $4)`, "node "+id, id, at, store.Actor)
		d.Exec(t, `UPDATE entity_edges SET valid_until = $2, decay_epoch = 7 WHERE id = $1`, id, at)
	}
}

// testResumedAfterNode: the node sweeps while a job is paused. Neither the resumed job nor its undo changes the facts that the
// node expired.
func testResumedAfterNode(t *testing.T, d Database) {
	g := d.scene(t)
	g.s = d.open(t, false) // by the clock that the node goes by
	ids := []string{"a", "b", "c", "d", "e", "f"}
	for _, id := range ids {
		d.Insert(t, Fact(id))
		d.Edge(t, id, nil)
	}
	d.Exec(t, `INSERT INTO fact_validity_overrides (fact_id, confidence, updated_at) VALUES ('d', 0.2, 'x')`)
	h := g.start()
	h.apply(h.whole(h.claim(2)))
	g.move(h.Job.ID, job.Paused)
	node := ids[2:5]
	d.byNode(t, node...)
	its := func() [][]string {
		var all [][]string
		for _, query := range []string{overrideRows, retractionRows, edgeRows} {
			all = append(all, slices.DeleteFunc(d.Rows(t, query), func(row string) bool { return !slices.Contains(node, row[:1]) }))
		}
		return all
	}
	before := its()
	j, err := Engine(g.s).Sweep(g.ctx, g.join(h.Job.ID, false).Joined, sweep.Work{Workers: 1, Pace: 1})
	if c := j.Counts; err != nil || j.State != job.Done || c.Selected != 6 || c.Decayed != 3 || c.Kept[rule.ChangedMeanwhile] != 3 || c.ByRule[rule.NameFloor] != 3 {
		t.Errorf("%s, counted %+v, %v", j.State, j.Counts, err)
	}
	if diff := cmp.Diff(before, its()); diff != "" {
		t.Errorf("the node's work (-before +after):\n%s", diff)
	}
	if undone := g.join(j.ID, true).takeBack(10); undone.Counts.Restored != 3 || undone.Counts.LeftAlone != 0 {
		t.Errorf("undone: %+v", undone.Counts)
	}
	if diff := cmp.Diff(before, its()); diff != "" {
		t.Errorf("the node's work (-before +after the undo):\n%s", diff)
	}
}

// testExpiredSince: no rule changes a fact that has expired since as-of. Dry run, limit and explanation do not count it.
func testExpiredSince(t *testing.T, d Database) {
	passed := justNow()
	base := func(c *fact.Candidate) { c.ValidUntil = ptr(passed) }
	override := Overridden(fact.Override{ValidUntil: ptr(passed), Confidence: ptr(0.3)})
	of := func(relation string) func(*fact.Candidate) {
		return func(c *fact.Candidate) {
			c.Relation, c.Timestamp, c.Entity = relation, ago(48*time.Hour), "e:"+relation
		}
	}
	d.Insert(t,
		Fact("a floor", base),
		Fact("b floor", override),
		Fact("c floor, extended", base, Overridden(fact.Override{ValidUntil: ptr(farOff)})),
		Fact("d floor, to come", func(c *fact.Candidate) { c.ValidUntil = ptr(farOff) }),
		Fact("e fades", of("fade"), base),
		Fact("f fades", of("fade"), override),
		Fact("g fades, no expiry", of("fade"), func(c *fact.Candidate) { c.Timestamp, c.Confidence = ago(12*time.Hour), 1 }),
		Fact("h retract", of("retract"), base),
		Fact("i tried", of("tried"), base, func(c *fact.Candidate) { c.Confidence = 1 }),
		// The newest of its group is the fact that has not expired.
		Fact("j last, older", of("last"), func(c *fact.Candidate) { c.Confidence = 1 }),
		Fact("k last, newer", of("last"), base, func(c *fact.Candidate) { c.Timestamp, c.Confidence = ago(time.Hour), 1 }),
	)
	ttl := rule.TTL(86400)
	set := policies(
		rule.Policy{ID: "fade", Relation: "fade", Mode: rule.ModeConfidence, HalfLife: 86400},
		rule.Policy{ID: "retract", Relation: "retract", Mode: rule.ModeRetract, TTL: &ttl},
		rule.Policy{ID: "tried", Relation: "tried", Mode: rule.ModeDryRun, HalfLife: 86400, MinStep: 0.01},
		rule.Policy{ID: "last", Relation: "last", Mode: rule.ModeExpire, TTL: &ttl, KeepLast: 1},
	)
	set.Floor = ptr(rule.Floor(0.5))
	ended := []string{"a floor", "b floor", "e fades", "f fades", "h retract"}
	left := func() []string {
		return slices.DeleteFunc(d.Rows(t, overrideRows), func(row string) bool { return row[0] != 'b' && row[0] != 'f' })
	}
	before := left()
	forecast := d.preview(t, set)
	if forecast.Due() != 3 || forecast.Kept[rule.ChangedMeanwhile] != 5 || forecast.Kept[rule.KeptAsNewest] != 1 || forecast.WouldAll() != (job.Would{}) {
		t.Errorf("the dry run says %+v", forecast.Counts)
	}
	for _, id := range ended {
		x, err := Engine(d.open(t, true)).Explain(t.Context(), sweep.Params{Rules: set, AsOf: AsOf}, id)
		if err != nil || x.Verdict.Action != rule.Keep || x.Verdict.Kept != rule.ChangedMeanwhile || !x.Outlook.Expires.IsZero() || len(x.Outlook.Fades) > 0 {
			t.Errorf("%s: %+v, %v", id, x.Explanation, err)
		}
	}
	j := d.sweepBy(t, set, func(p *store.StartParams) { p.MaxExpire = &rule.Limit{Facts: 2} }) // and one fades
	if j.Counts.Selected != forecast.Selected || j.Counts.Decayed != 3 || !cmp.Equal(j.Counts.Kept, forecast.Kept) || !cmp.Equal(j.Counts.Tenants, forecast.Tenants) {
		t.Errorf("swept %+v, the dry run said %+v", j.Counts, forecast.Counts)
	}
	if diff := cmp.Diff(before, left()); diff != "" {
		t.Errorf("what has expired since (-before +after):\n%s", diff)
	}
	d.expect(t, `SELECT fact_id FROM fact_validity_overrides WHERE updated_by = '`+store.Actor+`' ORDER BY fact_id`,
		"c floor, extended", "d floor, to come", "g fades, no expiry")
}

// testExpiresMeanwhile: a batch leaves alone a fact that expires between the read and the write.
func testExpiresMeanwhile(t *testing.T, d Database) {
	d.Insert(t, Fact("a"), Fact("b"), Fact("c", func(c *fact.Candidate) { c.ValidUntil = ptr(farOff) }), Fact("d"))
	for _, id := range []string{"a", "b", "c", "d"} {
		d.Edge(t, id, nil)
	}
	d.byNode(t, "b")
	s := d.open(t, false)
	all := everything(t, s) // as of the tests' as-of b is live
	all[3].ValidUntil = ptr(justNow())
	before := slices.DeleteFunc(d.Rows(t, edgeRows), func(row string) bool { return row[0] == 'a' || row[0] == 'c' })
	b := batch(t, s, all, true)
	b.Expiries[3].Decision = Decision(&all[3], rule.Verdict{Action: rule.Reduce, Confidence: ptr(0.1)}) // fading is no better
	applied, err := s.Apply(t.Context(), b)
	if err != nil || !slices.Equal(applied.Changed, []int{1, 3}) || applied.Counts.Kept[rule.ChangedMeanwhile] != 2 || applied.Counts.Selected != 4 {
		t.Fatalf("%+v, %v", applied, err)
	}
	d.expect(t, `SELECT fact_id FROM fact_validity_overrides WHERE valid_until = '`+asOfText+`' ORDER BY fact_id`, "a", "c")
	d.expect(t, `SELECT id FROM fact_retractions ORDER BY id`, "node b", "retract_a", "retract_c")
	if diff := cmp.Diff(before, slices.DeleteFunc(d.Rows(t, edgeRows), func(row string) bool { return row[0] == 'a' || row[0] == 'c' })); diff != "" {
		t.Errorf("edges (-before +after):\n%s", diff)
	}
}
