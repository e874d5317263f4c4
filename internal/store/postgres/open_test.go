package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"decayctl/internal/fact"
	"decayctl/internal/job"
	"decayctl/internal/rule"
	"decayctl/internal/store"
	"decayctl/internal/store/pgtest"
	"decayctl/internal/store/postgres"
	"decayctl/internal/store/storetest"
	"decayctl/internal/sweep"
)

var (
	asOf  = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	floor = rule.Floor(0.5)
	weak  = rule.Set{Floor: &floor}
)

func open(t testing.TB, dsn, schema string, readOnly bool) (store.Store, error) {
	t.Helper()
	s, err := postgres.Open(context.Background(), dsn, schema, store.OpenParams{ReadOnly: readOnly, LockTimeout: time.Minute, Now: time.Now})
	if err == nil {
		t.Cleanup(func() { _ = s.Close() })
	}
	return s, err
}

func run(t testing.TB, s store.Store, err error, dryRun bool) job.Counts {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if dryRun {
		result, err := storetest.Engine(s).Preview(context.Background(), sweep.Params{Rules: weak, AsOf: asOf})
		if err != nil {
			t.Fatal(err)
		}
		return result.Counts
	}
	j, err := storetest.Sweep(context.Background(), storetest.Engine(s), store.StartParams{Rules: weak, AsOf: asOf}, sweep.Work{})
	if err != nil {
		t.Fatal(err)
	}
	return j.Counts
}

// refused holds an error to its kind and to words that it must have.
func refused(t testing.TB, err error, kind store.Kind, words ...string) {
	t.Helper()
	if !store.Is(err, kind) {
		t.Fatalf("got %v, want kind %d", err, kind)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%q does not say %q", err, word)
		}
	}
}

func TestStandby(t *testing.T) {
	t.Parallel()
	cluster := pgtest.Start(t)
	db := cluster.NewDatabase(t, pgtest.DatabaseOptions{})
	d := database(t, db, db.URL)
	d.Insert(t, storetest.Fact("a"), storetest.Fact("b"))
	standby := cluster.Standby(t)
	standby.WaitReplay(t)

	s, err := open(t, standby.URL(db), "public", true)
	if got := run(t, s, err, true); got.Selected != 2 {
		t.Errorf("the dry run selected %d", got.Selected)
	}
	_, err = open(t, standby.URL(db), "public", false)
	refused(t, err, store.NotPermitted, "hot standby", "primary")
}

// TestLagOfAStandbyGrows: a standby that does not apply what it receives falls behind more and more.
func TestLagOfAStandbyGrows(t *testing.T) {
	t.Parallel()
	cluster := pgtest.Start(t)
	db := cluster.NewDatabase(t, pgtest.DatabaseOptions{})
	d := database(t, db, db.URL)
	s, err := open(t, db.URL, "public", false)
	if err != nil {
		t.Fatal(err)
	}
	standby := cluster.Standby(t)
	standby.WaitReplay(t)
	ctx, done := context.WithTimeout(t.Context(), time.Minute)
	defer done()
	there, err := pgx.Connect(ctx, standby.URL(db))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = there.Close(context.WithoutCancel(ctx)) }()
	if _, err := there.Exec(ctx, "SELECT pg_wal_replay_pause()"); err != nil {
		t.Fatal(err)
	}
	until := func(what string, enough func(store.Lag) bool) {
		t.Helper()
		for n := 0; ; n++ {
			d.Insert(t, storetest.Fact(what+fmt.Sprint(n))) // a server that is idle tells its standbys nothing
			lag, err := store.LagOf(ctx, s)
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			if enough(lag) {
				return
			}
		}
	}
	until("behind", func(l store.Lag) bool { return l.Behind > 500*time.Millisecond && l.Replica != "" })
	if _, err := there.Exec(ctx, "SELECT pg_wal_replay_resume()"); err != nil {
		t.Fatal(err)
	}
	until("up again", func(l store.Lag) bool { return l.Behind < 500*time.Millisecond })
}

func TestPrivileges(t *testing.T) {
	t.Parallel()
	db := pgtest.Start(t).NewDatabase(t, pgtest.DatabaseOptions{Schema: "memory"})
	d := database(t, db, db.URL)
	d.Insert(t, storetest.Fact("a"), storetest.Fact("b", storetest.Overridden(fact.Override{UpdatedAt: "x"})))
	d.Card(t, "stigmem://acme/user/1", "default", "local", 0)
	d.Edge(t, "a", nil)
	d.Exec(t, "CREATE TABLE vec_facts (fact_id text PRIMARY KEY, embedding text)")
	d.Exec(t, "INSERT INTO vec_facts VALUES ('a', '[1]'), ('z', '[1]')")

	const usage = "USAGE ON SCHEMA memory"
	const facts = "SELECT (id, entity, relation, source, tenant_id, scope, timestamp, valid_until, confidence, quarantine_status) ON facts"
	const reading = "SELECT ON fact_validity_overrides, fact_quarantine_status, tombstones, tombstone_revocations, schema_migrations"
	reporter := db.NewRole(t, usage, facts, reading)
	s, err := open(t, reporter.URL, "memory", true)
	if got := run(t, s, err, true); got.Selected != 2 {
		t.Errorf("the reporting role's dry run selected %d", got.Selected)
	}
	_, err = open(t, reporter.URL, "memory", false)
	refused(t, err, store.NotPermitted, "INSERT on memory.fact_validity_overrides", "UPDATE on memory.fact_validity_overrides",
		"INSERT on memory.fact_retractions", "UPDATE on memory.entity_edges", "UPDATE on memory.memory_cards")

	stranger := db.NewRole(t)
	_, err = open(t, stranger.URL, "memory", true)
	refused(t, err, store.NotPermitted, "SELECT on memory.facts", "USAGE")

	// The least a sweep needs, column by column, and without the vectors.
	sweeper := db.NewRole(t, usage, facts, reading,
		"INSERT, UPDATE (valid_until, confidence, reason, updated_at, updated_by) ON fact_validity_overrides",
		"SELECT (fact_id, retracted_at), INSERT ON fact_retractions",
		"SELECT (id, valid_until, confidence, decay_epoch), UPDATE (valid_until, confidence, decay_epoch) ON entity_edges",
		"SELECT (entity_uri, tenant_id, scope, is_stale), UPDATE (is_stale) ON memory_cards",
		"SELECT, INSERT, UPDATE (status, started_at, completed_at, result_json, error) ON jobs")
	s, err = open(t, sweeper.URL, "memory", false)
	if err != nil {
		t.Fatal(err)
	}
	err = s.Prepare(context.Background())
	refused(t, err, store.NotPermitted, `may not create tables in schema "memory"`, "administrator")
	var refusal *store.Error
	errors.As(err, &refusal)
	d.Exec(t, refusal.Detail)
	if err := s.Prepare(context.Background()); err != nil {
		t.Errorf("with the administrator's tables: %v", err)
	}
	for _, change := range []string{
		"ALTER TABLE decayctl_jobs DROP COLUMN plan", "DROP TABLE decayctl_plans", "DROP INDEX decayctl_jobs_state", "DROP INDEX decayctl_jobs_completed",
		"DELETE FROM decayctl_migrations WHERE version_id >= 4",
	} {
		d.Exec(t, change)
	}
	err = s.Prepare(context.Background())
	refused(t, err, store.NotPermitted, "older version", "may not change them", "administrator")
	errors.As(err, &refusal)
	d.Exec(t, refusal.Detail)
	if err := s.Prepare(context.Background()); err != nil {
		t.Errorf("with the tables that the administrator changed: %v", err)
	}
	d.Exec(t, "REVOKE INSERT, DELETE ON decayctl_claims FROM "+sweeper.Name)
	err = s.Prepare(context.Background())
	refused(t, err, store.NotPermitted, "DELETE on memory.decayctl_claims, INSERT on memory.decayctl_claims")
	errors.As(err, &refusal)
	d.Exec(t, refusal.Detail)
	if got := run(t, s, nil, false); got.Decayed != 2 {
		t.Errorf("the sweeping role expired %d", got.Decayed)
	}
	if notes := s.Notes(); len(notes) != 1 || !strings.Contains(notes[0], "vec_facts") {
		t.Errorf("notes: %q", notes)
	}
	for query, want := range map[string]string{
		"SELECT count(*) FROM fact_retractions":                                        "2",
		"SELECT count(*) FROM entity_edges WHERE valid_until IS NOT NULL":              "1",
		"SELECT count(*) FROM memory_cards WHERE is_stale = 1":                         "1",
		"SELECT count(*) FROM vec_facts":                                               "2",
		"SELECT count(*) FROM fact_validity_overrides WHERE updated_by LIKE '%:decay'": "2",
	} {
		if got := d.Rows(t, query); got[0] != want {
			t.Errorf("%s: %s, want %s", query, got[0], want)
		}
	}

	// And what an undo needs beyond that.
	undo := store.JoinParams{ID: d.Rows(t, "SELECT job_id FROM decayctl_jobs")[0], Undo: true, Worker: storetest.Worker("mars", 1)}
	_, err = s.Join(context.Background(), undo)
	refused(t, err, store.NotPermitted, "DELETE on memory.fact_retractions", "DELETE on memory.fact_validity_overrides", "SELECT on memory.fact_retractions")
	d.Exec(t, "GRANT DELETE ON fact_retractions, fact_validity_overrides TO "+sweeper.Name)
	d.Exec(t, "GRANT SELECT (id, retracted_by) ON fact_retractions TO "+sweeper.Name)
	joined, err := s.Join(context.Background(), undo)
	if err != nil {
		t.Fatal(err)
	}
	if j, err := storetest.Engine(s).Undo(context.Background(), joined, sweep.Work{}); err != nil || j.Counts.Restored != 2 {
		t.Errorf("restored %d, %v", j.Counts.Restored, err)
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

// TestStartupParametersReachEveryTransaction: poolers refuse most parameters at the start of a connection, and a pooled
// session would not keep them. A role shows that they reach every transaction.
func TestStartupParametersReachEveryTransaction(t *testing.T) {
	t.Parallel()
	cluster := pgtest.Start(t)
	db := cluster.NewDatabase(t, pgtest.DatabaseOptions{})
	d := database(t, db, db.URL)
	d.Insert(t, storetest.Fact("a"))
	stranger := db.NewRole(t)
	pooled := pgtest.Bouncer(t, cluster).URL(db)
	for name, test := range map[string]struct {
		parameters string
		want       string // part of the error, if there is to be one
	}{
		"harmless ones":     {"statement_timeout=1min&extra_float_digits=0&search_path=nowhere&options=-c%20work_mem%3D1MB%20--geqo%3Doff", ""},
		"a role":            {"role=" + stranger.Name, "the role lacks SELECT"},
		"a role in options": {"options=-c%20role%3D" + stranger.Name, "the role lacks SELECT"},
		"an unknown one":    {"no_such_thing=1", "no_such_thing"},
	} {
		dsn := pooled + "?" + test.parameters
		if strings.Contains(pooled, "?") {
			dsn = pooled + "&" + test.parameters
		}
		s, err := open(t, dsn, "public", true)
		switch {
		case test.want == "":
			if got := run(t, s, err, true); got.Selected != 1 {
				t.Errorf("%s: selected %d", name, got.Selected)
			}
		case err == nil || !strings.Contains(err.Error(), test.want):
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
	}
}

// TestDeadlockIsRetried: another session locks the rows of a batch in the opposite order. The server ends the sweep's
// transaction, the sweep repeats it, and no error is reported.
func TestDeadlockIsRetried(t *testing.T) {
	t.Parallel()
	db := pgtest.Start(t).NewDatabase(t, pgtest.DatabaseOptions{})
	d := database(t, db, db.URL)
	overridden := storetest.Overridden(fact.Override{UpdatedAt: "x"})
	d.Insert(t, storetest.Fact("a", overridden), storetest.Fact("b", overridden))
	s, err := open(t, db.URL, "public", false)
	if err != nil {
		t.Fatal(err)
	}
	other, err := d.SQL.BeginTx(context.Background(), nil)
	if err != nil {
		t.Fatal(err)
	}
	// Whoever has waited for deadlock_timeout looks for one, and ends itself.
	if _, err := other.ExecContext(context.Background(), "SET LOCAL deadlock_timeout = '10min'"); err != nil {
		t.Fatal(err)
	}
	const lock = "SELECT 1 FROM fact_validity_overrides WHERE fact_id = $1 FOR UPDATE"
	if _, err := other.ExecContext(context.Background(), lock, "b"); err != nil {
		t.Fatal(err)
	}
	var both sync.WaitGroup
	both.Go(func() {
		if got := run(t, s, nil, false); got.Decayed != 2 || got.Retries == 0 {
			t.Errorf("expired %d in %d retries", got.Decayed, got.Retries)
		}
	})
	// The sweep holds a and waits for b.
	storetest.Await(func() bool {
		return len(d.Rows(t, "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()")) > 0
	})
	if _, err := other.ExecContext(context.Background(), lock, "a"); err != nil {
		t.Errorf("the other session was ended: %v", err)
	}
	if err := other.Rollback(); err != nil {
		t.Error(err)
	}
	both.Wait()
}

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
