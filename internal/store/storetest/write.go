package storetest

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"decayctl/internal/fact"
	"decayctl/internal/store"
)

// apply reads all facts and expires them. Only the expected facts may be left alone.
func (d Database) apply(t testing.TB, retract bool, heldBack ...int) {
	t.Helper()
	s := d.open(t, false)
	applied, err := s.Apply(context.Background(), batch(t, s, everything(t, s), retract))
	if err != nil || !slices.Equal(applied.Changed, heldBack) {
		t.Fatalf("held back %v, want %v; %v", applied.Changed, heldBack, err)
	}
}

const written = asOfText + " | - | decay_sweep | " + stampText + " | stigmem:system:decay"

func testFreshOverride(t *testing.T, d Database) {
	d.Insert(t, Fact("a"), Fact("b"))
	d.apply(t, false)
	d.expect(t, overrideRows, "a | "+written, "b | "+written)

	// The database leaves out facts that have expired, or are young and certain. Else every later sweep would take as long as
	// the first.
	d.Insert(t, Fact("c", func(c *fact.Candidate) {
		c.Timestamp, c.Confidence = "2026-11-23T11:00:00.000000+00:00", 0.9
	}), Fact("d", func(c *fact.Candidate) { c.ValidUntil, c.Confidence = ptr("2127-01-31T00:00:00.000000+00:00"), 0.9 }))
	s, ctx := d.open(t, false), context.Background()
	r, err := s.NextRange(ctx, store.RangeParams{Size: 10})
	if err != nil || r.Facts != 4 {
		t.Fatalf("%+v, %v", r, err)
	}
	prefilter := store.Prefilter{Age: true, Before: AsOf.AddDate(0, 0, -1), Below: ptr(0.5)}
	if found, err := Candidates(ctx, s, store.CandidatesParams{Range: r, AsOf: AsOf, Prefilter: prefilter}); err != nil || len(found) != 0 {
		t.Errorf("read %+v, %v", found, err)
	}
}

func testKeptConfidence(t *testing.T, d Database) {
	d.Insert(t,
		Fact("a rejected", Overridden(fact.Override{Confidence: ptr(0.0), Reason: ptr("quarantine_rejected"), UpdatedBy: ptr("moderator")})),
		Fact("b raised", Overridden(fact.Override{Confidence: ptr(0.35)})),
		Fact("c extended", Overridden(fact.Override{ValidUntil: ptr("2130-01-01T00:00:00Z"), Confidence: ptr(1.0), Reason: ptr("x")})))
	d.apply(t, false)
	const tail = " | decay_sweep | " + stampText + " | stigmem:system:decay"
	d.expect(t, overrideRows, "a rejected | "+asOfText+" | 0"+tail, "b raised | "+asOfText+" | 0.35"+tail, "c extended | "+asOfText+" | 1"+tail)
}

func testRetractions(t *testing.T, d Database) {
	d.Insert(t, Fact("a"), Fact("b"), Fact("c"))
	d.Exec(t, `INSERT INTO fact_retractions (id, fact_id, retracted_at, retracted_by) VALUES ('old', 'b', '2026-01-02T00:00:00.000000+00:00', 'someone')`)
	s := d.open(t, false)
	b := batch(t, s, everything(t, s), true)
	b.Expiries[2].Retraction = "" // expired by age
	if _, err := s.Apply(context.Background(), b); err != nil {
		t.Fatal(err)
	}
	want := []string{"a | " + asOfText + " | stigmem:system:decay", "b | 2026-01-02T00:00:00.000000+00:00 | someone", "b | " + asOfText + " | stigmem:system:decay"}
	d.expect(t, retractionRows, want...)

	// Another process removes the expiry, and a sweep with the same as-of expires the fact again.
	d.Exec(t, `DELETE FROM fact_validity_overrides WHERE fact_id = 'a'`)
	b = batch(t, s, everything(t, s)[:1], true)
	b.Expiries[0].Retraction = "again"
	if applied, err := s.Apply(context.Background(), b); err != nil || len(applied.Changed) != 0 {
		t.Fatalf("%+v, %v", applied, err)
	}
	d.expect(t, retractionRows, want...)

	// If a host whose clock was ahead has swept, the fact is swept again. The expiry changes, but the log gets no row.
	ahead := time.Now().UTC().Truncate(time.Second).AddDate(1, 0, 0)
	for i, asOf := range []time.Time{ahead, AsOf} {
		d.Exec(t, `DELETE FROM fact_validity_overrides WHERE fact_id = 'c' AND reason = 'decay_sweep' AND valid_until = $1`, asOfText)
		b = batch(t, s, everything(t, s), true)
		b.AsOf = asOf
		b.Expiries[0].Retraction = fmt.Sprint("again ", i)
		if applied, err := s.Apply(context.Background(), b); err != nil || len(applied.Changed) != 0 {
			t.Fatalf("%+v, %v", applied, err)
		}
	}
	d.expect(t, retractionRows, append(want, "c | "+fact.FormatInstant(ahead)+" | stigmem:system:decay")...)
}

func testEdgesAndCards(t *testing.T, d Database) {
	d.Insert(t, Fact("a"), Fact("b", func(c *fact.Candidate) { c.Entity = "stigmem://acme/user/2" }),
		Fact("c", func(c *fact.Candidate) { c.LegalHold, c.Entity = true, "stigmem://acme/user/3" }))
	for _, id := range []string{"a", "b", "c"} {
		d.Edge(t, id, nil)
	}
	d.Edge(t, "z of no fact", ptr("2030"))
	d.Card(t, "stigmem://acme/user/1", "default", "local", 0)
	d.Card(t, "stigmem://acme/user/1", "default", "team", 0)
	d.Card(t, "stigmem://acme/user/1", "acme", "local", 0)
	d.Card(t, "stigmem://acme/user/2", "default", "local", 1)
	d.Card(t, "stigmem://acme/user/3", "default", "local", 0)
	s := d.open(t, false)
	all := everything(t, s)
	all[2].LegalHold = false // as if the hold came after the reading
	if applied, err := s.Apply(context.Background(), batch(t, s, all, true)); err != nil || !slices.Equal(applied.Changed, []int{2}) {
		t.Fatalf("%+v, %v", applied, err)
	}
	const edge = " | " + asOfText + " | 1795435200123"
	d.expect(t, edgeRows, "a"+edge, "b"+edge, "c | - | -", "z of no fact | 2030 | -")
	d.expect(t, cardRows,
		"stigmem://acme/user/1 | acme | local | 0", "stigmem://acme/user/1 | default | local | 1", "stigmem://acme/user/1 | default | team | 0",
		"stigmem://acme/user/2 | default | local | 1", "stigmem://acme/user/3 | default | local | 0")
	d.expect(t, retractionRows, "a | "+asOfText+" | stigmem:system:decay", "b | "+asOfText+" | stigmem:system:decay")
}

func testFactsUntouched(t *testing.T, d Database) {
	d.Insert(t, Fact("a"), Fact("b", Overridden(fact.Override{Confidence: ptr(0.2)})))
	const rows = "SELECT * FROM facts ORDER BY id"
	before := d.Rows(t, rows)
	d.apply(t, true)
	d.expect(t, rows, before...)
}

// testChangedMeanwhile: another process changes each column, in turn, between the read and the write.
func testChangedMeanwhile(t *testing.T, d Database) {
	exists := func(id string) fact.Candidate {
		return Fact(id, Overridden(fact.Override{ValidUntil: ptr("2130-01-01T00:00:00Z"), Confidence: ptr(0.3), Reason: ptr("r"), UpdatedBy: ptr("u")}))
	}
	changes := []struct {
		fact   fact.Candidate
		change string
	}{
		{Fact("a override appears"), `INSERT INTO fact_validity_overrides (fact_id, confidence, reason, updated_at) VALUES ('a override appears', 0, 'quarantine_rejected', 'x')`},
		{exists("b rejected"), `UPDATE fact_validity_overrides SET confidence = 0 WHERE fact_id = 'b rejected'`},
		{exists("c expiry moved"), `UPDATE fact_validity_overrides SET valid_until = '2031' WHERE fact_id = 'c expiry moved'`},
		{exists("d expiry gone"), `UPDATE fact_validity_overrides SET valid_until = NULL WHERE fact_id = 'd expiry gone'`},
		{exists("e reason"), `UPDATE fact_validity_overrides SET reason = 'other' WHERE fact_id = 'e reason'`},
		{exists("f touched"), `UPDATE fact_validity_overrides SET updated_at = 'later' WHERE fact_id = 'f touched'`},
		{exists("g by"), `UPDATE fact_validity_overrides SET updated_by = NULL WHERE fact_id = 'g by'`},
		{exists("h row gone"), `DELETE FROM fact_validity_overrides WHERE fact_id = 'h row gone'`},
		{Fact("i held", func(c *fact.Candidate) { c.Entity = "held" }), `INSERT INTO tombstones (id, entity_uri, scope, tenant_id, legal_hold, signed_by, signature, created_at) VALUES ('t', 'held', '*', 'default', 1, 'a', 'x', 'x')`},
		{Fact("i revoked no more", func(c *fact.Candidate) { c.Entity = "revoked" }), `UPDATE tombstone_revocations SET signed_by = 'another issuer' WHERE tombstone_id = 'lifted'`},
		{Fact("j pending"), `INSERT INTO fact_quarantine_status (fact_id, quarantine_status, updated_at) VALUES ('j pending', 'pending', 'x')`},
		{exists("k pending too"), `INSERT INTO fact_quarantine_status (fact_id, quarantine_status, updated_at) VALUES ('k pending too', 'pending', 'x')`},
	}
	var facts []fact.Candidate
	for _, c := range changes {
		facts = append(facts, c.fact)
	}
	facts = append(facts, Fact("y free"), exists("z free"))
	d.Insert(t, facts...)
	d.Exec(t, holdSQL, "lifted", "revoked", "*", "default", 1)
	d.Exec(t, revocationSQL, "r", "lifted", "admin")
	s := d.open(t, false)
	all := everything(t, s)
	for _, c := range all {
		d.Edge(t, c.ID, nil)
	}
	var heldBack []int
	for i, c := range changes {
		d.Exec(t, c.change)
		heldBack = append(heldBack, i)
	}
	before := d.Rows(t, overrideRows)
	applied, err := s.Apply(context.Background(), batch(t, s, all, true))
	if err != nil || !slices.Equal(applied.Changed, heldBack) {
		t.Fatalf("held back %v, want %v; %v", applied.Changed, heldBack, err)
	}
	after := slices.DeleteFunc(d.Rows(t, overrideRows), func(row string) bool { return row[0] >= 'y' })
	before = slices.DeleteFunc(before, func(row string) bool { return row[0] >= 'y' })
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("what changed meanwhile was overwritten (-before +after):\n%s", diff)
	}
	d.expect(t, retractionRows, "y free | "+asOfText+" | stigmem:system:decay", "z free | "+asOfText+" | stigmem:system:decay")
	d.expect(t, `SELECT count(*) FROM entity_edges WHERE valid_until IS NOT NULL`, "2")
}

// testChangedAmongMany is testChangedMeanwhile with so many tombstones that those of each fact are looked up.
func testChangedAmongMany(t *testing.T, d Database) {
	d.manyTombstones(t)
	testChangedMeanwhile(t, d)
}

// testHeldMeanwhile: a legal hold that comes after the read counts, even if other batches were written in between.
func testHeldMeanwhile(t *testing.T, d Database) {
	g := d.scene(t)
	for _, id := range []string{"a", "b", "c", "d"} {
		d.Insert(t, Fact(id, func(c *fact.Candidate) { c.Entity = id }))
	}
	h := g.start()
	apply := func(c store.Claim, heldBack ...int) {
		t.Helper()
		b := h.whole(c)
		if applied, err := g.s.Apply(g.ctx, b); err != nil || !slices.Equal(applied.Changed, heldBack) {
			t.Fatalf("held back %v, want %v; %v", applied.Changed, heldBack, err)
		}
	}
	first, second, third := h.claim(1), h.claim(1), h.claim(1)
	apply(first)
	d.Exec(t, holdSQL, "t", "b", "*", "default", 1)
	d.Exec(t, holdSQL, "u", "c", "*", "default", 1)
	fourth := h.claim(1) // a write of its own between the hold and the batch hides no hold
	if err := g.s.Renew(g.ctx, h.Lease); err != nil {
		t.Fatal(err)
	}
	apply(second, 0)
	apply(third, 0)
	apply(fourth)
}

func testAllOrNothing(t *testing.T, d Database) {
	d.Insert(t, Fact("a"), Fact("b"))
	d.Edge(t, "a", nil)
	d.Exec(t, `INSERT INTO fact_retractions (id, fact_id, retracted_at, retracted_by) VALUES ('taken', 'b', '2026', 'x')`)
	s := d.open(t, false)
	b := batch(t, s, everything(t, s), true)
	b.Expiries[1].Retraction = "taken" // a primary key, so the log refuses the row
	if _, err := s.Apply(context.Background(), b); !store.Is(err, store.Rejected) {
		t.Fatalf("got %v, want a rejected row", err)
	}
	d.expect(t, overrideRows)
	d.expect(t, retractionRows, "b | 2026 | x")
	d.expect(t, edgeRows, "a | - | -")
}

func testReadOnly(t *testing.T, d Database) {
	d.Insert(t, Fact("a"))
	b := batch(t, d.open(t, false), everything(t, d.open(t, true)), true)
	s := d.open(t, true)
	if _, err := s.Apply(context.Background(), b); !store.Is(err, store.NotPermitted) {
		t.Errorf("got %v, want not permitted", err)
	}
	d.expect(t, overrideRows)
}
