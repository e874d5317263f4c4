package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
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
	refused(t, err, store.NotPermitted, "hot standby", "primary", "target_session_attrs=read-write")
	first := strings.Replace(db.URL, "@", "@"+server(t, standby.URL(db))+",", 1)
	_, err = open(t, first, "public", false)
	refused(t, err, store.NotPermitted, "hot standby")
	if _, err = open(t, first+"&target_session_attrs=read-write", "public", false); err != nil { // as the message says
		t.Error(err)
	}
}

// server is host and port of an address.
func server(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u.Host
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
