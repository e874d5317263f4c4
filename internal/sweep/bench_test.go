package sweep_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"decayctl/internal/job"
	"decayctl/internal/rule"
	"decayctl/internal/store"
	"decayctl/internal/store/pgtest"
	"decayctl/internal/store/postgres"
	"decayctl/internal/store/sample"
	"decayctl/internal/store/sample/samplepg"
	"decayctl/internal/store/sqlite"
	"decayctl/internal/store/storetest"
	"decayctl/internal/sweep"
)

var benchWorkers = flag.Int("workers", 1, "that sweep at once in the benchmarks, PostgreSQL only")

var benchFacts = flag.Int("facts", 100_000, "facts in the stores of the benchmarks")

var benchPolicies = flag.Int("policies", 0, "that take the place of the ttl in the benchmarks")

// benchRules are a ttl and a floor, or as many policies as are asked for, which come to about as much.
func benchRules() rule.Set {
	ttl, floor := rule.TTL(90*86400), rule.Floor(0.4)
	rules := rule.Set{TTL: &ttl, Floor: &floor}
	relations := strings.Fields("* memory:* roadmap:status user:preference user:timezone user:role intent:* project:status project:budget agent:online task:priority")
	for i := range *benchPolicies {
		p := rule.Policy{ID: fmt.Sprint("p", i), Relation: relations[i%len(relations)], Mode: []rule.Mode{rule.ModeExpire, rule.ModeRetract, rule.ModeConfidence}[i%3], TTL: &ttl}
		if i >= len(relations) { // what is left of them is tried for every fact
			p.Entity = fmt.Sprint("*", i)
		}
		if p.Mode == rule.ModeConfidence {
			p.TTL, p.HalfLife, p.MinStep = nil, 60*86400, rule.DefaultMinStep
		}
		rules.Policies = append(rules.Policies, p)
	}
	rule.Order(rules.Policies)
	return rules
}

// BenchmarkSQLite and BenchmarkPostgres time a first sweep of a store, flat out, a second one that
// finds nothing, and a dry run before both. Compare within one run only: go test -bench . -facts N -policies N
func BenchmarkSQLite(b *testing.B) {
	path := filepath.Join(b.TempDir(), "stigmem.db")
	ctx := context.Background()
	if err := sample.CreateSQLite(ctx, path); err != nil {
		b.Fatal(err)
	}
	if err := sample.FillSQLite(ctx, path, sample.Options{Facts: *benchFacts, AsOf: asOf, Seed: 1}); err != nil {
		b.Fatal(err)
	}
	bench(b, func(readOnly bool) (store.Store, error) {
		return sqlite.Open(ctx, path, store.OpenParams{ReadOnly: readOnly, LockTimeout: time.Minute, Now: time.Now})
	})
	if info, err := os.Stat(path + "-wal"); err == nil {
		b.Logf("log left: %d MB", info.Size()>>20)
	}
}

func BenchmarkPostgres(b *testing.B) {
	ctx := context.Background()
	db := pgtest.Start(b).NewDatabase(b, pgtest.DatabaseOptions{})
	conn := db.Conn(b)
	if err := samplepg.Fill(ctx, conn, sample.Options{Facts: *benchFacts, AsOf: asOf, Seed: 1}); err != nil {
		b.Fatal(err)
	}
	if _, err := conn.Exec(ctx, "VACUUM ANALYZE"); err != nil {
		b.Fatal(err)
	}
	bench(b, func(readOnly bool) (store.Store, error) {
		return postgres.Open(ctx, db.URL, db.Schema, store.OpenParams{ReadOnly: readOnly, LockTimeout: time.Minute, Now: time.Now})
	})
}

func bench(b *testing.B, open func(readOnly bool) (store.Store, error)) {
	b.Helper()
	rules := benchRules()
	for _, step := range []struct {
		name   string
		dryRun bool
	}{{"dry run", true}, {"first sweep", false}, {"nothing to do", false}} {
		b.Run(step.name, func(b *testing.B) {
			s, err := open(step.dryRun)
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = s.Close() }()
			b.ResetTimer()
			for range b.N { // more than once, a first sweep is none: run with -benchtime 1x
				var result job.Counts
				if engine := storetest.Engine(s); step.dryRun {
					preview, failed := engine.Preview(context.Background(), sweep.Params{Rules: rules, AsOf: asOf})
					result, err = preview.Counts, failed
				} else {
					result, err = run(context.Background(), engine, store.StartParams{Rules: rules, AsOf: asOf}, sweep.Work{Workers: *benchWorkers})
				}
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(result.Examined)*float64(b.N)/b.Elapsed().Seconds(), "examined/s")
				b.ReportMetric(float64(result.Decayed), "expired")
				b.ReportMetric(float64(result.LongestLock.Microseconds())/1000, "lock-ms")
			}
			var memory runtime.MemStats
			runtime.ReadMemStats(&memory)
			b.ReportMetric(float64(memory.Sys)/(1<<20), "MB")
		})
	}
}
