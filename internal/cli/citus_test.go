//go:build citus && unix

package cli_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"decayctl/internal/store/pgtest"
	"decayctl/internal/store/sample"
	"decayctl/internal/store/sample/samplepg"
	"decayctl/internal/store/storetest"
)

// TestCitusKilled: a sweep on a cluster whose processes are killed, and one of whose worker nodes restarts, leaves the rows that an
// undisturbed sweep leaves on one server. So does its undo.
func TestCitusKilled(t *testing.T) {
	cluster := pgtest.StartCitus(t)
	const facts = 4_000
	whole, wholeTarget := filled(t, "postgres", pgtest.Start(t), facts)
	db := cluster.NewDatabase(t, "")
	conn := db.Conn(t)
	if err := samplepg.Fill(t.Context(), conn, sample.Options{Facts: facts, AsOf: now, Seed: 11}); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), pgtest.DistributeStatements(t, "../../docs/citus.md")); err != nil {
		t.Fatal(err)
	}
	d, target := storetest.Database{SQL: storetest.OpenPostgres(t, db.URL, db.Schema)}, db.URL
	before := d.Touched(t)
	expired := func() int64 {
		t.Helper()
		return atoi(t, d.Rows(t, "SELECT count(*) FROM fact_validity_overrides WHERE reason = 'decay_sweep'")[0])
	}
	// more waits until the work has changed at least so many rows.
	more := func(process *running, rows int64) {
		t.Helper()
		from := expired()
		storetest.Await(func() bool {
			if process.over() {
				exit, _, last := process.ends(t)
				t.Fatalf("it ended with exit code %d: %s", exit, last)
			}
			return max(expired()-from, from-expired()) >= rows
		})
	}
	kill := func(process *running) {
		t.Helper()
		if err := process.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		process.ends(t)
	}
	work := []string{"--store", target, "--batch-size", "50", "--pace", "0.2", "--lease", "5s", "--lock-timeout", "2s", "-o", "json"}
	process := begin(t, "", append(sweepArgs(target), work[2:]...)...)
	more(process, 100)
	kill(process)
	id := d.Rows(t, "SELECT job_id FROM decayctl_jobs")[0]
	resume := func(args ...string) *running {
		return begin(t, "", append(append([]string{"jobs", "resume", id}, work...), args...)...)
	}
	first, second := resume("--workers", "2"), resume()
	more(first, 100)
	kill(second)
	cluster.Workers[0].Stop(t, pgtest.Immediate)
	cluster.Workers[0].Restart(t)
	if exit, _, _ := first.ends(t); exit != 0 { // the node was away for longer than the process tries
		if exit, _, last := begin(t, "", "jobs", "resume", id, "--store", target, "--pace", "1", "-o", "json").ends(t); exit != 0 {
			t.Fatalf("exit code %d: %s", exit, last)
		}
	}
	asUndisturbed(t, d, whole, wholeTarget)

	undo := []string{"jobs", "undo", id, "--yes"}
	process = begin(t, "", append(undo, work...)...)
	more(process, 100)
	kill(process)
	if exit, _, last := begin(t, "", append(undo, "--store", target, "--pace", "1", "-o", "json")...).ends(t); exit != 0 {
		t.Fatalf("exit code %d: %s", exit, last)
	}
	after := d.Touched(t)
	before, after = before[:storetest.TouchedCards], after[:storetest.TouchedCards]
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("not as before the sweep:\n%s", diff)
	}
	fmt.Fprintln(t.Output(), "expired and restored on a cluster:", len(before[0]))
}
