package sqlite_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"decayctl/internal/job"
	"decayctl/internal/store"
	"decayctl/internal/store/sqlite"
	"decayctl/internal/store/storetest"
	"decayctl/internal/sweep"
)

// remake makes an empty table anew from its own statement, changed, with its indexes and triggers.
func remake(t testing.TB, d storetest.Database, table string, change func(ddl string) string) {
	t.Helper()
	ddl := d.Rows(t, "SELECT sql FROM sqlite_schema WHERE name = $1", table)[0]
	more := d.Rows(t, "SELECT sql FROM sqlite_schema WHERE tbl_name = $1 AND type IN ('index', 'trigger') AND sql IS NOT NULL", table)
	changed := change(ddl)
	if changed == ddl {
		t.Fatalf("%s is as it was", table)
	}
	d.Exec(t, "DROP TABLE "+table)
	for _, statement := range append([]string{changed}, more...) {
		d.Exec(t, statement)
	}
}

// TestUnfitTablesAreRefused: tables that decayctl's statements cannot work with are refused by name, before anything is
// created.
func TestUnfitTablesAreRefused(t *testing.T) {
	t.Parallel()
	replace := func(old, with string) func(string) string {
		return func(ddl string) string { return strings.Replace(ddl, old, with, 1) }
	}
	unnumbered := func(ddl string) string { return ddl + " WITHOUT ROWID" }
	view := func(table string) []string {
		return []string{"PRAGMA legacy_alter_table = ON", "ALTER TABLE " + table + " RENAME TO kept", "CREATE VIEW " + table + " AS SELECT * FROM kept"}
	}
	for name, form := range map[string]struct {
		table  string
		change func(ddl string) string
		more   []string
		want   string
	}{
		"facts without row numbers":     {table: "facts", change: unnumbered, want: "facts is a table WITHOUT ROWID;"},
		"overrides without row numbers": {table: "fact_validity_overrides", change: unnumbered, want: "fact_validity_overrides is a table WITHOUT ROWID;"},
		"states without row numbers":    {table: "fact_quarantine_status", change: unnumbered, want: "fact_quarantine_status is a table WITHOUT ROWID;"},
		"holds without row numbers":     {table: "tombstones", change: unnumbered, want: "tombstones is a table WITHOUT ROWID;"},
		"a column rowid":                {table: "facts", change: replace("hlc ", "RowID TEXT, hlc "), want: "facts is a table with a column named rowid;"},
		"facts a view":                  {more: view("facts"), want: "facts is a view and no plain table;"},
		"jobs a view":                   {more: view("jobs"), want: "jobs is a view and no plain table;"},
		"a virtual table": {more: []string{"DROP TABLE tombstone_revocations", "CREATE VIRTUAL TABLE tombstone_revocations USING fts5 (tombstone_id, signed_by, id)"},
			want: "tombstone_revocations is a virtual and no plain table;"},

		"facts without their key":     {table: "facts", change: replace(" PRIMARY KEY", ""), want: `facts has no unique index on id alone, so that a fact could be there twice; what makes one is CREATE UNIQUE INDEX "idx_facts_id" ON "facts" ("id")`},
		"overrides without their key": {table: "fact_validity_overrides", change: replace("PRIMARY KEY", ""), want: "fact_validity_overrides has no unique index on fact_id alone, so"},
		"states without their key":    {table: "fact_quarantine_status", change: replace("PRIMARY KEY", ""), want: "fact_quarantine_status has no unique index on fact_id alone, so"},
		"a key of two": {table: "fact_validity_overrides", change: replace("TEXT PRIMARY KEY", "TEXT"),
			more: []string{"CREATE UNIQUE INDEX wide ON fact_validity_overrides (fact_id, updated_at)"}, want: "no unique index on fact_id alone"},
		"a key of some": {table: "fact_validity_overrides", change: replace("TEXT PRIMARY KEY", "TEXT"),
			more: []string{"CREATE UNIQUE INDEX some ON fact_validity_overrides (fact_id) WHERE fact_id <> ''"}, want: "no unique index on fact_id alone"},
		"a key that folds": {table: "fact_validity_overrides", change: replace("TEXT PRIMARY KEY", "TEXT"),
			more: []string{"CREATE UNIQUE INDEX folded ON fact_validity_overrides (fact_id COLLATE NOCASE)"}, want: "no unique index on fact_id alone"},

		"a number for text":     {table: "fact_validity_overrides", change: replace("fact_id     TEXT", "fact_id INTEGER"), want: "fact_validity_overrides.fact_id has the type INTEGER, expected is text"},
		"no type for text":      {table: "facts", change: replace("entity                    TEXT", "entity"), want: "facts.entity has the type of no declaration, expected is text"},
		"a timestamp":           {table: "facts", change: replace("timestamp                 TEXT", "timestamp TIMESTAMP"), want: "facts.timestamp has the type TIMESTAMP, expected is text"},
		"text for a confidence": {table: "facts", change: replace("confidence                REAL", "confidence TEXT"), want: "facts.confidence has the type TEXT, expected is real"},
		"text for a hold":       {table: "tombstones", change: replace("legal_hold INTEGER", "legal_hold TEXT"), want: "tombstones.legal_hold has the type TEXT, expected is integer"},
		"real for an epoch":     {table: "entity_edges", change: replace("decay_epoch   INTEGER", "decay_epoch REAL"), want: "entity_edges.decay_epoch has the type REAL, expected is bigint"},

		"case folded":   {table: "tombstones", change: replace("entity_uri TEXT", "entity_uri TEXT COLLATE NOCASE"), want: "collation of tombstones.entity_uri is one that takes different texts for equal"},
		"blanks folded": {table: "facts", change: replace("tenant_id                 TEXT", "tenant_id TEXT COLLATE RTRIM"), want: "collation of facts.tenant_id is one that takes"},

		"NULL where it hides a hold":    {table: "tombstones", change: replace("scope      TEXT NOT NULL", "scope TEXT"), want: "tombstones.scope allows NULL; expected is NOT NULL"},
		"NULL that cannot be written":   {table: "fact_validity_overrides", change: replace("confidence  REAL", "confidence REAL NOT NULL DEFAULT 1"), want: "fact_validity_overrides.confidence is NOT NULL, and decayctl writes NULL to it"},
		"a column that must be written": {table: "fact_retractions", change: replace("retracted_by TEXT NOT NULL", "retracted_by TEXT NOT NULL, why TEXT NOT NULL"), want: "fact_retractions.why is NOT NULL without a default"},
		"a column that writes itself": {table: "fact_validity_overrides", change: replace("updated_by  TEXT", "updated_by TEXT GENERATED ALWAYS AS ('x')"),
			want: "fact_validity_overrides.updated_by is a generated column, and decayctl writes it"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := newFile(t)
			d := database(t, path)
			if form.change != nil {
				remake(t, d, form.table, form.change)
			}
			for _, statement := range form.more {
				d.Exec(t, statement)
			}
			for _, readOnly := range []bool{true, false} {
				_, err := sqlite.Open(context.Background(), path, store.OpenParams{ReadOnly: readOnly, LockTimeout: time.Minute, Now: time.Now})
				if !store.Is(err, store.Unusable) || !strings.Contains(err.Error(), form.want) {
					t.Errorf("got %v, want %q", err, form.want)
				}
			}
		})
	}
}

// TestNamesInAnotherCase: SQLite ignores the case of names of tables and columns, and so does decayctl.
func TestNamesInAnotherCase(t *testing.T) {
	t.Parallel()
	path := newFile(t)
	d := database(t, path)
	for _, table := range []string{"facts", "fact_validity_overrides", "fact_retractions", "entity_edges", "tombstones", "jobs"} {
		remake(t, d, table, func(ddl string) string {
			return strings.NewReplacer(table, strings.ToUpper(table), "fact_id", "Fact_ID", " id ", " Id ", "entity_uri", "Entity_URI").Replace(ddl)
		})
	}
	d.Insert(t, storetest.Fact("a"), storetest.Fact("b"))
	d.Edge(t, "a", nil)
	if got := run(t, open(t, path, false), false); got.Decayed != 2 {
		t.Errorf("expired %d", got.Decayed)
	}
	found, err := open(t, path, true).Diagnose(t.Context())
	if err != nil || len(found.MissingIndexes) > 0 || found.OwnVersion == 0 || found.OwnBroken {
		t.Errorf("the doctor found %+v, %v", found, err)
	}

	for table, change := range map[string]string{
		"decayctl_jobs":  "CREATE TABLE Decayctl_Jobs (a)",
		"decayctl_store": "CREATE VIEW DECAYCTL_STORE AS SELECT 1 AS id",
	} {
		path := newFile(t)
		database(t, path).Exec(t, change)
		s := open(t, path, true)
		if notes := s.Notes(); len(notes) != 1 || !strings.Contains(notes[0], "decayctl_migrations is missing") {
			t.Errorf("%s: notes %q", table, notes)
		}
		if found, err := s.Diagnose(t.Context()); err != nil || !found.OwnBroken {
			t.Errorf("%s: the doctor found %+v, %v", table, found, err)
		}
		if err := open(t, path, false).Prepare(t.Context()); !store.Is(err, store.Unusable) || !strings.Contains(err.Error(), "decayctl_migrations is missing") {
			t.Errorf("%s: %v", table, err)
		}
	}
}

// TestTableChangedWhileOpen: if another process changes a table while the store is open, the error is decayctl's and
// not SQLite's. Committed batches stay.
func TestTableChangedWhileOpen(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]string{
		"a table goes":  "ALTER TABLE entity_edges RENAME TO edges",
		"a column goes": "ALTER TABLE fact_validity_overrides RENAME COLUMN reason TO why",
		"a key goes":    "DROP TABLE fact_validity_overrides; CREATE TABLE fact_validity_overrides (fact_id TEXT, valid_until TEXT, confidence REAL, reason TEXT, updated_at TEXT NOT NULL, updated_by TEXT)",
		"a view comes":  "ALTER TABLE fact_validity_overrides RENAME TO kept; CREATE VIEW fact_validity_overrides AS SELECT * FROM kept",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := newFile(t)
			d := database(t, path)
			d.Insert(t, storetest.Fact("a"))
			s := open(t, path, false)
			if err := s.Prepare(t.Context()); err != nil {
				t.Fatal(err)
			}
			d.Exec(t, "PRAGMA legacy_alter_table = ON; "+change)
			j, err := storetest.Sweep(t.Context(), storetest.Engine(s), store.StartParams{Rules: weak, AsOf: asOf}, sweep.Work{})
			if !store.Is(err, store.Unusable) || !strings.Contains(err.Error(), "a table is not as decayctl expects, or was changed") {
				t.Errorf("got %v", err)
			}
			if j.State == job.Done || j.Counts.Decayed != 0 {
				t.Errorf("%s with %d expired", j.State, j.Counts.Decayed)
			}
		})
	}
}
