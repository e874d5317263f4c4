package storetest

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"decayctl/internal/fact"
	"decayctl/internal/job"
	"decayctl/internal/rule"
	"decayctl/internal/store"
	"decayctl/internal/sweep"
)

// readMeanwhile changes a store once, after facts were read and before they are written.
type readMeanwhile struct {
	store.Store

	mu     sync.Mutex // two ranges may be read at once
	change func()
}

func (m *readMeanwhile) Candidates(ctx context.Context, p store.CandidatesParams, use func([]fact.Candidate) error) error {
	err := m.Store.Candidates(ctx, p, use)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.change != nil {
		m.change()
		m.change = nil
	}
	return err
}

// testEdgesAsTheyAre: another process changes an edge and inserts one between the read and the batch. Both edges end, and an
// undo restores them as the batch found them.
func testEdgesAsTheyAre(t *testing.T, d Database) {
	floor := rule.Floor(0.5)
	own, later := "2031-01-01T00:00:00+00:00", "2032-01-01T00:00:00+00:00"
	d.Insert(t, Fact("a"), Fact("b"), Fact("c"))
	d.Edge(t, "a", &own)
	d.Edge(t, "aa", &own) // of no fact
	d.Edge(t, "c", nil)
	const edges = "SELECT id, valid_until, decay_epoch FROM entity_edges ORDER BY id"
	sweepAndBack := func(change func(), ended string, before []string) {
		t.Helper()
		s := &readMeanwhile{Store: d.open(t, false), change: change}
		j, err := Sweep(context.Background(), Engine(s), store.StartParams{Rules: rule.Set{Floor: &floor}, AsOf: AsOf}, sweep.Work{})
		if err != nil || j.Counts.Decayed != 3 || s.change != nil {
			t.Fatalf("%+v, %v", j, err)
		}
		if rows := d.Rows(t, "SELECT count(*) FROM entity_edges WHERE valid_until = $1", fact.FormatInstant(AsOf)); rows[0] != ended {
			t.Errorf("%s edges ended, want %s", rows[0], ended)
		}
		if j = d.TakeBack(t, j.ID); j.State != job.Undone {
			t.Errorf("%+v", j)
		}
		if diff := cmp.Diff(before, d.Rows(t, edges)); diff != "" {
			t.Errorf("(-before +undone):\n%s", diff)
		}
	}
	sweepAndBack(nil, "2", []string{"a | " + own + " | -", "aa | " + own + " | -", "c | - | -"})
	sweepAndBack(func() {
		d.Exec(t, "UPDATE entity_edges SET valid_until = $1, decay_epoch = 7 WHERE id = 'a'", later)
		d.Edge(t, "b", &own)
	}, "3", []string{"a | " + later + " | 7", "aa | " + own + " | -", "b | " + own + " | -", "c | - | -"})
}

// testEdgesUnlikeFacts: an edge needs a before-image only if it differs from the edge that the node makes of its fact.
func testEdgesUnlikeFacts(t *testing.T, d Database) {
	floor, own := rule.Floor(0.5), "2031-01-01T00:00:00+00:00"
	until := func(c *fact.Candidate) { c.ValidUntil = &own }
	faint := func(confidence float64) func(*fact.Candidate) {
		return func(c *fact.Candidate) { c.Confidence, c.Scope = confidence, "team" }
	}
	d.Insert(t, Fact("alike", until), Fact("none", until), Fact("of its own"), Fact("same confidence", faint(0.5)), Fact("other confidence", faint(0.4)))
	for id, until := range map[string]*string{"alike": &own, "none": nil, "of its own": &own, "same confidence": nil, "other confidence": nil} {
		d.Edge(t, id, until)
	}
	const edges = "SELECT id, valid_until, decay_epoch, confidence FROM entity_edges ORDER BY id"
	before := d.Rows(t, edges)
	for scope, test := range map[string]struct {
		rules  rule.Set
		images int64
	}{
		"local": {rule.Set{Floor: &floor}, 2},
		"team":  {policies(rule.Policy{ID: "fade", Relation: "*", Mode: rule.ModeConfidence, HalfLife: 86400}), 1},
	} {
		s := d.open(t, false)
		j, err := Sweep(context.Background(), Engine(s), store.StartParams{Rules: test.rules, AsOf: AsOf, Scope: scope}, sweep.Work{})
		if err != nil {
			t.Fatal(err)
		}
		if j, err = s.Find(context.Background(), j.ID); err != nil || j.BeforeImages != test.images {
			t.Errorf("%s: %d before-images, want %d, %v", scope, j.BeforeImages, test.images, err)
		}
		if rows := d.Rows(t, edges); cmp.Equal(before, rows) {
			t.Errorf("%s: no edge was changed", scope)
		}
		d.TakeBack(t, j.ID)
		if diff := cmp.Diff(before, d.Rows(t, edges)); diff != "" {
			t.Errorf("%s: (-before +undone):\n%s", scope, diff)
		}
	}
}

// testEdgesOfAllKinds: some edges differ from their facts, among many that do not. All end, and an undo restores each, even
// one that looks as if the sweep had ended it.
func testEdgesOfAllKinds(t *testing.T, d Database) {
	floor, own, asOf := rule.Floor(0.5), "2031-01-01T00:00:00+00:00", fact.FormatInstant(AsOf)
	unlike := []struct {
		own, until *string // of the fact, and of its edge
		epoch      *int64
	}{
		{nil, &own, nil},
		{nil, nil, ptr(int64(7))},
		{nil, &asOf, ptr(AsOf.UnixMilli())},
		{&own, nil, nil},
	}
	const block, each = 30, 2
	var plain, others []fact.Candidate
	for i := range block * len(unlike) {
		id, kind := fmt.Sprintf("%03d", i), unlike[i/block]
		if i%block < block-each {
			plain = append(plain, Fact(id))
		} else {
			others = append(others, Fact(id, func(c *fact.Candidate) { c.ValidUntil = kind.own }))
		}
	}
	d.Insert(t, plain...)
	d.Exec(t, `INSERT INTO entity_edges (id, subject, relation, object, scope, tenant_id, confidence, created_at)
		SELECT id, 'a', 'b', 'c', 'local', 'default', 0.5, 1767225600000 FROM facts`)
	d.Insert(t, others...)
	for i, c := range others {
		kind := unlike[i/each]
		d.Edge(t, c.ID, kind.until)
		d.Exec(t, "UPDATE entity_edges SET decay_epoch = $1 WHERE id = $2", kind.epoch, c.ID)
	}
	const edges = "SELECT id, valid_until, decay_epoch, confidence FROM entity_edges ORDER BY id"
	before := d.Rows(t, edges)
	s := d.open(t, false)
	j, err := Sweep(context.Background(), Engine(s), store.StartParams{Rules: rule.Set{Floor: &floor}, AsOf: AsOf}, sweep.Work{BatchSize: 3})
	if err != nil || j.Counts.Decayed != int64(len(before)) {
		t.Fatalf("%+v, %v", j, err)
	}
	if rows := d.Rows(t, "SELECT count(*) FROM entity_edges WHERE valid_until = $1 AND decay_epoch = $2", asOf, AsOf.UnixMilli()); rows[0] != fmt.Sprint(len(before)) {
		t.Errorf("%s edges of %d ended", rows[0], len(before))
	}
	if j, err = s.Find(context.Background(), j.ID); err != nil || j.BeforeImages != int64(each*len(unlike)) {
		t.Errorf("%d before-images, %v", j.BeforeImages, err)
	}
	d.TakeBack(t, j.ID)
	if diff := cmp.Diff(before, d.Rows(t, edges)); diff != "" {
		t.Errorf("(-before +undone):\n%s", diff)
	}
}

// testStatusGoes: if a fact's row in fact_quarantine_status is deleted after the read, the status in facts counts.
func testStatusGoes(t *testing.T, d Database) {
	floor := rule.Floor(0.5)
	d.Insert(t, Fact("b"))
	d.Exec(t, `INSERT INTO facts (id, entity, relation, value_type, value_v, source, timestamp, confidence, scope, quarantine_status)
		SELECT 'a', entity, relation, value_type, value_v, source, timestamp, confidence, scope, 'pending' FROM facts`)
	d.Exec(t, "INSERT INTO fact_quarantine_status (fact_id, quarantine_status, updated_at) VALUES ('a', 'approved', 'x')")
	s := &readMeanwhile{Store: d.open(t, false), change: func() { d.Exec(t, "DELETE FROM fact_quarantine_status") }}
	j, err := Sweep(context.Background(), Engine(s), store.StartParams{Rules: rule.Set{Floor: &floor}, AsOf: AsOf}, sweep.Work{})
	if err != nil || j.Counts.Decayed != 1 || j.Counts.Kept[rule.ChangedMeanwhile] != 1 || s.change != nil {
		t.Errorf("%+v, %v", j.Counts, err)
	}
}
