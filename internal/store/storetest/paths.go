package storetest

import (
	"slices"
	"strings"
	"testing"
	"time"

	"decayctl/internal/fact"
	"decayctl/internal/job"
	"decayctl/internal/rule"
	"decayctl/internal/store"
)

// SweepStatements and UndoStatements are the beginnings of statements that a sweep and an undo must run.
var (
	SweepStatements = []string{
		"INSERT INTO fact_validity_overrides", "UPDATE fact_validity_overrides", "INSERT INTO fact_retractions",
		"INSERT INTO decayctl_before", "UPDATE entity_edges", "DELETE FROM vec_facts", "UPDATE memory_cards",
	}
	UndoStatements = []string{
		"DELETE FROM fact_validity_overrides", "UPDATE fact_validity_overrides", "UPDATE entity_edges",
		"DELETE FROM fact_retractions", "INSERT INTO fact_embedding_status",
	}
)

// EachPath runs all that a store does for each range and each batch, with a few of size facts each, and the undo. After each
// part it calls seen with the beginnings of statements that must have run.
func (d Database) EachPath(t testing.TB, size int, seen func(part string, begin ...string)) {
	t.Helper()
	g := d.scene(t)
	prefilter := store.Prefilter{Age: true, Before: AsOf.AddDate(0, 0, -90), Below: ptr(0.4)}
	candidates := func(p store.CandidatesParams) []fact.Candidate {
		t.Helper()
		p.AsOf = AsOf
		found, err := Candidates(g.ctx, g.s, p)
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	var at store.Cursor
	var unswept []string // facts that the sweep will find without an override
	for range 2 {
		r, err := g.s.NextRange(g.ctx, store.RangeParams{After: at, Size: size})
		if err != nil || r.Facts != size {
			t.Fatalf("%+v, %v", r, err)
		}
		var groups []store.Group
		for _, c := range candidates(store.CandidatesParams{Range: r, Prefilter: prefilter}) {
			groups = append(groups, store.GroupOf(&c))
			if c.Override == nil && !c.LegalHold && !c.QuarantinePending {
				unswept = append(unswept, c.ID)
			}
		}
		candidates(store.CandidatesParams{Range: r, Prefilter: store.Prefilter{Live: true}, Scope: "local", Tenant: "default"})
		if err := g.s.Groups(g.ctx, groups, func(fact.Candidate) {}); err != nil {
			t.Fatal(err)
		}
		at = r.Last
	}
	seen("reading")

	override := func(id string) {
		t.Helper()
		d.Exec(t, `INSERT INTO fact_validity_overrides (fact_id, valid_until, confidence, reason, updated_at, updated_by)
			VALUES ($1, $2, 0.1, $3, '2026-02-01T00:00:00+00:00', $4)`, id, farOff, store.Reason, store.Actor)
	}
	again, meanwhile := unswept[0], unswept[len(unswept)-1]
	override(again) // an earlier sweep has expired it, and another process has put that off
	h := g.start(func(p *store.StartParams) { p.Rules = pathPolicies })
	g.enqueue(h.Lease, store.ScanResult{Seen: store.Range{Last: at, Facts: 2 * size}, IDs: unswept, Size: (len(unswept) + 1) / 2})
	for i := range 4 {
		c := h.claim(size)
		found := slices.DeleteFunc(candidates(store.CandidatesParams{Range: c.Range, Prefilter: prefilter}), func(c fact.Candidate) bool {
			return c.LegalHold || c.QuarantinePending || !rule.Live(&c, time.Now().Add(time.Hour)) // it may have expired since as-of
		})
		half := len(found) / 2
		b := byPolicies(h.batch(c, found[:half]), found[:half])
		b.ClosesClaim = false
		h.apply(b)
		if now, there, err := g.s.LookupClaim(g.ctx, h.Lease, c.Number); err != nil || !there || now.After != b.UpTo {
			t.Fatalf("%+v, %v, %v", now, there, err)
		}
		c = b.Remaining()
		rest := byPolicies(h.batch(c, found[half:]), found[half:])
		rest.UpTo, rest.ClosesClaim = c.Last, true
		if i == 1 {
			override(meanwhile)
		}
		if applied, err := g.s.Apply(g.ctx, rest); err != nil || (len(applied.Changed) == 1) != (i == 1) {
			t.Fatalf("%+v, %v", applied, err)
		}
	}
	seen("a sweep", SweepStatements...)

	if _, err := g.s.Leave(g.ctx, h.Lease, job.Cancelled, "enough"); err != nil {
		t.Fatal(err)
	}
	undo := g.join(h.Job.ID, true)
	if j := undo.takeBackFrom(undo.Job, size); j.Counts.Restored != j.Counts.Decayed {
		t.Errorf("restored %d: %+v", j.Counts.Restored, j.Counts)
	}
	seen("an undo", UndoStatements...)
	for _, id := range []string{again, meanwhile} {
		d.Exec(t, "DELETE FROM fact_validity_overrides WHERE fact_id = $1", id)
	}
}

// pathPolicies are rules by which a batch changes facts in every way.
var pathPolicies = policies(
	rule.Policy{ID: "slow", Relation: "*", Mode: rule.ModeConfidence, HalfLife: 10 * 86400, MinConfidence: 0.01, MinStep: rule.DefaultMinStep},
	rule.Policy{ID: "hard", Relation: "none", Mode: rule.ModeRetract, TTL: ptr(rule.TTL(86400))},
)

// byPolicies changes most facts of a batch in the ways that policies do.
func byPolicies(b store.Batch, found []fact.Candidate) store.Batch {
	for i := range b.Expiries {
		e, v := &b.Expiries[i], b.Expiries[i].Verdict()
		faded := pathPolicies.Decide(&found[i], AsOf).Confidence
		switch {
		case i%4 == 2: // retracted
			v.Action, v.Policy, v.Confidence = rule.Retract, "hard", ptr(0.0)
		case i%2 == 1 && faded != nil: // less sure, and half of them expired too
			v.Action, v.Policy, v.Confidence, e.Retraction = rule.Expire, "slow", faded, ""
			if i%4 == 1 {
				v.Action = rule.Reduce
			}
		}
		e.Decision = Decision(&found[i], v)
	}
	return b
}

// Crowd inserts n facts with rows in all other tables. Their ids are spread among those of other facts.
func (d Database) Crowd(t testing.TB, n int) {
	t.Helper()
	const crowd = `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1), facts_of AS (
		SELECT i, substr(CAST(10000000000 + (i * 2654435761) % 4294967296 AS TEXT), 2) AS id, 'stigmem://acme/thing/' || (i % 5000) AS entity FROM n) `
	for _, statement := range []string{
		`INSERT INTO facts (id, entity, relation, value_type, value_v, source, timestamp, confidence, scope)
			SELECT id, entity, 'memory:context', 'string', 'v', 'agent:1',
				CASE WHEN i % 10 < 7 THEN '2026-01-01T00:00:00.000000+00:00' ELSE '2026-11-01T00:00:00.000000+00:00' END,
				CASE WHEN i % 10 < 8 THEN 0.3 ELSE 0.9 END, 'local'
			FROM facts_of`,
		`INSERT INTO entity_edges (id, subject, relation, object, scope, confidence, created_at)
			SELECT id, entity, 'a', 'b', 'local', 0.5, 1767225600000 FROM facts_of WHERE i % 5 = 0`,
		`INSERT INTO fact_validity_overrides (fact_id, confidence, reason, updated_at)
			SELECT id, 0.2, 'by hand', '2026-02-01T00:00:00+00:00' FROM facts_of WHERE i % 50 = 0`,
		`INSERT INTO fact_retractions (id, fact_id, retracted_at, retracted_by)
			SELECT 'r' || id, id, '2026-02-01T00:00:00.000000+00:00', 'someone' FROM facts_of WHERE i % 20 = 0`,
		`INSERT INTO decayctl_before (job_id, fact_id, had_override, had_edge) SELECT 'long ago', id, 0, 0 FROM facts_of WHERE i % 4 = 0`,
		`INSERT INTO memory_cards (entity_uri, is_stale) SELECT entity, 0 FROM facts_of WHERE i <= 5000`,
	} {
		d.Exec(t, crowd+statement, n)
	}
}

// SweptBefore inserts what an earlier sweep would have left: an override and a before-image for each old fact, and
// retractions for many.
func (d Database) SweptBefore(t testing.TB) {
	t.Helper()
	const at, by = "2026-11-20T00:00:00.000000+00:00", " FROM fact_validity_overrides WHERE updated_at = '2026-11-20T00:00:00+00:00'"
	d.Exec(t, `INSERT INTO fact_validity_overrides (fact_id, valid_until, reason, updated_at, updated_by)
		SELECT id, '`+at+`', 'decay_sweep', '2026-11-20T00:00:00+00:00', 'stigmem:system:decay'
		FROM facts WHERE timestamp < '2026-08' ON CONFLICT (fact_id) DO NOTHING`)
	d.Exec(t, `INSERT INTO fact_retractions (id, fact_id, retracted_at, retracted_by)
		SELECT 'retract_' || fact_id, fact_id, '`+at+`', 'stigmem:system:decay'`+by)
	d.Exec(t, `INSERT INTO decayctl_before (job_id, fact_id, had_override, had_edge) SELECT 'earlier', fact_id, 0, 0`+by)
}

// Bare is a statement without schema and quotes, and with single spaces.
func Bare(statement, schema string) string {
	bare := strings.NewReplacer(`"`+schema+`".`, "", `"`, "").Replace(statement)
	return strings.Join(strings.Fields(bare), " ")
}
