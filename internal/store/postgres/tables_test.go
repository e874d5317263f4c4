package postgres_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"decayctl/internal/fact"
	"decayctl/internal/store"
	"decayctl/internal/store/pgtest"
	"decayctl/internal/store/storetest"
	"decayctl/internal/sweep"
)

// TestPartitionedFacts: the table of facts may be partitioned: its keys then have no common index.
func TestPartitionedFacts(t *testing.T) {
	t.Parallel()
	db := pgtest.Start(t).NewDatabase(t, pgtest.DatabaseOptions{})
	d := database(t, db, db.URL)
	d.Exec(t, `DROP TABLE fact_validity_overrides`)
	d.Exec(t, `CREATE TABLE fact_validity_overrides (fact_id text PRIMARY KEY, valid_until text, confidence real, reason text, updated_at text NOT NULL, updated_by text) PARTITION BY HASH (fact_id)`)
	d.Exec(t, `ALTER TABLE facts RENAME TO facts_plain`)
	d.Exec(t, `CREATE TABLE facts (LIKE facts_plain INCLUDING DEFAULTS, PRIMARY KEY (id)) PARTITION BY HASH (id)`)
	for i := range 3 {
		d.Exec(t, fmt.Sprintf(`CREATE TABLE facts_%d PARTITION OF facts FOR VALUES WITH (MODULUS 3, REMAINDER %d)`, i, i))
		d.Exec(t, fmt.Sprintf(`CREATE TABLE overrides_%d PARTITION OF fact_validity_overrides FOR VALUES WITH (MODULUS 3, REMAINDER %d)`, i, i))
	}
	d.Exec(t, `ALTER TABLE fact_retractions DROP CONSTRAINT fact_retractions_fact_id_fkey`)
	for i := range 50 {
		d.Insert(t, storetest.Fact(fmt.Sprintf("%02d", i)))
	}
	d.Exec(t, "ANALYZE facts")
	s, err := open(t, db.URL, "public", false)
	if got := run(t, s, err, false); got.Decayed != 50 || got.Examined != 50 {
		t.Errorf("expired %d of %d", got.Decayed, got.Examined)
	}
	if total, err := s.Estimate(context.Background()); err != nil || total != 50 {
		t.Errorf("estimated %d, %v", total, err)
	}
}

// TestUnequalCollationsAreRefused: quarantine states and edges are found by the range of fact ids, and holds are
// compared in Go. With unequal collations, a protection could be missed.
func TestUnequalCollationsAreRefused(t *testing.T) {
	t.Parallel()
	cluster := pgtest.Start(t)
	for column, statement := range map[string]string{
		"fact_quarantine_status.fact_id":  `ALTER TABLE fact_quarantine_status ALTER fact_id TYPE text COLLATE "und-x-icu"`,
		"entity_edges.id":                 `ALTER TABLE entity_edges ALTER id TYPE text COLLATE "und-x-icu"`,
		"facts.entity":                    `ALTER TABLE facts ALTER entity TYPE text COLLATE folded`,
		"tombstones.entity_uri":           `ALTER TABLE tombstones ALTER entity_uri TYPE text COLLATE folded`,
		"tombstone_revocations.signed_by": `ALTER TABLE tombstone_revocations ALTER signed_by TYPE text COLLATE folded`,
	} {
		db := cluster.NewDatabase(t, pgtest.DatabaseOptions{})
		d := database(t, db, db.URL)
		d.Exec(t, `CREATE COLLATION folded (provider = icu, locale = 'und-u-ks-level2', deterministic = false)`)
		d.Insert(t, storetest.Fact("B", func(c *fact.Candidate) { c.QuarantinePending = true }),
			storetest.Fact("a", func(c *fact.Candidate) { c.Entity = "E" }))
		d.Exec(t, `INSERT INTO tombstones (id, entity_uri, scope, tenant_id, legal_hold, signed_by, signature, created_at)
			VALUES ('h', 'e', '*', 'default', 1, 'admin', 'x', '2026-01-01T00:00:00+00:00')`)
		d.Exec(t, statement)
		s, err := open(t, db.URL, "public", false)
		if err == nil {
			t.Errorf("%s: expired %d", column, run(t, s, err, false).Decayed)
			continue
		}
		refused(t, err, store.Unusable, "collation of "+column+" is")
	}
}

// TestRowSecurityHidesNoHold: a row security policy must not hide a legal hold. An error is allowed.
func TestRowSecurityHidesNoHold(t *testing.T) {
	t.Parallel()
	db := pgtest.Start(t).NewDatabase(t, pgtest.DatabaseOptions{})
	d := database(t, db, db.URL)
	d.Insert(t, storetest.Fact("held", func(c *fact.Candidate) { c.LegalHold = true }))
	d.Exec(t, "ALTER TABLE tombstones ENABLE ROW LEVEL SECURITY")
	role := db.NewRole(t, "SELECT ON ALL TABLES IN SCHEMA public")
	s, err := open(t, role.URL, "public", true)
	if err != nil {
		t.Fatal(err)
	}
	result, err := storetest.Engine(s).Preview(context.Background(), sweep.Params{Rules: weak, AsOf: asOf})
	if result.Selected != 0 {
		t.Errorf("the held fact was selected")
	}
	refused(t, err, store.NotPermitted, "row-level security")
}

// TestTriggerRefusesOneFact: an error that a trigger raises concerns its fact only.
func TestTriggerRefusesOneFact(t *testing.T) {
	t.Parallel()
	db := pgtest.Start(t).NewDatabase(t, pgtest.DatabaseOptions{})
	d := database(t, db, db.URL)
	for i := range 10 {
		d.Insert(t, storetest.Fact(fmt.Sprint(i)))
	}
	d.Exec(t, "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF new.fact_id = '3' THEN RAISE EXCEPTION 'not this one'; END IF; RETURN new; END $$")
	d.Exec(t, "CREATE TRIGGER refuse BEFORE INSERT ON fact_validity_overrides FOR EACH ROW EXECUTE FUNCTION refuse()")
	s, err := open(t, db.URL, "public", false)
	got := run(t, s, err, false)
	if got.Decayed != 9 || got.FailedCount != 1 || got.Failed[0].FactID != "3" || !strings.Contains(got.Failed[0].Error, "not this one") {
		t.Errorf("%+v", got)
	}
}

func TestVectors(t *testing.T) {
	t.Parallel()
	db := pgtest.Start(t).NewDatabase(t, pgtest.DatabaseOptions{Schema: "memory"})
	d := database(t, db, db.URL)
	d.Exec(t, "CREATE TABLE vec_facts (fact_id text PRIMARY KEY, embedding text)")
	d.Exec(t, "INSERT INTO vec_facts VALUES ('a', '[1]'), ('b', '[1]')")
	d.Insert(t, storetest.Fact("a"), storetest.Fact("b", func(c *fact.Candidate) { c.Confidence = 0.5 }))
	s, err := open(t, db.URL, "memory", false)
	if got := run(t, s, err, false); got.Decayed != 1 || len(s.Notes()) != 0 {
		t.Errorf("expired %d, notes %q", got.Decayed, s.Notes())
	}
	if left := d.Rows(t, "SELECT fact_id FROM vec_facts"); !slices.Equal(left, []string{"b"}) {
		t.Errorf("vectors left: %v", left)
	}
}

// TestUnfitVectorTablesDoNotStopASweep: a sweep works without the tables of vectors, and says so.
func TestUnfitVectorTablesDoNotStopASweep(t *testing.T) {
	t.Parallel()
	db := pgtest.Start(t).NewDatabase(t, pgtest.DatabaseOptions{})
	d := database(t, db, db.URL)
	for schema, form := range map[string]struct{ statements, want string }{
		"ids":    {"CREATE TABLE vec_facts (fact_id uuid PRIMARY KEY)", "vec_facts.fact_id has the type uuid, expected is text"},
		"status": {"CREATE TABLE vec_facts (fact_id text PRIMARY KEY); ALTER TABLE fact_embedding_status DROP CONSTRAINT fact_embedding_status_pkey", "fact_embedding_status has no unique index on fact_id alone"},
	} {
		inSchema(t, d, schema, form.statements+`; INSERT INTO facts (id, entity, relation, value_type, value_v, source, timestamp, confidence, scope)
			VALUES ('a', 'e', 'r', 'string', 'v', 's', '2026-01-01T00:00:00+00:00', 0.3, 'local')`)
		s, err := open(t, db.URL, schema, false)
		if got := run(t, s, err, false); got.Decayed != 1 || len(s.Notes()) != 1 || !strings.Contains(s.Notes()[0], form.want) {
			t.Errorf("expired %d, notes %q", got.Decayed, s.Notes())
		}
	}
}
