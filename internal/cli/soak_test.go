//go:build soak && unix

package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"decayctl/internal/store/pgtest"
	"decayctl/internal/store/storetest"
)

var (
	soakFacts = flag.Int("soak-facts", 200_000, "facts in the stores of the soak tests")
	soakKills = flag.Int("soak-kills", 50, "how often the soak tests kill a sweep, at least; and its undo, half as often")
)

// TestSoakKilled kills a sweep at random moments and resumes it, again and again. The rows and the counts
// are then those of a sweep that was not disturbed: nothing lost, nothing repeated, nothing half-written.
// Its undo is killed in the same way, and gives back what was there before.
func TestSoakKilled(t *testing.T) {
	for _, name := range []string{"sqlite", "postgres"} {
		t.Run(name, func(t *testing.T) {
			cluster := (*pgtest.Cluster)(nil)
			if name == "postgres" {
				cluster = pgtest.Start(t)
			}
			d, target := filled(t, name, cluster, *soakFacts)
			before := d.Touched(t)
			begun := time.Now()
			kills := soak(t, *soakKills, func(ctx context.Context) (jobReport, bool) {
				if rows, err := d.Query("SELECT job_id FROM decayctl_jobs"); err != nil || len(rows) == 0 {
					return soakRun(ctx, t, sweepArgs(target, "--pace", "1", "--batch-size", "500")...)
				}
				return soakRun(ctx, t, "jobs", "resume", "--store", target, "--pace", "1", "--batch-size", "500", "-o", "json")
			})
			t.Logf("the sweep was killed %d times in %s", kills, time.Since(begun).Round(time.Second))
			whole, wholeTarget := filled(t, name, cluster, *soakFacts)
			asUndisturbed(t, d, whole, wholeTarget)

			id := d.Rows(t, "SELECT job_id FROM decayctl_jobs")[0]
			begun = time.Now()
			kills = soak(t, *soakKills/2, func(ctx context.Context) (jobReport, bool) {
				return soakRun(ctx, t, "jobs", "undo", id, "--yes", "--store", target, "--pace", "1", "--batch-size", "500", "-o", "json")
			})
			t.Logf("its undo was killed %d times in %s", kills, time.Since(begun).Round(time.Second))
			const cards = storetest.TouchedCards // they stay stale
			if diff := cmp.Diff(before[:cards], d.Touched(t)[:cards]); diff != "" {
				t.Errorf("(-before the sweep +after the undo):\n%s", diff)
			}
		})
	}
}

// TestSoakScripts runs the scripts about what does not depend on the database on the databases on which TestScripts does not.
func TestSoakScripts(t *testing.T) {
	for _, b := range backends[1:] {
		t.Run(b.name, func(t *testing.T) { runScripts(t, b, independent, false) })
	}
}

// soak runs some work and kills it until it is done: after short lives until it was killed often enough,
// then after longer and longer ones.
func soak(t *testing.T, least int, run func(context.Context) (jobReport, bool)) (kills int) {
	t.Helper()
	for {
		life := time.Duration(30+rand.IntN(120)) * time.Millisecond
		if kills >= least {
			life *= time.Duration(1 + kills - least)
		}
		ctx, cancel := context.WithTimeout(t.Context(), life)
		report, ended := run(ctx)
		cancel()
		if ended && (report.Status == "done" || report.Status == "undone") {
			return kills
		}
		if !ended {
			kills++
		}
	}
}

// soakRun runs the real program, which the end of ctx kills. Where it ended by itself, it did well.
func soakRun(ctx context.Context, t *testing.T, args ...string) (report jobReport, ended bool) {
	t.Helper()
	cmd := exec.CommandContext(ctx, "decayctl", args...)
	cmd.Dir = t.TempDir()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	switch over := strings.Contains(stdout.String(), "no job to resume") || strings.Contains(stderr.String(), "is undone and cannot"); {
	case over: // it was killed behind its last COMMIT
		return jobReport{Status: "done"}, true
	case err != nil && ctx.Err() != nil:
		return report, false
	case err != nil:
		t.Fatalf("%v: %s", err, stderr.String())
	}
	if err := json.Unmarshal(stdout.Bytes(), &report); err != nil {
		t.Fatal(err)
	}
	return report, true
}
