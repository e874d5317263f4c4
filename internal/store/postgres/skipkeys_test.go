package postgres_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"decayctl/internal/job"
	"decayctl/internal/rule"
	"decayctl/internal/store"
	"decayctl/internal/store/pgtest"
	"decayctl/internal/store/sample"
	"decayctl/internal/store/sample/samplepg"
	"decayctl/internal/store/storetest"
	"decayctl/internal/sweep"
)

// TestSkippedKeysChangeNoRow: a sweep and its undo without foreign keys leave the rows that they leave with them.
func TestSkippedKeysChangeNoRow(t *testing.T) {
	t.Parallel()
	db := pgtest.Start(t).NewDatabase(t, pgtest.DatabaseOptions{})
	conn := db.Conn(t)
	if err := errors.Join(samplepg.Fill(t.Context(), conn, sample.Options{Facts: 2000, AsOf: asOf, Seed: 7}), conn.Close(t.Context())); err != nil {
		t.Fatal(err)
	}
	tables := []string{"facts", "fact_validity_overrides", "entity_edges", "memory_cards", "fact_embedding_status", "decayctl_before"}
	rows := func(d storetest.Database) map[string][]string {
		all := map[string][]string{"fact_retractions": d.Rows(t, "SELECT fact_id, retracted_at, retracted_by FROM fact_retractions ORDER BY 1, 2")} // each id is new
		for _, table := range tables {
			all[table] = d.Rows(t, "SELECT x::text FROM "+table+" x ORDER BY 1")
		}
		return all
	}
	copied := db.Copy(t)
	with, without := database(t, db, db.URL), withoutKeys(database(t, copied, copied.URL))
	ttl := rule.TTL(90 * 24 * 60 * 60)
	var swept, undone []map[string][]string
	for _, d := range []storetest.Database{with, without} {
		s, err := d.Open(store.OpenParams{LockTimeout: time.Minute, Now: func() time.Time { return asOf.Add(time.Minute) }})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		const id = "11111111-2222-4333-8444-555555555555" // before-images have it
		p := store.StartParams{ID: id, Rules: rule.Set{TTL: &ttl, Floor: &floor}, AsOf: asOf}
		j, err := storetest.Sweep(t.Context(), storetest.Engine(s), p, sweep.Work{BatchSize: 300})
		if err != nil || j.Counts.Decayed < 1000 || j.Counts.Kept[rule.ChangedMeanwhile] != 0 {
			t.Fatalf("%+v, %v", j.Counts, err)
		}
		swept = append(swept, rows(d))
		if undone := d.TakeBack(t, id); undone.Counts.Restored != j.Counts.Decayed {
			t.Errorf("gave back %d of %d", undone.Counts.Restored, j.Counts.Decayed)
		}
		undone = append(undone, rows(d))
	}
	if diff := cmp.Diff(swept[0], swept[1]); diff != "" {
		t.Errorf("after the sweep (-with keys +without):\n%s", diff)
	}
	if diff := cmp.Diff(undone[0], undone[1]); diff != "" {
		t.Errorf("after the undo (-with keys +without):\n%s", diff)
	}
}

// TestObstaclesToSkippedKeys: keys are skipped only if no other promise of the database depends on them.
func TestObstaclesToSkippedKeys(t *testing.T) {
	t.Parallel()
	db := pgtest.Start(t).NewDatabase(t, pgtest.DatabaseOptions{})
	d := database(t, db, db.URL)
	d.Exec(t, `CREATE TABLE vec_facts (fact_id text PRIMARY KEY REFERENCES facts (id))`)
	s, err := open(t, db.URL, "public", false)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	const note = "CREATE FUNCTION note() RETURNS text LANGUAGE sql VOLATILE AS $$ SELECT 'x'::text $$; "
	const owners = "CREATE TABLE owners (name text PRIMARY KEY); "
	d.Exec(t, `CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'`)
	if err := errors.Join(s.Close(), d.SQL.Close()); err != nil { // a database with sessions cannot be copied
		t.Fatal(err)
	}
	for name, test := range map[string]struct{ statements, want string }{
		"a trigger":                   {"CREATE TRIGGER t BEFORE UPDATE ON memory_cards FOR EACH ROW EXECUTE FUNCTION touch()", "the trigger t on memory_cards"},
		"a trigger of jobs":           {"CREATE TRIGGER t AFTER UPDATE ON jobs FOR EACH ROW EXECUTE FUNCTION touch()", "the trigger t on jobs"},
		"a trigger of an own table":   {"CREATE TRIGGER t AFTER UPDATE ON decayctl_jobs FOR EACH ROW EXECUTE FUNCTION touch()", "the trigger t on decayctl_jobs"},
		"a trigger of vectors":        {"CREATE TRIGGER t AFTER DELETE ON vec_facts EXECUTE FUNCTION touch()", "the trigger t on vec_facts"},
		"a constraint trigger":        {"CREATE CONSTRAINT TRIGGER t AFTER INSERT ON fact_embedding_status DEFERRABLE FOR EACH ROW EXECUTE FUNCTION touch()", "the trigger t on fact_embedding_status"},
		"a trigger for replicas only": {"CREATE TRIGGER t BEFORE UPDATE ON jobs FOR EACH ROW EXECUTE FUNCTION touch(); ALTER TABLE jobs ENABLE REPLICA TRIGGER t", "the trigger t on jobs"},
		"a trigger that always fires": {"CREATE TRIGGER t BEFORE UPDATE ON jobs FOR EACH ROW EXECUTE FUNCTION touch(); ALTER TABLE jobs ENABLE ALWAYS TRIGGER t", "the trigger t on jobs"},
		"a trigger that is disabled":  {"CREATE TRIGGER t BEFORE UPDATE ON jobs FOR EACH ROW EXECUTE FUNCTION touch(); ALTER TABLE jobs DISABLE TRIGGER t", ""},
		"a trigger of facts":          {"CREATE TRIGGER t BEFORE UPDATE ON facts FOR EACH ROW EXECUTE FUNCTION touch()", ""},
		"a rule":                      {"CREATE RULE r AS ON INSERT TO fact_retractions DO ALSO NOTIFY x", "the rule r on fact_retractions"},
		"a rule that always acts":     {"CREATE RULE r AS ON INSERT TO fact_retractions DO ALSO NOTIFY x; ALTER TABLE fact_retractions ENABLE ALWAYS RULE r", "the rule r on fact_retractions"},
		"a rule that is disabled":     {"CREATE RULE r AS ON INSERT TO fact_retractions DO ALSO NOTIFY x; ALTER TABLE fact_retractions DISABLE RULE r", ""},
		"a key of what is deleted": {"CREATE TABLE notes (fact_id text CONSTRAINT noted REFERENCES fact_validity_overrides ON DELETE CASCADE)",
			"the foreign key noted of notes"},
		"a key to itself":                   {"ALTER TABLE entity_edges ADD CONSTRAINT own FOREIGN KEY (object) REFERENCES entity_edges", "the foreign key own of entity_edges"},
		"a key to other than facts":         {"CREATE TABLE actors (name text PRIMARY KEY); ALTER TABLE fact_retractions ADD CONSTRAINT actor FOREIGN KEY (retracted_by) REFERENCES actors", "the foreign key actor of fact_retractions"},
		"a key to another column":           {"ALTER TABLE facts ADD UNIQUE (cid); ALTER TABLE fact_retractions ADD CONSTRAINT other FOREIGN KEY (fact_id) REFERENCES facts (cid)", "the foreign key other of fact_retractions"},
		"a key of an own table":             {"ALTER TABLE decayctl_before ADD CONSTRAINT kept FOREIGN KEY (job_id) REFERENCES decayctl_jobs", "the foreign key kept of decayctl_before"},
		"a key of an own table to facts":    {"ALTER TABLE decayctl_before ADD CONSTRAINT kept FOREIGN KEY (fact_id) REFERENCES facts", "the foreign key kept of decayctl_before"},
		"a default of overrides":            {owners + "ALTER TABLE fact_validity_overrides ADD owner text DEFAULT 'x' CONSTRAINT owned REFERENCES owners", "the foreign key owned of fact_validity_overrides"},
		"a default of retractions":          {owners + "ALTER TABLE fact_retractions ADD owner text DEFAULT 'x' CONSTRAINT owned REFERENCES owners", "the foreign key owned of fact_retractions"},
		"a default of embedding states":     {owners + "ALTER TABLE fact_embedding_status ADD owner text DEFAULT 'x' CONSTRAINT owned REFERENCES owners", "the foreign key owned of fact_embedding_status"},
		"a default of cards":                {owners + "ALTER TABLE memory_cards ADD owner text DEFAULT 'x' CONSTRAINT owned REFERENCES owners", ""},
		"a generated column":                {"CREATE TABLE kinds (kind int PRIMARY KEY); ALTER TABLE memory_cards ADD kind int GENERATED ALWAYS AS (is_stale) STORED CONSTRAINT kinds REFERENCES kinds", "the foreign key kinds of memory_cards"},
		"a default with a function":         {note + "ALTER TABLE fact_retractions ADD why text DEFAULT upper(note())", "the function note in the default of fact_retractions.why"},
		"a default with a function, unused": {note + "ALTER TABLE fact_retractions ALTER retracted_by SET DEFAULT note(); ALTER TABLE jobs ADD why text DEFAULT note()", ""},
		"a default with a stable function":  {note + "ALTER FUNCTION note STABLE; ALTER TABLE fact_retractions ADD why text DEFAULT note()", ""},
		"a default from a sequence":         {"ALTER TABLE fact_retractions ADD number bigserial", ""},
		"a table that inherits":             {"CREATE TABLE more () INHERITS (decayctl_before)", "the table more that inherits from decayctl_before"},
		"a key that is always checked": {`DO $$ DECLARE name name; BEGIN
			FOR name IN SELECT tgname FROM pg_trigger WHERE tgrelid = 'fact_retractions'::regclass LOOP
				EXECUTE format('ALTER TABLE fact_retractions ENABLE ALWAYS TRIGGER %I', name);
			END LOOP;
		END $$`, ""},
		"a key of columns left alone":    {"CREATE TABLE names (name text PRIMARY KEY); ALTER TABLE jobs ADD CONSTRAINT kind FOREIGN KEY (job_type) REFERENCES names", ""},
		"a unique key that is deferred":  {"ALTER TABLE fact_retractions ADD CONSTRAINT once UNIQUE (fact_id, retracted_at) DEFERRABLE", "the constraint once of fact_retractions"},
		"a unique key that is immediate": {"ALTER TABLE fact_retractions ADD CONSTRAINT once UNIQUE (fact_id, retracted_at)", ""},
		"a key of a partition": {owners + `ALTER TABLE memory_cards RENAME TO old; CREATE TABLE memory_cards (LIKE old INCLUDING DEFAULTS) PARTITION BY LIST (is_stale);
			CREATE TABLE fresh PARTITION OF memory_cards FOR VALUES IN (0); CREATE TABLE stale PARTITION OF memory_cards FOR VALUES IN (1);
			ALTER TABLE stale ADD CONSTRAINT owned FOREIGN KEY (tenant_id) REFERENCES owners`, "the foreign key owned of stale"},
		"a trigger of a partition": {`ALTER TABLE fact_retractions RENAME TO old; CREATE TABLE fact_retractions (LIKE old INCLUDING DEFAULTS) PARTITION BY HASH (fact_id);
			CREATE TABLE part PARTITION OF fact_retractions FOR VALUES WITH (MODULUS 1, REMAINDER 0); ALTER TABLE fact_retractions ADD FOREIGN KEY (fact_id) REFERENCES facts;
			CREATE TRIGGER t AFTER INSERT ON part FOR EACH ROW EXECUTE FUNCTION touch()`, "the trigger t on fact_retractions"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			copied := db.Copy(t)
			d := database(t, copied, copied.URL)
			d.Exec(t, test.statements)
			s, err := open(t, copied.URL, "public", false)
			if err != nil {
				t.Fatal(err)
			}
			can, err := store.SkipForeignKeys(t.Context(), s)
			if !can || (test.want == "") != (err == nil) || test.want != "" && (!store.Is(err, store.Refused) || !strings.Contains(err.Error(), "because of "+test.want+";")) {
				t.Errorf("%t, %v, want %q", can, err, test.want)
			}
			found, err := s.Diagnose(t.Context())
			if err != nil || strings.Join(found.KeyChecks.Obstacles, ", ") != test.want || !found.KeyChecks.Permitted {
				t.Errorf("the doctor found %+v, %v", found.KeyChecks, err)
			}
		})
	}
}

// TestRoleThatMaySkipKeys: without the right a role is told the grant, and with it can do without being superuser.
func TestRoleThatMaySkipKeys(t *testing.T) {
	t.Parallel()
	db := pgtest.Start(t).NewDatabase(t, pgtest.DatabaseOptions{})
	d := database(t, db, db.URL)
	d.Insert(t, storetest.Fact("a"))
	role := db.NewRole(t, "ALL ON ALL TABLES IN SCHEMA public", "USAGE, CREATE ON SCHEMA public")
	s, err := open(t, role.URL, "public", false)
	if err != nil {
		t.Fatal(err)
	}
	_, err = store.SkipForeignKeys(t.Context(), s)
	var refused *store.Error
	if !store.Is(err, store.NotPermitted) || !errors.As(err, &refused) || !strings.Contains(refused.Text, "may not set session_replication_role") && !strings.Contains(refused.Text, "only a superuser") {
		t.Fatalf("%v", err)
	}
	found, err := s.Diagnose(t.Context())
	if err != nil || found.KeyChecks.Permitted || found.KeyChecks.Grant != strings.TrimSpace(refused.Detail) {
		t.Errorf("the doctor found %+v, %v", found.KeyChecks, err)
	}
	if refused.Detail == "" { // PostgreSQL 14
		return
	}
	d.Exec(t, refused.Detail)
	t.Cleanup(func() { d.Exec(t, "REVOKE SET ON PARAMETER session_replication_role FROM "+role.Name) })
	if _, err := store.SkipForeignKeys(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if got := run(t, s, nil, false); got.Decayed != 1 {
		t.Errorf("expired %d", got.Decayed)
	}
}

// deleting is a store of which another session deletes facts right before each batch is written.
type deleting struct {
	store.Store
	before func()
}

func (s deleting) Apply(ctx context.Context, b store.Batch) (store.Applied, error) {
	s.before()
	return s.Store.Apply(ctx, b)
}

// TestDeletedFactsWithoutKeys: a fact that was deleted between the read and the write gets no row, and counts as changed
// meanwhile, in all three ways to write it. An undo asks for no vector of a fact that is gone.
func TestDeletedFactsWithoutKeys(t *testing.T) {
	t.Parallel()
	cluster := pgtest.Start(t)
	for name, prepare := range map[string]string{
		"holds read at once":     "",
		"holds looked up":        "INSERT INTO tombstones (id, entity_uri, scope, signed_by, signature, created_at) SELECT 'many ' || n, 'nobody', 'local', 's', 's', '2026' FROM generate_series(1, 20001) n",
		"with overrides already": "INSERT INTO fact_validity_overrides (fact_id, confidence, updated_at) SELECT id, confidence, 'x' FROM facts",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := cluster.NewDatabase(t, pgtest.DatabaseOptions{})
			d := withoutKeys(database(t, db, db.URL))
			d.Exec(t, "CREATE TABLE vec_facts (fact_id text PRIMARY KEY); INSERT INTO vec_facts VALUES ('a'), ('b')")
			d.Insert(t, storetest.Fact("a"), storetest.Fact("b"), storetest.Fact("gone"))
			if prepare != "" {
				d.Exec(t, prepare)
			}
			s, err := d.Open(store.OpenParams{LockTimeout: time.Minute, Now: time.Now})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = s.Close() })
			j, err := storetest.Sweep(t.Context(), storetest.Engine(deleting{s, func() { d.Exec(t, "DELETE FROM facts WHERE id = 'gone'") }}),
				store.StartParams{Rules: weak, AsOf: asOf}, sweep.Work{})
			if err != nil || j.State != job.Done || j.Counts.Decayed != 2 || j.Counts.Kept[rule.ChangedMeanwhile] != 1 {
				t.Errorf("%s, expired %d, changed meanwhile %d, %v", j.State, j.Counts.Decayed, j.Counts.Kept[rule.ChangedMeanwhile], err)
			}
			const left = `SELECT 'override of ' || fact_id FROM fact_validity_overrides UNION ALL SELECT 'retraction of ' || fact_id FROM fact_retractions ORDER BY 1`
			if diff := cmp.Diff([]string{"override of a", "override of b", "retraction of a", "retraction of b"}, d.Rows(t, left)); diff != "" {
				t.Errorf("after the sweep (-want +got):\n%s", diff)
			}
			// As an override that lost its fact in the moment between the batch's last look and its commit.
			d.Exec(t, "BEGIN; SET LOCAL session_replication_role = replica; DELETE FROM facts WHERE id = 'a'; COMMIT")
			d.TakeBack(t, j.ID)
			const after = `SELECT 'override of ' || fact_id FROM fact_validity_overrides WHERE updated_at <> 'x' UNION ALL SELECT 'retraction of ' || fact_id FROM fact_retractions
				UNION ALL SELECT 'vector of ' || fact_id FROM fact_embedding_status ORDER BY 1`
			if diff := cmp.Diff([]string{"vector of b"}, d.Rows(t, after)); diff != "" {
				t.Errorf("after the undo (-want +got):\n%s", diff)
			}
		})
	}
}
