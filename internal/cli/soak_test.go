//go:build soak && unix

package cli_test

import (
	"context"
	"flag"
	"math/rand/v2"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"decayctl/internal/store/pgtest"
	"decayctl/internal/store/sample"
	"decayctl/internal/store/sample/samplepg"
	"decayctl/internal/store/storetest"
)

var soakFacts = flag.Int("soak-facts", 100_000, "facts in the stores of the soak tests")

// TestSoakKilled kills sweeps of one store at random moments until one gets to its end. The rows are
// then those of a sweep that nobody disturbed: nothing lost, nothing repeated, nothing half-written.
func TestSoakKilled(t *testing.T) {
	options := sample.Options{Facts: *soakFacts, AsOf: now, Seed: 11}
	stores := map[string]func() (storetest.Database, string){
		"sqlite": func() (storetest.Database, string) {
			return storetest.NewSQLite(t, func(path string) error { return sample.FillSQLite(context.Background(), path, options) })
		},
		"postgres": func() (storetest.Database, string) {
			db := pgtest.Start(t).NewDatabase(t, pgtest.DatabaseOptions{})
			if err := samplepg.Fill(context.Background(), db.Conn(t), options); err != nil {
				t.Fatal(err)
			}
			return storetest.Database{SQL: storetest.OpenPostgres(t, db.URL, db.Schema)}, db.URL
		},
	}
	for name, fresh := range stores {
		t.Run(name, func(t *testing.T) {
			whole, wholeTarget := fresh()
			if !soakSweep(t, wholeTarget, 0) {
				t.Fatal("the undisturbed sweep failed")
			}
			killed, target := fresh()
			kills := 0
			// Longer lives as it goes, so that it ends.
			for done := false; !done; kills++ {
				done = soakSweep(t, target, time.Duration(rand.IntN(100+40*kills)+1)*time.Millisecond)
			}
			t.Logf("killed %d times", kills-1)
			for _, query := range []string{
				"SELECT fact_id, valid_until, confidence, reason, updated_by FROM fact_validity_overrides",
				"SELECT fact_id, retracted_at, retracted_by FROM fact_retractions",
				"SELECT id, valid_until, decay_epoch FROM entity_edges",
				"SELECT entity_uri, tenant_id, scope, is_stale FROM memory_cards",
			} {
				want, got := whole.Rows(t, query), killed.Rows(t, query)
				slices.Sort(want)
				slices.Sort(got)
				if !slices.Equal(want, got) {
					t.Errorf("%s (-undisturbed +killed):\n%s", query, cmp.Diff(want, got))
				}
			}
		})
	}
}

// soakSweep runs the real program, and kills it after a while unless that is 0.
func soakSweep(t *testing.T, target string, life time.Duration) bool {
	t.Helper()
	ctx := context.Background()
	if life > 0 {
		var cancel func()
		ctx, cancel = context.WithTimeout(ctx, life)
		defer cancel()
	}
	cmd := exec.CommandContext(ctx, "decayctl", "sweep", "--store", target, "--ttl", "90d", "--min-confidence", "0.4",
		"--as-of", now.Add(-time.Hour).Format(time.RFC3339), "--pace", "1", "--batch-size", "500")
	cmd.Dir = t.TempDir()
	text, err := cmd.CombinedOutput()
	if err != nil && ctx.Err() == nil {
		t.Fatalf("%v: %s", err, text)
	}
	return err == nil
}
