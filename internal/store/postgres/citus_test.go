package postgres_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"decayctl/internal/store"
	"decayctl/internal/store/pgtest"
)

// TestMisplaced: where a table of a cluster is not where a sweep needs it, a sweep is refused before it writes anything, and a
// look over the store says which table and how to move it.
func TestMisplaced(t *testing.T) {
	t.Parallel()
	db := pgtest.Start(t).NewDatabase(t, pgtest.DatabaseOptions{Schema: "acme", LikeCitus: true})
	d := database(t, db, db.URL)
	type moved struct{ table, set string }
	for name, test := range map[string]struct {
		moved
		problem    string
		statements []string
	}{
		"in its place":     {moved{"facts", "name = name"}, "", nil},
		"cards on one":     {moved{"memory_cards", "method = '', model = ''"}, "", nil},
		"not with facts":   {moved{"entity_edges", "colocationid = 7"}, "is not colocated with facts", []string{`SELECT alter_distributed_table('"acme"."entity_edges"', colocate_with => '"acme"."facts"');`}},
		"not distributed":  {moved{"fact_quarantine_status", "name = 'x'"}, "has to be distributed by fact_id, colocated with facts", []string{`SELECT create_distributed_table('"acme"."fact_quarantine_status"', 'fact_id', colocate_with => '"acme"."facts"');`}},
		"by another":       {moved{"entity_edges", "partkey = 'tenant_id'"}, "has to be distributed by id, colocated with facts", []string{`SELECT undistribute_table('"acme"."entity_edges"');`, `SELECT create_distributed_table('"acme"."entity_edges"', 'id', colocate_with => '"acme"."facts"');`}},
		"with another key": {moved{"fact_retractions", "name = 'x'"}, "has to be distributed by fact_id, colocated with facts", []string{`ALTER TABLE "acme"."fact_retractions" DROP CONSTRAINT "fact_retractions_pkey", ADD PRIMARY KEY ("id", "fact_id");`, `SELECT create_distributed_table('"acme"."fact_retractions"', 'fact_id', colocate_with => '"acme"."facts"');`}},
		"of one node":      {moved{"tombstones", "name = 'x'"}, "has to be a reference table", []string{`SELECT create_reference_table('"acme"."tombstones"');`}},
		"a reference":      {moved{"facts", "method = 'n', model = 't'"}, "has to be distributed by id", []string{`SELECT undistribute_table('"acme"."facts"');`, `SELECT create_distributed_table('"acme"."facts"', 'id');`}},
		"not a reference":  {moved{"tombstone_revocations", "method = 'h', model = 's', partkey = 'id'"}, "has to be a reference table", []string{`SELECT undistribute_table('"acme"."tombstone_revocations"');`, `SELECT create_reference_table('"acme"."tombstone_revocations"');`}},
		"in copies":        {moved{"fact_validity_overrides", "model = 'c'"}, "has several copies of each shard, whose rows cannot be locked", []string{`SELECT undistribute_table('"acme"."fact_validity_overrides"');`, "SET citus.shard_replication_factor = 1;", `SELECT create_distributed_table('"acme"."fact_validity_overrides"', 'fact_id', colocate_with => '"acme"."facts"');`}},
		"jobs distributed": {moved{"memory_cards", "name = 'jobs'"}, "has to be on the coordinator alone, and not distributed", []string{`SELECT undistribute_table('"acme"."jobs"');`}},
	} {
		d.Exec(t, "CREATE TABLE kept AS SELECT * FROM pg_catalog.placed")
		d.Exec(t, "UPDATE pg_catalog.placed SET "+test.set+" WHERE name = $1", test.table)
		table := test.table
		if name == "jobs distributed" {
			table = "jobs"
		}
		var want []store.Misplaced
		if test.problem != "" {
			want = []store.Misplaced{{Table: table, Problem: test.problem, Statements: test.statements}}
		}
		looked, err := open(t, db.URL, "acme", true)
		if err != nil {
			t.Fatal(err)
		}
		found, err := looked.Diagnose(t.Context())
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, found.Cluster.Misplaced); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
		_, err = open(t, db.URL, "acme", false)
		var refused *store.Error
		if want != nil && (!errors.As(err, &refused) || refused.Kind != store.Unusable || !strings.Contains(refused.Text, table+" "+test.problem) || refused.Detail != strings.Join(test.statements, "\n")+"\n") {
			t.Errorf("%s: %v", name, err)
		}
		if want == nil && err != nil {
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
}
