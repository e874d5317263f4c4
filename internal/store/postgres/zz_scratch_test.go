package postgres_test

import (
	"context"
	"os"
	"testing"
	"time"

	"decayctl/internal/rule"
	"decayctl/internal/store"
	"decayctl/internal/store/pgtest"
	"decayctl/internal/store/postgres"
	"decayctl/internal/store/sample"
	"decayctl/internal/store/sample/samplepg"
	"decayctl/internal/store/storetest"
	"decayctl/internal/sweep"
)

func TestScratchPlans(t *testing.T) {
	ctx := context.Background()
	cluster := pgtest.Start(t)
	for _, analyse := range []bool{false, true} {
		name := "fresh"
		if analyse {
			name = "analysed"
		}
		t.Run(name, func(t *testing.T) {
			db := cluster.NewDatabase(t, pgtest.DatabaseOptions{})
			d := database(t, db, db.URL)
			d.Exec(t, "ALTER SYSTEM SET autovacuum = off")
			d.Exec(t, "SELECT pg_reload_conf()")
			if err := samplepg.Fill(ctx, db.Conn(t), sample.Options{Facts: 200_000, AsOf: asOf, Seed: 1, VectorDimension: 2}); err != nil {
				t.Fatal(err)
			}
			d.Exec(t, `INSERT INTO fact_validity_overrides (fact_id, confidence, updated_at) SELECT id, 0.3, 'x' FROM facts WHERE id < '6' ON CONFLICT DO NOTHING`)
			d.Exec(t, `INSERT INTO entity_edges (id, subject, relation, object, scope, valid_until, confidence, created_at) SELECT id, 'a','b','c','local','2030', 0.5, 1 FROM facts WHERE id > '3' ON CONFLICT DO NOTHING`)
			if analyse {
				d.Exec(t, "VACUUM ANALYZE")
			}
			t.Log(d.Rows(t, "SELECT (SELECT count(*) FROM fact_validity_overrides), (SELECT count(*) FROM entity_edges)"))
			d.Exec(t, "ALTER DATABASE "+db.Name+" SET session_preload_libraries = 'auto_explain'")
			d.Exec(t, "ALTER DATABASE "+db.Name+" SET auto_explain.log_min_duration = 0")
			d.Exec(t, "ALTER DATABASE "+db.Name+" SET auto_explain.log_analyze = on")
			d.Exec(t, "ALTER DATABASE "+db.Name+" SET auto_explain.log_timing = off")
			ttl, floor := rule.TTL(90*86400), rule.Floor(0.4)
			stats := func(what string) {
				time.Sleep(1200 * time.Millisecond)
				for _, row := range d.Rows(t, `SELECT relname, seq_scan, seq_tup_read, idx_scan FROM pg_stat_user_tables WHERE seq_tup_read > 0 ORDER BY 3 DESC LIMIT 8`) {
					t.Log(what, row)
				}
				d.Exec(t, "SELECT pg_stat_reset()")
				log, _ := os.ReadFile(cluster.Folder + "/log")
				_ = os.WriteFile("/tmp/pg-"+name+"-"+what+".log", log, 0o644)
			}
			stats("fill")
			s, err := postgres.Open(ctx, db.URL, db.Schema, store.OpenParams{LockTimeout: time.Minute, Now: time.Now})
			if err != nil {
				t.Fatal(err)
			}
			begin := time.Now()
			j, err := storetest.Sweep(ctx, storetest.Engine(s), store.StartParams{Rules: rule.Set{TTL: &ttl, Floor: &floor}, AsOf: asOf}, sweep.Work{})
			t.Log("sweep", time.Since(begin), j.Counts.Decayed, j.Counts.Batches, j.Counts.LongestLock, err)
			stats("sweep")
			found, err := s.Find(ctx, j.ID)
			t.Log(found.BeforeImages, err)
			begin = time.Now()
			n, err := storetest.Engine(s).Undoable(ctx, found)
			t.Log("undoable", time.Since(begin), n, err)
			stats("undoable")
			begin = time.Now()
			joined, err := s.Join(ctx, store.JoinParams{ID: j.ID, Undo: true, Worker: storetest.Worker("x", 1)})
			if err != nil {
				t.Fatal(err)
			}
			u, err := storetest.Engine(s).Undo(ctx, joined, sweep.Work{Workers: 1, Pace: 1})
			t.Log("undo", time.Since(begin), u.State, u.Counts.Restored, u.Counts.LeftAlone, err)
			stats("undo")
			begin = time.Now()
			gone, err := s.Prune(ctx, time.Now().Add(time.Hour))
			t.Log("prune", time.Since(begin), gone, err, d.Rows(t, "SELECT count(*) FROM decayctl_before"))
			stats("prune")
			t.Log(d.Rows(t, "SELECT count(*) FROM entity_edges WHERE decay_epoch IS NOT NULL"))
			log, _ := os.ReadFile(cluster.Folder + "/log")
			_ = os.WriteFile("/tmp/pg-"+name+".log", log, 0o644)
			_ = s.Close()
		})
	}
}
