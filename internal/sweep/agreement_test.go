package sweep_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"decayctl/internal/rule"
	"decayctl/internal/store"
	"decayctl/internal/store/pgtest"
	"decayctl/internal/store/postgres"
	"decayctl/internal/store/sample"
	"decayctl/internal/store/sample/samplepg"
	"decayctl/internal/store/storetest"
	"decayctl/internal/sweep"
)

// TestDatabasesAgree sweeps the same rows on both databases: the same verdicts, the same counts,
// the same rows afterwards.
func TestDatabasesAgree(t *testing.T) {
	t.Parallel()
	options := sample.Options{Facts: 3000, AsOf: asOf, Seed: 7}
	onSQLite, lite := openNew(t, func(path string) error { return sample.FillSQLite(context.Background(), path, options) })

	db := pgtest.Start(t).NewDatabase(t, pgtest.DatabaseOptions{ICULocale: "en-US", Schema: "memory"})
	if err := samplepg.Fill(context.Background(), db.Conn(t), options); err != nil {
		t.Fatal(err)
	}
	pg := storetest.Database{SQL: storetest.OpenPostgres(t, db.URL, db.Schema)}
	onPostgres, err := postgres.Open(context.Background(), db.URL, db.Schema, store.OpenParams{LockTimeout: time.Minute, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = onPostgres.Close() })

	for _, p := range []sweep.Params{
		{Rules: rule.Set{Floor: ptr(rule.Floor(0.35))}, Scope: "team", Tenant: "default"},
		{Rules: rule.Set{TTL: ptr(rule.TTL(300 * 86400))}, DryRun: true},
		{Rules: rule.Set{TTL: ptr(rule.TTL(300 * 86400)), Floor: ptr(rule.Floor(0.3))}},
		{Rules: rule.Set{TTL: ptr(rule.TTL(90 * 86400)), Floor: ptr(rule.Floor(0.7))}},
		{Rules: rule.Set{TTL: ptr(rule.TTL(0)), Floor: ptr(rule.Floor(1))}},
	} {
		p.AsOf, p.Stamp, p.BatchSize, p.Pace = asOf, asOf, 111, 1
		one, err := storetest.Engine(onSQLite).Run(context.Background(), p)
		if err != nil {
			t.Fatal(err)
		}
		two, err := storetest.Engine(onPostgres).Run(context.Background(), p)
		if err != nil {
			t.Fatal(err)
		}
		// The order of ids differs by collation, and with it what a batch holds.
		ignored := cmpopts.IgnoreFields(sweep.Result{}, "Total", "LongestLock", "Batches", "Samples")
		if diff := cmp.Diff(one, two, ignored); diff != "" || one.Selected == 0 {
			t.Errorf("%s (-sqlite +postgres):\n%s", p.Rules, diff)
		}
		for _, query := range []string{
			"SELECT fact_id, valid_until, confidence, reason, updated_at, updated_by FROM fact_validity_overrides",
			"SELECT fact_id, retracted_at, retracted_by FROM fact_retractions",
			"SELECT id, valid_until, confidence, decay_epoch FROM entity_edges",
			"SELECT entity_uri, tenant_id, scope, is_stale FROM memory_cards",
		} {
			a, b := lite.Rows(t, query), pg.Rows(t, query)
			slices.Sort(a)
			slices.Sort(b)
			if diff := cmp.Diff(a, b); diff != "" {
				t.Fatalf("%s: %s (-sqlite +postgres):\n%s", p.Rules, query, diff)
			}
		}
	}
}
