//go:build citus

package postgres_test

import (
	"context"
	"flag"
	"maps"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"decayctl/internal/job"
	"decayctl/internal/store"
	"decayctl/internal/store/pgtest"
	"decayctl/internal/store/postgres"
)

var citusPlanFacts = flag.Int("citus-plan-facts", 1_000_000, "facts in the cluster whose plans are looked at")

// TestCitusPlans: in no shard does a statement of a range or of a batch read a table that grows with the store but by its keys.
func TestCitusPlans(t *testing.T) {
	t.Parallel()
	facts := *citusPlanFacts
	p, workers := newCitusPlanner(t, facts)
	withTenants := maps.Clone(keys)
	withTenants["facts"] = maps.Clone(keys["facts"])
	withTenants["facts"]["idx_facts_tenant"] = []string{"within LIMIT only"}
	onWorkers := func(statements ...string) {
		t.Helper()
		for _, worker := range workers {
			for _, statement := range statements {
				if _, err := worker.Exec(t.Context(), statement); err != nil {
					t.Fatalf("%s: %v", statement, err)
				}
			}
		}
	}
	for _, state := range []struct {
		name   string
		change func()
	}{
		{"before a first sweep", func() { p.analyze(t, 1) }},
		{"after it", func() { p.SweptBefore(t); p.analyze(t, 1) }},
		{"with many tombstones", func() { p.manyTombstones(t); p.analyze(t, 1) }},
		{"never analysed", func() {
			p.forgetStatistics(t)
			onWorkers(forgetStatistics...)
		}},
	} {
		state.change()
		p.keys = keys
		p.Exec(t, "UPDATE memory_cards SET is_stale = 0")
		p.skip(t)
		p.EachPath(t, facts/100, func(part string, begin ...string) {
			t.Helper()
			if part == "a sweep" {
				begin = append(begin, "get_shard_id_for_distribution_column", "citus_lock_waits")
			}
			p.check(t, part+", "+state.name, begin...)
		})
		p.seldom(t)
		p.keys = withTenants
		p.check(t, "what is seldom asked, "+state.name, "SELECT CASE WHEN EXISTS", "pg_prepared_xacts", "ORDER BY tenant_id LIMIT 1")
	}
}

// newCitusPlanner makes a planner with facts on a cluster, and connections to its worker nodes.
func newCitusPlanner(t *testing.T, facts int) (*planner, []*pgx.Conn) {
	t.Helper()
	cluster := pgtest.StartCitus(t)
	db := cluster.NewDatabase(t, "")
	fill(t, db, facts, pgtest.DistributeStatements(t, page)+"SELECT create_distributed_table('vec_facts', 'fact_id', colocate_with => 'facts')")
	p := observe(t, db, append([]*pgtest.Cluster{cluster.Cluster}, cluster.Workers...)...)
	p.mode = "force_custom_plan"
	p.Open = func(o store.OpenParams) (store.Store, error) {
		var steps atomic.Int64 // of which each takes a second, so that a batch looks for sessions that wait
		now := o.Now
		o.Now = func() time.Time { return now().Add(time.Duration(steps.Add(1)) * time.Second) }
		// The plans are on the worker nodes. For some statements Citus cannot tell the coordinator's.
		return postgres.Open(context.Background(), db.URL+"&log_statement=all", db.Schema, o)
	}
	var workers []*pgx.Conn
	for _, worker := range cluster.Workers {
		workers = append(workers, worker.ConnTo(t, db.Name))
		for _, setting := range []string{"session_preload_libraries = auto_explain", "auto_explain.log_min_duration = 0", "auto_explain.log_format = json"} {
			if _, err := workers[len(workers)-1].Exec(t.Context(), "ALTER DATABASE "+db.Name+" SET "+setting); err != nil {
				t.Fatal(err)
			}
		}
	}
	return p, workers
}

// seldom runs what a command asks once.
func (p *planner) seldom(t *testing.T) {
	t.Helper()
	s, err := p.Open(store.OpenParams{LockTimeout: time.Minute, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	if _, err := s.Estimate(t.Context()); err != nil {
		t.Error(err)
	}
	if names, err := s.TenantNames(t.Context(), "", 100); err != nil || len(names) < 2 {
		t.Errorf("%q, %v", names, err)
	}
	if _, err := s.Changes(t.Context(), store.ChangesParams{Job: job.Job{ID: "00000000-0000-7000-8000-000000000000"}, Size: 1_000}); err != nil {
		t.Error(err)
	}
}
