//go:build citus

package postgres_test

import (
	"context"
	"fmt"
	"testing"
	"time"

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
	committed := make(chan error)
	go func() {
		time.Sleep(3 * time.Second) // as long as the node is away
		_, err := node.Exec(context.Background(), "COMMIT PREPARED '"+gid+"'")
		committed <- err
	}()
	joined, err := s.Join(t.Context(), store.JoinParams{ID: j.ID, Undo: true, Worker: storetest.Worker("a test", 2)})
	if err != nil {
		t.Fatal(err)
	}
	if j, err = storetest.Engine(s).Undo(t.Context(), joined, sweep.Work{}); err != nil || j.Counts.Restored != 40 {
		t.Errorf("restored %d, %v", j.Counts.Restored, err)
	}
	if err := <-committed; err != nil {
		t.Error(err)
	}
	if left := d.Rows(t, "SELECT count(*) FROM fact_validity_overrides")[0]; left != "0" {
		t.Errorf("%s overrides are left", left)
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
