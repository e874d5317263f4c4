//go:build citus

package postgres_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"decayctl/internal/job"
	"decayctl/internal/store"
	"decayctl/internal/store/pgtest"
	"decayctl/internal/store/sample"
	"decayctl/internal/store/sample/samplepg"
	"decayctl/internal/store/storetest"
	"decayctl/internal/sweep"
)

const page = "../../../docs/citus.md"

// TestCitusContract holds a store on a cluster to the contract.
func TestCitusContract(t *testing.T) {
	t.Parallel()
	cluster := pgtest.StartCitus(t)
	statements := pgtest.DistributeStatements(t, page)
	storetest.Exercise(t, storetest.Reuse(func() storetest.Database {
		db := cluster.NewDatabase(t, statements)
		d := database(t, db, db.URL)
		d.Sessions = "citus_stat_activity" // of all nodes
		d.Distribute = func(t testing.TB, table, column string) {
			t.Helper()
			d.Exec(t, "SELECT create_distributed_table('"+table+"', '"+column+"', colocate_with => 'facts')")
		}
		return d
	}))
}

// TestCitusUnsettled: a node has not finished a transaction that the cluster has committed, as after a crash. An undo waits until
// it has, since it would not see the rows.
func TestCitusUnsettled(t *testing.T) {
	t.Parallel()
	cluster := pgtest.StartCitus(t)
	db := cluster.NewDatabase(t, pgtest.DistributeStatements(t, page))
	d := database(t, db, db.URL)
	for i := range 40 {
		d.Insert(t, storetest.Fact(fmt.Sprintf("%02d", i)))
	}
	s, err := open(t, db.URL, "public", false)
	if err != nil {
		t.Fatal(err)
	}
	j, err := storetest.Sweep(t.Context(), storetest.Engine(s), store.StartParams{Rules: weak, AsOf: storetest.AsOf}, sweep.Work{})
	if err != nil || j.Counts.Decayed != 40 {
		t.Fatalf("%+v, %v", j.Counts, err)
	}
	// The first worker takes the rows of one shard out and has them written by a transaction that waits for its end.
	node := cluster.Workers[0].ConnTo(t, db.Name)
	if _, err := node.Exec(t.Context(), "SET citus.override_table_visibility = off"); err != nil { // else shards are hidden
		t.Fatal(err)
	}
	var shard string
	if err := node.QueryRow(t.Context(), `SELECT relname FROM pg_class WHERE relname LIKE 'fact_validity_overrides\_1%' AND relkind = 'r' ORDER BY 1 LIMIT 1`).Scan(&shard); err != nil {
		t.Fatal(err)
	}
	const gid = "citus_9_1_99_99" // of no node, so that no node rolls it back
	for _, statement := range []string{
		"CREATE TABLE public.out AS SELECT * FROM public." + shard, "DELETE FROM public." + shard,
		"BEGIN", "INSERT INTO public." + shard + " SELECT * FROM public.out", "PREPARE TRANSACTION '" + gid + "'",
	} {
		if _, err := node.Exec(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	looked, err := open(t, db.URL, "public", true)
	if err != nil {
		t.Fatal(err)
	}
	if found, err := looked.Diagnose(t.Context()); err != nil || found.Cluster.Unfinished != 1 || !found.Cluster.Maintained {
		t.Errorf("%+v, %v", found.Cluster, err)
	}
	type outcome struct {
		job.Job
		error
	}
	undone := make(chan outcome, 1)
	go func() {
		joined, err := s.Join(t.Context(), store.JoinParams{ID: j.ID, Undo: true, Worker: storetest.Worker("a test", 2)})
		if err == nil {
			joined.Job, err = storetest.Engine(s).Undo(t.Context(), joined, sweep.Work{})
		}
		undone <- outcome{joined.Job, err}
	}()
	// It has seen the transaction once it begins one of its own anew.
	begun := map[string]bool{}
	storetest.Await(func() bool {
		for _, at := range d.Rows(t, `SELECT xact_start::text FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle in transaction' AND query LIKE '%pg_prepared_xacts%'`) {
			begun[at] = true
		}
		return len(begun) > 1 || len(undone) > 0
	})
	if _, err := node.Exec(t.Context(), "COMMIT PREPARED '"+gid+"'"); err != nil {
		t.Error(err)
	}
	if end := <-undone; end.error != nil || end.Counts.Restored != 40 {
		t.Errorf("restored %d, %v", end.Counts.Restored, end.error)
	}
	if left := d.Rows(t, "SELECT count(*) FROM fact_validity_overrides")[0]; left != "0" {
		t.Errorf("%s overrides are left", left)
	}
}

// TestCitusMoved: the statements of a look over the store, run one by one as they are, make a store that can be swept. Until then
// what does not work says why.
func TestCitusMoved(t *testing.T) {
	t.Parallel()
	cluster := pgtest.StartCitus(t)
	documented := pgtest.DistributeStatements(t, page)
	const apart = "ALTER TABLE fact_quarantine_status DROP CONSTRAINT fact_quarantine_status_fact_id_fkey"
	for name, before := range map[string][]string{
		"nearly all on one":    {"SELECT create_reference_table('tombstones')"},
		"facts a reference":    {"SELECT create_reference_table('gardens')", "SELECT create_reference_table('facts')"},
		"jobs distributed":     {documented, "SELECT create_distributed_table('jobs', 'id')"},
		"jobs in one shard":    {documented, "SELECT create_distributed_table('jobs', NULL)"},
		"in one shard":         {documented, apart, "SELECT undistribute_table('fact_quarantine_status')", "SELECT create_distributed_table('fact_quarantine_status', NULL)"},
		"not with facts":       {documented, apart, "SELECT undistribute_table('fact_quarantine_status')", "SELECT create_distributed_table('fact_quarantine_status', 'fact_id', colocate_with => 'none')"},
		"overrides by another": {"ALTER TABLE fact_validity_overrides DROP CONSTRAINT fact_validity_overrides_pkey, ADD PRIMARY KEY (fact_id, updated_at), DROP CONSTRAINT fact_validity_overrides_fact_id_fkey", "SELECT create_distributed_table('fact_validity_overrides', 'updated_at')"},
	} {
		t.Run(name, func(t *testing.T) {
			db := cluster.NewDatabase(t, "")
			d, conn := database(t, db, db.URL), db.Conn(t)
			for i := range 40 {
				d.Insert(t, storetest.Fact(fmt.Sprintf("%02d", i)))
			}
			exec := func(statement string) {
				t.Helper()
				if _, err := conn.Exec(t.Context(), statement); err != nil {
					t.Fatalf("%s: %v", statement, err)
				}
			}
			for _, statement := range before {
				exec(statement)
			}
			statements := ""
			isReason := func(what string, err error) {
				t.Helper()
				var refused *store.Error
				if !errors.As(err, &refused) || refused.Kind != store.Unusable || !strings.Contains(refused.Text, "are not where a sweep needs them") {
					t.Fatalf("%s: %v", what, err)
				}
				statements = refused.Detail
			}
			_, err := open(t, db.URL, "public", false)
			isReason("open to sweep", err)
			if looked, err := open(t, db.URL, "public", true); err != nil {
				isReason("open to look", err)
			} else {
				if _, err := storetest.Engine(looked).Preview(t.Context(), sweep.Params{Rules: weak, AsOf: storetest.AsOf}); err != nil {
					isReason("a dry run", err)
				}
				if err := looked.List(t.Context(), store.ListParams{}, func(job.Job) error { return nil }); err != nil {
					isReason("list jobs", err)
				}
				if found, err := looked.Diagnose(t.Context()); err != nil || len(found.Cluster.Misplaced) == 0 {
					t.Fatalf("%+v, %v", found.Cluster, err)
				}
			}
			for statement := range strings.Lines(statements) {
				exec(statement)
			}
			if name == "overrides by another" {
				_, err := open(t, db.URL, "public", false)
				if !store.Is(err, store.Unusable) || !strings.Contains(err.Error(), "CREATE UNIQUE INDEX") {
					t.Fatal(err)
				}
				exec("CREATE UNIQUE INDEX CONCURRENTLY ON fact_validity_overrides (fact_id)")
			}
			s, err := open(t, db.URL, "public", false)
			if err != nil {
				t.Fatal(err)
			}
			j, err := storetest.Sweep(t.Context(), storetest.Engine(s), store.StartParams{Rules: weak, AsOf: storetest.AsOf}, sweep.Work{})
			if err != nil || j.Counts.Decayed != 40 {
				t.Fatalf("expired %d, %v", j.Counts.Decayed, err)
			}
			if name == "nearly all on one" {
				kept := d.Rows(t, "SELECT conrelid::regclass FROM pg_constraint WHERE contype = 'f' AND confrelid = 'facts'::regclass ORDER BY 1")
				if diff := cmp.Diff([]string{"fact_embedding_status", "fact_quarantine_status", "fact_retractions", "fact_validity_overrides"}, slices.Sorted(slices.Values(kept))); diff != "" {
					t.Errorf("foreign keys:\n%s", diff)
				}
			}
		})
	}
}

// TestCitusSchema: a schema that is distributed as a whole is refused, with the statement after which it is swept.
func TestCitusSchema(t *testing.T) {
	t.Parallel()
	db := pgtest.StartCitus(t).NewDatabase(t, "")
	conn := db.Conn(t)
	for _, statement := range []string{"ALTER SCHEMA public RENAME TO acme", "SELECT citus_schema_distribute('acme')"} {
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	for _, readOnly := range []bool{true, false} {
		_, err := open(t, db.URL, "acme", readOnly)
		var refused *store.Error
		if !errors.As(err, &refused) || refused.Kind != store.Unusable || !strings.Contains(refused.Text, "schema-based sharding") {
			t.Fatal(err)
		}
		if readOnly {
			continue
		}
		if _, err := conn.Exec(t.Context(), refused.Detail); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := open(t, db.URL, "acme", false); err != nil {
		t.Error(err)
	}
}

// TestCitusEqual: a sweep and its undo leave the same rows on a cluster as on one server.
func TestCitusEqual(t *testing.T) {
	t.Parallel()
	cluster := pgtest.StartCitus(t)
	plain, spread := pgtest.Start(t).NewDatabase(t, pgtest.DatabaseOptions{}), cluster.NewDatabase(t, "")
	var swept, undone [][][]string
	for _, db := range []*pgtest.Database{plain, spread} {
		conn := db.Conn(t)
		if err := samplepg.Fill(t.Context(), conn, sample.Options{Facts: 3_000, AsOf: storetest.AsOf, VectorDimension: 2}); err != nil {
			t.Fatal(err)
		}
		if db == spread {
			d := pgtest.DistributeStatements(t, page) + "SELECT create_distributed_table('vec_facts', 'fact_id', colocate_with => 'facts')"
			if _, err := conn.Exec(t.Context(), d); err != nil {
				t.Fatal(err)
			}
		}
		d := database(t, db, db.URL)
		s, err := open(t, db.URL, "public", false)
		if err != nil {
			t.Fatal(err)
		}
		engine := storetest.Engine(s)
		j, err := storetest.Sweep(t.Context(), engine, store.StartParams{Rules: weak, AsOf: storetest.AsOf}, sweep.Work{BatchSize: 300})
		if err != nil || j.State != job.Done || j.Counts.Decayed == 0 {
			t.Fatalf("%s, expired %d, %v", j.State, j.Counts.Decayed, err)
		}
		swept = append(swept, d.Touched(t))
		joined, err := s.Join(t.Context(), store.JoinParams{ID: j.ID, Undo: true, Worker: storetest.Worker("a test", 2)})
		if err != nil {
			t.Fatal(err)
		}
		if j, err = engine.Undo(t.Context(), joined, sweep.Work{}); err != nil || j.Counts.Restored != j.Counts.Decayed {
			t.Fatalf("restored %d of %d, %v", j.Counts.Restored, j.Counts.Decayed, err)
		}
		undone = append(undone, d.Touched(t))
	}
	if diff := cmp.Diff(swept[0], swept[1]); diff != "" {
		t.Errorf("after a sweep:\n%s", diff)
	}
	if diff := cmp.Diff(undone[0], undone[1]); diff != "" {
		t.Errorf("after its undo:\n%s", diff)
	}
}
