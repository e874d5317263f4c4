package storetest

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"

	"decayctl/internal/job"
	"decayctl/internal/rule"
	"decayctl/internal/store"
	"decayctl/internal/sweep"
)

// driversWords are words of the databases' errors for damaged tables, which no message of decayctl may have.
var driversWords = regexp.MustCompile(`(?i)SQLSTATE|SQL logic error|no such|already exists|does not exist|syntax error|no rows|duplicate column|ON CONFLICT`)

// ExerciseOwnLost runs the part of the contract about damaged own tables of decayctl. It takes long and does not depend on the
// schema, the collation or a pooler, so one database of each kind is enough.
//
// If own tables are lost, or differ from what the migrations made, nothing is written. Every command that needs them says in
// one line what is wrong and how to mend it. All other commands work.
func ExerciseOwnLost(t *testing.T, d Database) {
	t.Helper()
	d.Insert(t, Fact("a"), Fact("b"))
	type damage struct {
		what       string
		statements []string
		names      string // what the error is about
	}
	damages := []damage{
		{"a column of version 5", []string{"ALTER TABLE decayctl_jobs DROP COLUMN plan"}, "decayctl_jobs has no column plan"},
		{"a column of version 3", []string{"ALTER TABLE decayctl_claims DROP COLUMN ids"}, "decayctl_claims has no column ids"},
		{"a column of version 2", []string{"ALTER TABLE decayctl_before DROP COLUMN edge_confidence"}, "decayctl_before has no column edge_confidence"},
		{"a column of version 1", []string{"ALTER TABLE decayctl_jobs DROP COLUMN frontier"}, "decayctl_jobs has no column frontier"},
		{"a key", []string{
			"CREATE TABLE decayctl_copy AS SELECT * FROM decayctl_before", "DROP TABLE decayctl_before", "ALTER TABLE decayctl_copy RENAME TO decayctl_before",
		}, "decayctl_before has lost its primary key"},
		{"an older history", []string{"DELETE FROM decayctl_migrations WHERE version_id > 2"}, "decayctl_claims is newer than decayctl_migrations says"},
		{"a little older history", []string{"DELETE FROM decayctl_migrations WHERE version_id > 3"}, "decayctl_jobs is newer than decayctl_migrations says"},
		{"the history before plans", []string{"DELETE FROM decayctl_migrations WHERE version_id > 4"}, "decayctl_jobs is newer than decayctl_migrations says"},
		{"no history", []string{"DELETE FROM decayctl_migrations"}, "is newer than decayctl_migrations says"},
		{"the history's column", []string{"ALTER TABLE decayctl_migrations RENAME COLUMN version_id TO version"}, "is newer than decayctl_migrations says"},
		{"two tables", []string{"DROP TABLE decayctl_jobs", "DROP TABLE decayctl_claims"}, "decayctl_claims, decayctl_jobs are missing"},
		{"all but the history", []string{
			"DROP TABLE decayctl_before", "DROP TABLE decayctl_claims", "DROP TABLE decayctl_workers", "DROP TABLE decayctl_jobs", "DROP TABLE decayctl_store",
		}, "are missing"},
		{"the row", []string{"DELETE FROM decayctl_store"}, "decayctl_store has lost its one row"},
	}
	for _, table := range store.OwnTables() {
		damages = append(damages, damage{"the table " + table, []string{"DROP TABLE " + table}, table + " is missing"})
	}
	rules := rule.Set{Floor: ptr(rule.Floor(0.5))}
	for _, each := range damages {
		t.Run(each.what, func(t *testing.T) { // closes its stores
			d.forgetTables(t)
			for _, table := range append(factTables, "jobs") {
				d.Exec(t, "DELETE FROM "+table)
			}
			j := d.sweepBy(t, rules)
			for _, statement := range each.statements {
				d.Exec(t, statement)
			}
			d.ownLost(t, each.what, each.names, j)
			d.mended(t, each.what)
		})
	}
	j := d.sweepBy(t, rules)
	d.Exec(t, "ALTER TABLE decayctl_workers RENAME TO others")
	d.Exec(t, "CREATE VIEW decayctl_workers AS SELECT * FROM others")
	d.ownLost(t, "a view", "decayctl_workers has lost its primary key", j)
	d.Exec(t, "DROP VIEW decayctl_workers")
	d.Exec(t, "DROP TABLE others")
	d.remade(t)
}

// mended runs the statements of the error and checks that they mend the tables.
func (d Database) mended(t *testing.T, what string) {
	t.Helper()
	err := d.openBare(t, false).Prepare(t.Context())
	var said *store.Error
	if !errors.As(err, &said) {
		t.Fatalf("%s: %v", what, err)
	}
	if _, insert, row := strings.Cut(said.Text, "put it back with "); row {
		// The administrator may have another schema in the search_path. SQLite has no schemas.
		if schema, err := d.Query("SELECT current_schema()"); err == nil && strings.Count(insert, `"`+schema[0]+`"."decayctl_`) != 2 {
			t.Errorf("%s: %s", what, insert)
		}
		d.Exec(t, insert)
		d.expect(t, "SELECT id, pruned_before FROM decayctl_store WHERE last_stamp = (SELECT max(stamp) FROM decayctl_jobs)", "1 | -")
	} else {
		for drop := range strings.Lines(said.Detail) {
			d.Exec(t, drop)
		}
	}
	if err := d.openBare(t, false).Prepare(t.Context()); err != nil {
		t.Errorf("%s, mended: %v", what, err)
	}
}

// remade creates decayctl's own tables again, for the next test.
func (d Database) remade(t *testing.T) {
	t.Helper()
	d.forgetTables(t)
	if err := d.openBare(t, false).Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// ownLost checks the error and the effect of each method on a store with damaged tables.
func (d Database) ownLost(t *testing.T, what, names string, j job.Job) {
	t.Helper()
	ctx := t.Context()
	before := d.rows(t, append(factTables, "jobs")...)
	read, write := d.openBare(t, true), d.openBare(t, false)
	engine := Engine(read)
	for call, run := range map[string]func() error{
		"Prepare":  func() error { return write.Prepare(ctx) },
		"CheckOwn": func() error { return write.CheckOwn(ctx) },
		"Find":     func() error { _, err := read.Find(ctx, j.ID); return err },
		"Find one": func() error { _, err := read.Find(ctx, "none"); return err },
		"List":     func() error { _, err := listed(ctx, read, store.ListParams{}); return err },
		"DDL":      func() error { _, err := read.DDL(ctx); return err },
	} {
		err := run()
		if !store.Is(err, store.Unusable) || !strings.Contains(err.Error(), names) || driversWords.MatchString(err.Error()) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s, %s: %v", what, call, err)
		}
	}
	found, err := read.Diagnose(ctx)
	if err != nil || !found.OwnBroken || !slices.ContainsFunc(read.Notes(), func(note string) bool { return strings.Contains(note, names) }) {
		t.Errorf("%s, Diagnose: %+v, %q, %v", what, found, read.Notes(), err)
	}
	if _, err := engine.Preview(ctx, sweep.Params{Rules: j.Rules, AsOf: AsOf}); err != nil {
		t.Errorf("%s, a dry run: %v", what, err)
	}
	for table, rows := range d.rows(t, append(factTables, "jobs")...) {
		if !slices.Equal(rows, before[table]) {
			t.Errorf("%s: %s was written", what, table)
		}
	}
}

// testOwnNewer: tables of a newer decayctl are read as far as this version knows them, and not written.
func testOwnNewer(t *testing.T, d Database) {
	d.Insert(t, Fact("a"))
	j := d.sweepBy(t, rule.Set{Floor: ptr(rule.Floor(0.5))})
	d.Exec(t, "ALTER TABLE decayctl_jobs ADD COLUMN later text")
	d.Exec(t, "INSERT INTO decayctl_migrations (version_id, is_applied) SELECT 9, is_applied FROM decayctl_migrations WHERE version_id = 1")
	read := d.openBare(t, true)
	if found, err := read.Diagnose(t.Context()); err != nil || found.OwnBroken || found.OwnVersion != 9 {
		t.Errorf("%+v, %v", found, err)
	}
	if found, err := read.Find(t.Context(), j.ID); err != nil || found.State != job.Done {
		t.Errorf("%+v, %v", found, err)
	}
	for _, change := range []string{"SELECT 1", "ALTER TABLE decayctl_jobs DROP COLUMN frontier"} {
		d.Exec(t, change)
		write := d.openBare(t, false)
		for _, err := range []error{write.Prepare(t.Context()), write.CheckOwn(t.Context())} {
			if !store.Is(err, store.Unusable) || !strings.Contains(err.Error(), "newer decayctl") || !strings.Contains(err.Error(), "upgrade") {
				t.Errorf("%s: %v", change, err)
			}
		}
	}
	d.remade(t)
}

// testIndexLost: lost indexes of decayctl's own tables are created again. Without them everything works.
func testIndexLost(t *testing.T, d Database) {
	g := d.scene(t)
	older := g.in(job.Done)
	for _, index := range []string{"decayctl_jobs_state", "decayctl_jobs_completed"} {
		d.Exec(t, "DROP INDEX "+index)
	}
	if all, err := listed(t.Context(), d.openBare(t, true), store.ListParams{States: []job.State{job.Done}}); err != nil || len(all) != 1 {
		t.Errorf("listed %+v, %v", all, err)
	}
	if n, err := g.prune(older.Completed.AddDate(0, 0, 1)); n != 1 || err != nil {
		t.Errorf("pruned %d, %v", n, err)
	}
	if err := d.openBare(t, false).Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, index := range []string{"decayctl_jobs_state", "decayctl_jobs_completed"} {
		d.Exec(t, "DROP INDEX "+index)
	}
}
