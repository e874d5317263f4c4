package postgres_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"decayctl/internal/job"
	"decayctl/internal/store"
	"decayctl/internal/store/pgtest"
	"decayctl/internal/store/postgres"
	"decayctl/internal/store/storetest"
)

// statementsFor are statements that a store in the schema acme needs on a cluster.
type statementsFor struct{ table string }

func (s statementsFor) name() string { return fmt.Sprintf(`'"acme"."%s"'`, s.table) }

func (s statementsFor) undistribute() string { return "SELECT undistribute_table(" + s.name() + ");" }

func (s statementsFor) distribute(column string) string {
	return "SELECT create_distributed_table(" + s.name() + ", '" + column + "', colocate_with => '\"acme\".\"facts\"');"
}

func (s statementsFor) drop(column string) string {
	return fmt.Sprintf(`ALTER TABLE "acme"."%s" DROP CONSTRAINT "%[1]s_%s_fkey";`, s.table, column)
}

func (s statementsFor) dropForGood(column string) string {
	return s.drop(column) + " -- for good: Citus does not allow it"
}

func (s statementsFor) add(action string) string {
	return fmt.Sprintf(`ALTER TABLE "acme"."%s" ADD CONSTRAINT "%[1]s_fact_id_fkey" FOREIGN KEY (fact_id) REFERENCES acme.facts(id)%s;`, s.table, action)
}

// TestMisplaced: where a table of a cluster is not where a sweep needs it, a sweep is refused before it writes anything, and a
// look over the store says which table and how to move it.
func TestMisplaced(t *testing.T) {
	t.Parallel()
	db := pgtest.Start(t).NewDatabase(t, pgtest.DatabaseOptions{Schema: "acme", LikeCitus: true})
	d := database(t, db, db.URL)
	const cascade = " ON DELETE CASCADE"
	edges, jobs, facts, overrides := statementsFor{"entity_edges"}, statementsFor{"jobs"}, statementsFor{"facts"}, statementsFor{"fact_validity_overrides"}
	quarantine, retractions, embeddings := statementsFor{"fact_quarantine_status"}, statementsFor{"fact_retractions"}, statementsFor{"fact_embedding_status"}
	misplaced := func(of statementsFor, problem string, statements ...string) store.Misplaced {
		return store.Misplaced{Table: of.table, Problem: problem, Statements: statements}
	}
	const byFact, apart = "has to be distributed by fact_id, colocated with facts", "is not colocated with facts"
	const notDistributed = "has to be on the coordinator alone, and not distributed"
	retractionsKey := []string{
		`ALTER TABLE "acme"."fact_retractions" DROP CONSTRAINT "fact_retractions_pkey";`,
		`ALTER TABLE "acme"."fact_retractions" ADD PRIMARY KEY ("id", "fact_id");`,
	}
	type moved struct{ table, set string }
	for name, test := range map[string]struct {
		moved
		want []store.Misplaced
	}{
		"in its place":    {moved{"facts", "name = name"}, nil},
		"cards on one":    {moved{"memory_cards", "method = '', model = ''"}, nil},
		"local to Citus":  {moved{"memory_cards", "name = 'jobs', method = 'n', model = 's', colocationid = 0"}, nil},
		"not with facts":  {moved{"entity_edges", "colocationid = 7"}, []store.Misplaced{misplaced(edges, apart, edges.dropForGood("garden_id"), `SELECT alter_distributed_table('"acme"."entity_edges"', colocate_with => '"acme"."facts"');`)}},
		"not distributed": {moved{"fact_quarantine_status", "name = 'x'"}, []store.Misplaced{misplaced(quarantine, byFact, quarantine.drop("fact_id"), quarantine.distribute("fact_id"), quarantine.add(cascade))}},
		"by another":      {moved{"entity_edges", "partkey = 'tenant_id'"}, []store.Misplaced{misplaced(edges, "has to be distributed by id, colocated with facts", edges.dropForGood("garden_id"), edges.undistribute(), edges.distribute("id"))}},
		"with another key": {moved{"fact_retractions", "name = 'x'"}, []store.Misplaced{misplaced(retractions, byFact,
			retractions.drop("fact_id"), retractionsKey[0], retractionsKey[1], retractions.distribute("fact_id"), retractions.add(""))}},
		"one shard": {moved{"fact_retractions", "method = 'n', partkey = NULL"}, []store.Misplaced{misplaced(retractions, byFact,
			retractions.drop("fact_id"), retractions.undistribute(), retractionsKey[0], retractionsKey[1], retractions.distribute("fact_id"), retractions.add(""))}},
		"of one node": {moved{"tombstones", "name = 'x'"}, []store.Misplaced{{Table: "tombstones", Problem: "has to be a reference table", Statements: []string{
			`ALTER TABLE "acme"."tombstone_revocations" DROP CONSTRAINT "tombstone_revocations_tombstone_id_fkey";`,
			`SELECT create_reference_table('"acme"."tombstones"');`,
			`ALTER TABLE "acme"."tombstone_revocations" ADD CONSTRAINT "tombstone_revocations_tombstone_id_fkey" FOREIGN KEY (tombstone_id) REFERENCES acme.tombstones(id);`}}}},
		"not a reference": {moved{"tombstone_revocations", "method = 'h', model = 's', partkey = 'id'"}, []store.Misplaced{{Table: "tombstone_revocations", Problem: "has to be a reference table", Statements: []string{
			`ALTER TABLE "acme"."tombstone_revocations" DROP CONSTRAINT "tombstone_revocations_tombstone_id_fkey";`,
			`SELECT undistribute_table('"acme"."tombstone_revocations"');`, `SELECT create_reference_table('"acme"."tombstone_revocations"');`,
			`ALTER TABLE "acme"."tombstone_revocations" ADD CONSTRAINT "tombstone_revocations_tombstone_id_fkey" FOREIGN KEY (tombstone_id) REFERENCES acme.tombstones(id);`}}}},
		"in copies": {moved{"fact_validity_overrides", "model = 'c'"}, []store.Misplaced{misplaced(overrides, "has several copies of each shard, whose rows cannot be locked",
			overrides.drop("fact_id"), overrides.undistribute(), "SET citus.shard_replication_factor = 1;", overrides.distribute("fact_id"), overrides.add(cascade))}},
		"jobs distributed":  {moved{"memory_cards", "name = 'jobs'"}, []store.Misplaced{misplaced(jobs, notDistributed, jobs.undistribute())}},
		"jobs in one shard": {moved{"memory_cards", "name = 'jobs', method = 'n', model = 's'"}, []store.Misplaced{misplaced(jobs, notDistributed, jobs.undistribute())}},
		"facts a reference": {moved{"facts", "method = 'n', model = 't', colocationid = 9"}, []store.Misplaced{
			misplaced(facts, "has to be distributed by id",
				statementsFor{"conflicts"}.dropForGood("fact_a_id"), statementsFor{"conflicts"}.dropForGood("fact_b_id"), embeddings.drop("fact_id"),
				statementsFor{"fact_garden_membership"}.dropForGood("fact_id"), statementsFor{"fact_journal"}.dropForGood("fact_id"), quarantine.drop("fact_id"),
				statementsFor{"fact_recall_signals"}.dropForGood("fact_id"), retractions.drop("fact_id"), overrides.drop("fact_id"), facts.dropForGood("quarantine_garden_id"),
				facts.undistribute(), `SELECT create_distributed_table('"acme"."facts"', 'id');`),
			misplaced(overrides, apart, overrides.undistribute(), overrides.distribute("fact_id"), overrides.add(cascade)),
			misplaced(retractions, apart, retractions.undistribute(), retractions.distribute("fact_id"), retractions.add("")),
			misplaced(quarantine, apart, quarantine.undistribute(), quarantine.distribute("fact_id"), quarantine.add(cascade)),
			misplaced(embeddings, apart, embeddings.undistribute(), embeddings.distribute("fact_id"), embeddings.add(cascade)),
			misplaced(edges, apart, edges.dropForGood("garden_id"), edges.undistribute(), edges.distribute("id")),
		}},
	} {
		d.Exec(t, "CREATE TABLE kept AS SELECT * FROM pg_catalog.placed")
		d.Exec(t, "UPDATE pg_catalog.placed SET "+test.set+" WHERE name = $1", test.table)
		looked, err := open(t, db.URL, "acme", true)
		if err != nil {
			t.Fatal(err)
		}
		found, err := looked.Diagnose(t.Context())
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(test.want, found.Cluster.Misplaced); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
		text, statements := "", ""
		for _, m := range test.want {
			text, statements = text+m.Table+" "+m.Problem+"; ", statements+strings.Join(m.Statements, "\n")+"\n"
		}
		_, err = open(t, db.URL, "acme", false)
		var refused *store.Error
		if test.want != nil && (!errors.As(err, &refused) || refused.Kind != store.Unusable || !strings.Contains(refused.Text, text) || refused.Detail != statements) {
			t.Errorf("%s: %v", name, err)
		}
		if test.want == nil && err != nil {
			t.Errorf("%s: %v", name, err)
		}
		d.Exec(t, "DELETE FROM pg_catalog.placed")
		d.Exec(t, "INSERT INTO pg_catalog.placed SELECT * FROM kept")
		d.Exec(t, "DROP TABLE kept")
	}
	d.Exec(t, "UPDATE pg_catalog.pg_dist_local_group SET groupid = 1")
	if _, err := open(t, db.URL, "acme", true); !store.Is(err, store.Unusable) || !strings.Contains(err.Error(), "worker node") {
		t.Errorf("a worker node: %v", err)
	}
	d.Exec(t, "UPDATE pg_catalog.pg_dist_local_group SET groupid = 0")
	d.Exec(t, "CREATE FUNCTION acme.nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'")
	d.Exec(t, "CREATE TRIGGER touch BEFORE UPDATE ON entity_edges FOR EACH ROW EXECUTE FUNCTION acme.nothing()")
	if _, err := open(t, db.URL, "acme", false); !store.Is(err, store.Unusable) || !strings.Contains(err.Error(), "touch on entity_edges") {
		t.Errorf("a trigger: %v", err)
	}
	d.Exec(t, "INSERT INTO pg_catalog.pg_dist_schema VALUES ('acme'::regnamespace, 1)")
	_, err := open(t, db.URL, "acme", true)
	var refused *store.Error
	if !errors.As(err, &refused) || refused.Kind != store.Unusable || !strings.Contains(refused.Text, "schema-based sharding") || !strings.Contains(refused.Detail, "citus_schema_undistribute") {
		t.Errorf("a distributed schema: %v", err)
	}
}

// TestMisplacedIsTheReason: on a store with misplaced tables, what the server refuses and what another key lacks are put down to
// them. The server's own words would lead astray.
func TestMisplacedIsTheReason(t *testing.T) {
	t.Parallel()
	db := pgtest.Start(t).NewDatabase(t, pgtest.DatabaseOptions{Schema: "acme", LikeCitus: true})
	d := database(t, db, db.URL)
	d.Exec(t, "UPDATE pg_catalog.placed SET name = 'x' WHERE name = 'facts'")
	for i := range 40 {
		d.Insert(t, storetest.Fact(fmt.Sprintf("%02d", i)))
	}
	d.Exec(t, "ANALYZE facts")
	isReason := func(when string, err error) {
		t.Helper()
		var refused *store.Error
		if !errors.As(err, &refused) || refused.Kind != store.Unusable || !strings.Contains(refused.Text, "facts has to be distributed by id") || refused.Detail == "" {
			t.Errorf("%s: %v", when, err)
		}
	}
	s, err := open(t, db.URL, "acme", true)
	if err != nil {
		t.Fatal(err)
	}
	if found, err := s.Diagnose(t.Context()); err != nil || found.Facts != 40 {
		t.Errorf("about %d facts, %v", found.Facts, err)
	}
	d.Exec(t, "UPDATE pg_catalog.placed SET name = 'facts', method = 'n', partkey = NULL WHERE name = 'x'")
	d.Exec(t, `CREATE OR REPLACE FUNCTION pg_catalog.run_command_on_all_nodes(text) RETURNS TABLE (success boolean, result text) LANGUAGE plpgsql AS
		$$ BEGIN RAISE EXCEPTION 'complex joins are only supported when all distributed tables are co-located' USING ERRCODE = '0A000'; END $$`)
	_, err = s.Estimate(t.Context())
	isReason("a statement that Citus refuses", err)
	d.Exec(t, "ALTER TABLE fact_validity_overrides DROP CONSTRAINT fact_validity_overrides_pkey")
	for _, readOnly := range []bool{true, false} {
		_, err = open(t, db.URL, "acme", readOnly)
		isReason("a key that is missing", err)
	}
}

// TestUnfinished: while a node has a prepared transaction, what a job changed is not listed. A look over the store counts it.
func TestUnfinished(t *testing.T) {
	t.Parallel()
	db := pgtest.Start(t).NewDatabase(t, pgtest.DatabaseOptions{Schema: "acme", LikeCitus: true})
	d := database(t, db, db.URL)
	s, err := postgres.Open(t.Context(), db.URL, "acme", store.OpenParams{ReadOnly: true, LockTimeout: 10 * time.Millisecond, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	changes := func() error {
		_, err := s.Changes(t.Context(), store.ChangesParams{Job: job.Job{ID: "00000000-0000-7000-8000-000000000000"}, Size: 10})
		return err
	}
	if found, err := s.Diagnose(t.Context()); err != nil || found.Cluster.Unfinished != 0 || found.Cluster.Maintained {
		t.Errorf("%+v, %v", found.Cluster, err)
	}
	if err := changes(); err != nil {
		t.Error(err)
	}
	d.Exec(t, "INSERT INTO pg_catalog.in_doubt VALUES ('citus_0_1_2_3'), ('citus_0_1_2_4')")
	if found, err := s.Diagnose(t.Context()); err != nil || found.Cluster.Unfinished != 2 {
		t.Errorf("%+v, %v", found.Cluster, err)
	}
	if err := changes(); !store.Is(err, store.Busy) || !strings.Contains(err.Error(), "has not finished a transaction") {
		t.Errorf("in doubt: %v", err)
	}
}
