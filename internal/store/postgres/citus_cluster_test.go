//go:build citus

package postgres_test

import (
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
