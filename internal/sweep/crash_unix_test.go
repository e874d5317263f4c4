//go:build unix

package sweep_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"decayctl/internal/job"
	"decayctl/internal/store/pgtest"
	"decayctl/internal/store/sample"
	"decayctl/internal/store/sample/samplepg"
	"decayctl/internal/store/storetest"
)

// TestKilledAtEveryPlace kills a sweep at its first place, resumes it and kills it at the second, and so
// on, until one comes to its end: between reading and writing, within transactions, before and after
// every COMMIT. The rows are then those of a sweep that was not disturbed, and so are the counts. The
// undo of it all, killed in the same way, gives back what was there before.
func TestKilledAtEveryPlace(t *testing.T) {
	t.Parallel()
	for name, fresh := range crashStores() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			whole, target := fresh(t)
			if killed, err := crashed(t, target, "sweep", 0); killed || err != nil {
				t.Fatal("the undisturbed sweep failed:", err)
			}
			d, disturbed := fresh(t)
			before := d.Touched(t)
			kills := untilDone(t, disturbed, "sweep")
			alike(t, "sweep", whole, "sweep", d)
			undoKills := untilDone(t, disturbed, crashJob("sweep").ID)
			if diff := cmp.Diff(before[:cards], d.Touched(t)[:cards]); diff != "" {
				t.Errorf("(-before the sweep +after an undo killed %d times):\n%s", undoKills, diff)
			}
			if undone := jobOf(t, d, "sweep"); undone.State != job.Undone || undone.Counts.Restored != jobOf(t, whole, "sweep").Counts.Decayed {
				t.Errorf("%+v", undone)
			}
			if kills < 50 || undoKills < 20 {
				t.Errorf("killed %d and %d times only", kills, undoKills)
			}
		})
	}
}

// TestKilledByNight kills the sweep of some nights later, which looks through the whole store first: at each
// of the places from there on that its first process comes by. Whoever resumes it goes on with what was
// offered, or from the beginning, and is killed in its turn.
func TestKilledByNight(t *testing.T) {
	t.Parallel()
	for name, fresh := range crashStores() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			whole, target := fresh(t)
			d, disturbed := fresh(t)
			for _, each := range [][2]string{{target, "sweep"}, {target, "night 0"}, {disturbed, "sweep"}} {
				if killed, err := crashed(t, each[0], each[1], 0); killed || err != nil {
					t.Fatal("the undisturbed sweep failed:", err)
				}
			}
			for place := 1; place <= 9; place++ {
				work := fmt.Sprint("night ", place)
				if killed, err := crashed(t, disturbed, work, place); !killed || err != nil {
					t.Fatalf("place %d: killed %t, %v", place, killed, err)
				}
				if place == 6 {
					untilDone(t, disturbed, work)
				} else if killed, err := crashed(t, disturbed, work, 0); killed || err != nil {
					t.Fatal(err)
				}
				alike(t, "night 0", whole, work, d)
				if killed, err := crashed(t, disturbed, crashJob(work).ID, 0); killed || err != nil {
					t.Fatal("the undo failed:", err)
				}
			}
		})
	}
}

// TestPlanKilled kills a sweep that applies a plan: while it checks, before and after what it has found is kept, and among its
// batches. Whoever resumes it changes the facts that were reviewed and no others, also if facts have appeared since the
// check.
func TestPlanKilled(t *testing.T) {
	t.Parallel()
	for name, fresh := range crashStores() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, target := fresh(t)
			expired := func() []string {
				t.Helper()
				return d.Rows(t, "SELECT fact_id FROM fact_validity_overrides WHERE reason = 'decay_sweep' ORDER BY fact_id")
			}
			if killed, err := crashed(t, target, "plan 10", 0); killed || err != nil {
				t.Fatal("the undisturbed sweep failed:", err)
			}
			reviewed := expired()
			undo := func(work string) {
				t.Helper()
				if killed, err := crashed(t, target, crashJob(work).ID, 0); killed || err != nil {
					t.Fatal("the undo failed:", err)
				}
			}
			undo("plan 10")
			before, after := 0, 0
			for _, place := range []int{1, 2, 3, 5, 8, 12, 17, 23} {
				work := fmt.Sprint("plan ", 10+place)
				if killed, err := crashed(t, target, work, place); !killed || err != nil {
					t.Fatalf("place %d: killed %t, %v", place, killed, err)
				}
				open := d.Rows(t, "SELECT count(*) FROM decayctl_plans WHERE job_id = $1 AND worker = 0", crashJob(work).ID)
				appeared := fmt.Sprint("appeared ", place)
				if open[0] == "0" {
					after++
					d.Insert(t, storetest.Fact(appeared))
				} else {
					before++
				}
				if killed, err := crashed(t, target, work, 0); killed || err != nil {
					t.Fatal(err)
				}
				if got := expired(); !slices.Equal(got, reviewed) {
					t.Errorf("killed at place %d (-reviewed +expired):\n%s", place, cmp.Diff(reviewed, got))
				}
				undo(work)
				d.Exec(t, `INSERT INTO fact_validity_overrides (fact_id, valid_until, updated_at)
					SELECT id, '2026-01-02T00:00:00Z', '2026-01-02T00:00:00Z' FROM facts WHERE id = $1`, appeared)
			}
			if before < 2 || after < 2 {
				t.Errorf("killed %d times before and %d times after the check was through", before, after)
			}
		})
	}
}

// TestPruneKilledAtEveryPlace: whenever a removal of jobs is killed, each job is there with all that an undo needs,
// or gone for both decayctl and the node, and the next removal goes on.
func TestPruneKilledAtEveryPlace(t *testing.T) {
	t.Parallel()
	for name, fresh := range crashStores() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, target := fresh(t)
			if killed, err := crashed(t, target, "sweep", 0); killed || err != nil {
				t.Fatal("the sweep failed:", err)
			}
			const jobs, images = 150, 2
			d.Exec(t, "DELETE FROM decayctl_before")
			d.Copies(t, crashJob("sweep").ID, jobs, images)
			kills := 0
			for ; ; kills++ {
				killed, err := crashed(t, target, "prune", 1+kills%9)
				if err != nil {
					t.Fatal(err)
				}
				for what, query := range map[string]string{
					"jobs without a row of the node": "SELECT job_id FROM decayctl_jobs WHERE job_id NOT IN (SELECT id FROM jobs)",
					"rows of the node without a job": "SELECT id FROM jobs WHERE id LIKE 'copy%' AND id NOT IN (SELECT job_id FROM decayctl_jobs)",
					"jobs that lost before-images":   "SELECT job_id FROM decayctl_jobs j WHERE job_id LIKE 'copy%' AND (SELECT count(*) FROM decayctl_before b WHERE b.job_id = j.job_id) <> 2",
				} {
					if rows := d.Rows(t, query); len(rows) > 0 {
						t.Fatalf("killed %d times: %s: %d", kills, what, len(rows))
					}
				}
				if !killed {
					break
				}
			}
			for _, table := range []string{"decayctl_jobs", "decayctl_before"} {
				if rows := d.Rows(t, "SELECT job_id FROM "+table); len(rows) > 0 {
					t.Errorf("%s has %d rows left", table, len(rows))
				}
			}
			if kills < 10 {
				t.Errorf("killed %d times only", kills)
			}
		})
	}
}

// crashStores are stores of both kinds with the same facts, and where to find them.
func crashStores() map[string]func(t *testing.T) (storetest.Database, string) {
	options := sample.Options{Facts: 280, AsOf: asOf, Seed: 5}
	return map[string]func(t *testing.T) (storetest.Database, string){
		"sqlite": func(t *testing.T) (storetest.Database, string) {
			t.Helper()
			return storetest.NewSQLite(t, func(path string) error { return sample.FillSQLite(context.Background(), path, options) })
		},
		"postgres": func(t *testing.T) (storetest.Database, string) {
			t.Helper()
			db := pgtest.Start(t).NewDatabase(t, pgtest.DatabaseOptions{})
			if err := samplepg.Fill(context.Background(), db.Conn(t), options); err != nil {
				t.Fatal(err)
			}
			return storetest.Database{SQL: storetest.OpenPostgres(t, db.URL, db.Schema)}, db.URL
		},
	}
}

// alike holds a sweep that was killed to one that was not disturbed.
func alike(t *testing.T, undisturbed string, whole storetest.Database, killed string, d storetest.Database) {
	t.Helper()
	if diff := cmp.Diff(whole.Touched(t), d.Touched(t)); diff != "" {
		t.Errorf("%s (-undisturbed +killed):\n%s", killed, diff)
	}
	one, two := jobOf(t, whole, undisturbed), jobOf(t, d, killed)
	if diff := cmp.Diff(one.Counts, two.Counts, notCompared); diff != "" || two.State != job.Done || one.Counts.Decayed == 0 {
		t.Errorf("%s: %s (-undisturbed +killed):\n%s", killed, two.State, diff)
	}
}

// untilDone has the work killed again and again until it is done: at the first place after its start, then
// at the second, and so on. The last place of a round is further away in every round, as a process that never
// comes to a COMMIT goes on for ever.
func untilDone(t *testing.T, target, work string) (kills int) {
	t.Helper()
	for last := 35; ; last += 15 {
		for place := 1; place <= last; place++ {
			killed, err := crashed(t, target, work, place)
			if err != nil {
				t.Fatal(err)
			}
			if !killed {
				return kills
			}
			kills++
		}
	}
}

// crashed starts this binary to do some work, and tells whether it was killed. At 0 it never is.
func crashed(t *testing.T, target, work string, at int) (killed bool, err error) {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program)
	cmd.Dir = filepath.Dir(t.TempDir())
	cmd.Env = append(os.Environ(), crashStore+"="+target, crashWork+"="+work, crashAt+"="+strconv.Itoa(at))
	text, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("%w: %s", err, text)
	}
	return false, nil
}

// jobOf reads a job as the tables have it.
func jobOf(t *testing.T, d storetest.Database, work string) (j job.Job) {
	t.Helper()
	var counts string
	if err := d.SQL.QueryRowContext(t.Context(), "SELECT state, counts FROM decayctl_jobs WHERE job_id = $1", crashJob(work).ID).Scan(&j.State, &counts); err != nil {
		t.Fatal(err)
	}
	var err error
	if j.Counts, err = job.ParseCounts(counts); err != nil {
		t.Fatal(err)
	}
	return j
}
