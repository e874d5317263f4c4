package postgres_test

import (
	"fmt"
	"strings"
	"testing"

	"decayctl/internal/job"
	"decayctl/internal/store"
	"decayctl/internal/store/pgtest"
	"decayctl/internal/store/sample"
	"decayctl/internal/store/storetest"
	"decayctl/internal/sweep"
)

// inSchema runs statements in a schema of its own, with the node's tables in it, which it makes.
func inSchema(t testing.TB, d storetest.Database, schema, statements string) {
	t.Helper()
	d.Exec(t, fmt.Sprintf("CREATE SCHEMA %[1]s; SET LOCAL search_path = %[1]s, public; %[2]s; %[3]s", schema, sample.PostgresDDL(), statements))
}

// TestUnfitTablesAreRefused: tables that decayctl's statements cannot work with are refused by name, before anything is
// created.
func TestUnfitTablesAreRefused(t *testing.T) {
	t.Parallel()
	db := pgtest.Start(t).NewDatabase(t, pgtest.DatabaseOptions{})
	d := database(t, db, db.URL)
	d.Exec(t, `CREATE COLLATION folded (provider = icu, locale = 'und-u-ks-level2', deterministic = false)`)
	d.Exec(t, `CREATE DOMAIN public.name_of_fact AS uuid; CREATE DOMAIN public.name_below AS public.name_of_fact`)
	d.Exec(t, `CREATE DOMAIN public.never_null AS text NOT NULL; CREATE DOMAIN public.null_below AS public.never_null`)
	alter := func(table, change string) string { return "ALTER TABLE " + table + " " + change }
	retype := func(table, column, of string) string {
		return alter(table, "ALTER "+column+" DROP DEFAULT, ALTER "+column+" TYPE "+of+" USING "+column+"::"+of)
	}
	view := func(kind, table string) string {
		return alter(table, "RENAME TO kept") + "; CREATE " + kind + " " + table + " AS SELECT * FROM kept"
	}
	partitioned := func(table, columns, by string) string {
		return "DROP TABLE " + table + " CASCADE; CREATE TABLE " + table + " (" + columns + ") PARTITION BY " + by
	}
	const overrides = "fact_id text NOT NULL, valid_until text, confidence real, reason text, updated_at text NOT NULL, updated_by text"
	for i, form := range []struct{ statements, want string }{
		{view("VIEW", "facts"), "facts is a view and no plain table;"},
		{view("VIEW", "fact_validity_overrides"), "fact_validity_overrides is a view and no plain table;"},
		{view("MATERIALIZED VIEW", "tombstones"), "tombstones is a materialized view and no plain table;"},
		{"DROP TABLE jobs; CREATE FOREIGN DATA WRAPPER far; CREATE SERVER away FOREIGN DATA WRAPPER far; CREATE FOREIGN TABLE jobs (id text) SERVER away", "store has no column jobs.job_type"},
		{"CREATE TABLE more () INHERITS (facts)", "facts is a table that others inherit from;"},

		{alter("facts", "DROP CONSTRAINT facts_pkey CASCADE"), "facts has no unique index on id alone, so that a fact could be there twice; what makes one is CREATE UNIQUE INDEX CONCURRENTLY ON \"f5\".\"facts\" (\"id\")"},
		{alter("fact_quarantine_status", "DROP CONSTRAINT fact_quarantine_status_pkey"), "fact_quarantine_status has no unique index on fact_id alone, so"},
		{alter("fact_validity_overrides", "DROP CONSTRAINT fact_validity_overrides_pkey; CREATE INDEX many ON fact_validity_overrides (fact_id)"), "no unique index on fact_id alone"},
		{alter("fact_validity_overrides", "DROP CONSTRAINT fact_validity_overrides_pkey; CREATE UNIQUE INDEX wide ON fact_validity_overrides (fact_id, updated_at)"), "no unique index on fact_id alone"},
		{alter("fact_validity_overrides", "DROP CONSTRAINT fact_validity_overrides_pkey, ADD CONSTRAINT late UNIQUE (fact_id) DEFERRABLE"), "no unique index on fact_id alone"},
		{partitioned("fact_validity_overrides", overrides, "HASH (fact_id)") + "; CREATE TABLE part PARTITION OF fact_validity_overrides FOR VALUES WITH (MODULUS 1, REMAINDER 0); CREATE UNIQUE INDEX ON part (fact_id)",
			"what makes one is CREATE UNIQUE INDEX ON \"f10\".\"fact_validity_overrides\" (\"fact_id\")"},

		{retype("fact_validity_overrides", "updated_at", "timestamptz"), "fact_validity_overrides.updated_at has the type timestamp with time zone, expected is text"},
		{retype("facts", "timestamp", "timestamptz"), "facts.timestamp has the type timestamp with time zone, expected is text"},
		{retype("entity_edges", "valid_until", "date"), "entity_edges.valid_until has the type date, expected is text"},
		{retype("entity_edges", "id", "uuid"), "entity_edges.id has the type uuid, expected is text"},
		{retype("entity_edges", "id", "public.name_of_fact"), "entity_edges.id has the type name_of_fact, expected is text"},
		{retype("entity_edges", "id", "public.name_below"), "entity_edges.id has the type name_below, expected is text"},
		{retype("facts", "tenant_id", "char(20)"), "facts.tenant_id has the type character(20), expected is text"},
		{retype("facts", "confidence", "numeric"), "facts.confidence has the type numeric, expected is real"},
		{retype("fact_validity_overrides", "confidence", "double precision"), "fact_validity_overrides.confidence has the type double precision, expected is real"},
		{retype("entity_edges", "decay_epoch", "integer"), "entity_edges.decay_epoch has the type integer, expected is bigint"},
		{alter("tombstones", "ALTER legal_hold DROP DEFAULT, ALTER legal_hold TYPE boolean USING legal_hold <> 0"), "tombstones.legal_hold has the type boolean, expected is integer"},
		{alter("jobs", "ALTER tenant_id DROP DEFAULT, ALTER tenant_id TYPE integer USING 0"), "jobs.tenant_id has the type integer, expected is text"},
		{retype("jobs", "result_json", "jsonb"), "jobs.result_json has the type jsonb, expected is text"},

		{alter("tombstones", "ALTER entity_uri TYPE text COLLATE public.folded"), "collation of tombstones.entity_uri is one that takes different texts for equal"},
		{alter("tombstones", "ALTER scope DROP NOT NULL"), "tombstones.scope allows NULL; expected is NOT NULL"},
		{alter("fact_validity_overrides", "ALTER confidence SET NOT NULL"), "fact_validity_overrides.confidence is NOT NULL, and decayctl writes NULL to it"},
		{retype("entity_edges", "valid_until", "public.null_below"), "entity_edges.valid_until is NOT NULL, and decayctl writes NULL to it"},
		{alter("fact_retractions", "ADD why text NOT NULL"), "fact_retractions.why is NOT NULL without a default"},
		{alter("fact_retractions", "ADD why public.null_below"), "fact_retractions.why is NOT NULL without a default"},
		{alter("fact_validity_overrides", "DROP updated_by, ADD updated_by text GENERATED ALWAYS AS ('x') STORED"), "fact_validity_overrides.updated_by is a generated column, and decayctl writes it"},
	} {
		schema := fmt.Sprintf("f%d", i)
		inSchema(t, d, schema, form.statements)
		for _, readOnly := range []bool{true, false} {
			_, err := open(t, db.URL, schema, readOnly)
			refused(t, err, store.Unusable, form.want)
		}
	}
}

// TestTableChangedWhileOpen: if another session changes a table while the store is open, the error is decayctl's and
// not the server's. Committed batches stay.
func TestTableChangedWhileOpen(t *testing.T) {
	t.Parallel()
	db := pgtest.Start(t).NewDatabase(t, pgtest.DatabaseOptions{})
	d := database(t, db, db.URL)
	for i, change := range []string{
		"ALTER TABLE %s.entity_edges RENAME TO edges",
		"ALTER TABLE %s.fact_validity_overrides RENAME COLUMN reason TO why",
		"ALTER TABLE %s.fact_validity_overrides DROP reason; ALTER TABLE %[1]s.fact_validity_overrides ADD reason text GENERATED ALWAYS AS ('x') STORED",
	} {
		schema := fmt.Sprintf("f%d", i)
		inSchema(t, d, schema, `INSERT INTO facts (id, entity, relation, value_type, value_v, source, timestamp, confidence, scope)
			VALUES ('a', 'e', 'r', 'string', 'v', 's', '2026-01-01T00:00:00+00:00', 0.3, 'local')`)
		s, err := open(t, db.URL, schema, false)
		if err != nil {
			t.Fatal(err)
		}
		d.Exec(t, fmt.Sprintf(change, schema))
		j, err := storetest.Sweep(t.Context(), storetest.Engine(s), store.StartParams{Rules: weak, AsOf: asOf}, sweep.Work{})
		refused(t, err, store.Unusable, "a table is not as decayctl expects, or was changed")
		if strings.Contains(err.Error(), "SQLSTATE") || j.State == job.Done || j.Counts.Decayed != 0 {
			t.Errorf("%s: %v, %s with %d expired", change, err, j.State, j.Counts.Decayed)
		}
	}
}
