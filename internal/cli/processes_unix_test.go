//go:build unix

package cli_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"decayctl/internal/fact"
	"decayctl/internal/store/pgtest"
	"decayctl/internal/store/storetest"
)

// TestFourProcesses: four processes on one job, while another process inserts facts and changes overrides.
// No deadlock reaches the user, no fact is counted twice, none is lost, no retraction is there twice.
func TestFourProcesses(t *testing.T) {
	t.Parallel()
	d, target := filled(t, "postgres", pgtest.Start(t), 8000)
	before := d.Rows(t, "SELECT fact_id FROM fact_retractions")
	detached, report, last := begin(t, "", sweepArgs(target, "--detach", "--threshold", "0")...).ends(t)
	if detached != 0 || report.Status != "pending" {
		t.Fatal(last)
	}
	ctx, stop := context.WithCancel(t.Context())
	disturbed := make(chan int)
	stamp := d.Rows(t, "SELECT stamp FROM decayctl_jobs")[0]
	go func() { disturbed <- disturb(ctx, t, d, stamp) }()
	var four []*running
	for range 4 {
		four = append(four, begin(t, "", "jobs", "resume", report.JobID, "--store", target, "--workers", "2", "--batch-size", "40", "--pace", "1", "-o", "json"))
	}
	joined := 0
	for _, process := range four {
		exit, done, last := process.ends(t)
		switch {
		case exit == 0 && done.Status == "done":
			joined++
		case exit == 2 && strings.Contains(last, "is done and cannot be resumed"): // it came too late
		default:
			t.Errorf("exit code %d, %s, %q", exit, done.Status, last)
		}
		if text := strings.Join(process.stderr, "\n"); strings.Contains(text, "deadlock") {
			t.Errorf("a deadlock reached the user: %s", text)
		}
	}
	stop()
	changes := <-disturbed
	if joined < 2 || changes == 0 {
		t.Fatalf("%d processes worked on the job, %d changes by others", joined, changes)
	}
	counts := countsOf(t, d)
	// A fact that was expired and whose override another process changed afterwards is not the job's any more.
	ours := d.Rows(t, "SELECT count(*) FROM fact_validity_overrides WHERE updated_at = '"+stamp+"' AND reason = 'decay_sweep'")[0]
	changed := d.Rows(t, "SELECT count(*) FROM fact_validity_overrides WHERE reason = 'changed after'")[0]
	if n := atoi(t, ours) + atoi(t, changed); n != counts.Decayed {
		t.Errorf("the job counted %d facts expired; %s are, and %s were changed after", counts.Decayed, ours, changed)
	}
	twice := d.Rows(t, "SELECT fact_id FROM fact_retractions WHERE right(id, 12) = '"+report.JobID[24:]+"' GROUP BY fact_id HAVING count(*) > 1")
	all := d.Rows(t, "SELECT count(*) FROM fact_retractions")[0]
	if floor := counts.ByRule["min_confidence"]; len(twice) > 0 || atoi(t, all) != int64(len(before))+floor {
		t.Errorf("%s retractions, %d before, %d by the floor; twice: %v", all, len(before), floor, twice)
	}
	// Nothing that was there at the start is left to do.
	again, report, _ := begin(t, "", sweepArgs(target, "--pace", "1")...).ends(t)
	inserted := atoi(t, d.Rows(t, "SELECT count(*) FROM fact_validity_overrides WHERE fact_id LIKE 'new%'")[0])
	if again != 0 || report.Decayed > inserted+counts.Kept["changed_meanwhile"] {
		t.Errorf("a second sweep expired %d, of which %d could be new", report.Decayed, inserted)
	}
}

// disturb is the node at work: it asserts facts and overrules others, in short transactions.
func disturb(ctx context.Context, t *testing.T, d storetest.Database, stamp string) (changes int) {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a test's dice
	for i := 0; ctx.Err() == nil; i++ {
		id := fmt.Sprintf("%x", r.Uint32())
		statements := []string{
			fmt.Sprintf(`INSERT INTO facts (id, entity, relation, value_type, value_v, source, timestamp, confidence, scope, tenant_id)
				VALUES ('new-%s-%d', 'e', 'r', 'string', 'v', 's', '2026-01-01T00:00:00.000000+00:00', 0.2, 'local', 'default')`, id, i),
			fmt.Sprintf(`UPDATE fact_validity_overrides SET updated_by = 'somebody', reason = CASE WHEN reason = 'decay_sweep' AND updated_at = '%s' THEN 'changed after' ELSE reason END
				WHERE fact_id = (SELECT fact_id FROM fact_validity_overrides WHERE fact_id > '%s' ORDER BY fact_id LIMIT 1)`, stamp, id),
			fmt.Sprintf(`INSERT INTO fact_validity_overrides (fact_id, confidence, reason, updated_at)
				SELECT id, 0.9, 'raised', '2026-11-23T00:00:00+00:00' FROM facts WHERE id > '%s' ORDER BY id LIMIT 1 ON CONFLICT DO NOTHING`, id),
			fmt.Sprintf(`UPDATE memory_cards SET is_stale = 0 WHERE entity_uri > '%s' AND is_stale = 1`, id[:1]),
		}
		for _, statement := range statements {
			if _, err := d.SQL.ExecContext(ctx, statement); err != nil && ctx.Err() == nil {
				t.Errorf("the node's own writer failed: %v", err)
				return changes
			}
			changes++
		}
	}
	return changes
}

func atoi(t *testing.T, text string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// slow begins work that pauses for minutes after its first batch of one fact, and waits for that batch.
func slow(t *testing.T, d storetest.Database, expired int, args ...string) *running {
	t.Helper()
	process := begin(t, "", append(args, "--batch-size", "1", "--pace", "0.0000001", "-o", "json")...)
	waitFor(t, d, expired, process)
	return process
}

// waitFor waits until a number of facts are expired, in the test's own stores of standard facts.
func waitFor(t *testing.T, d storetest.Database, expired int, process *running) {
	t.Helper()
	storetest.Await(func() bool {
		if rows, err := d.Query("SELECT count(*) FROM fact_validity_overrides WHERE reason = 'decay_sweep'"); err == nil && rows[0] == strconv.Itoa(expired) {
			return true
		}
		if process != nil && process.over() {
			exit, _, last := process.ends(t)
			t.Fatalf("it ended with exit code %d: %s", exit, last)
		}
		return false
	})
}

// TestOneWins: many processes at once start the same sweep, then take over the job that a killed one has
// left, then undo it. Exactly one of them wins each time, and the others say who did.
func TestOneWins(t *testing.T) {
	t.Parallel()
	const many = 5
	for _, b := range backends {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			d, target, _ := b.fresh(t)
			d.Insert(t, standard()...)
			race := func(args ...string) (winner *running) {
				t.Helper()
				var all []*running
				for range many {
					all = append(all, begin(t, "", append(args, "--store", target, "--batch-size", "1", "--pace", "0.0000001")...))
				}
				losers := 0
				storetest.Await(func() bool {
					for i, process := range all {
						if process == nil || !process.over() {
							continue
						}
						if exit, _, last := process.ends(t); exit != 5 || !strings.Contains(last, "process ") {
							t.Fatalf("a loser ended with exit code %d: %s", exit, last)
						}
						losers++
						all[i] = nil
					}
					return losers == many-1
				})
				for _, process := range all {
					if process != nil {
						winner = process
					}
				}
				return winner
			}
			kill := func(process *running) {
				t.Helper()
				if err := process.Process.Kill(); err != nil {
					t.Fatal(err)
				}
				process.ends(t)
			}
			if done := decayctl(t, nil, "sweep", "--ttl", "90d", "--as-of", "2026-06-15T12:00:00Z", "--scope", "public", "--store", target); done.exit != 0 {
				t.Fatalf("%+v", done)
			}
			empty := d.Rows(t, "SELECT job_id FROM decayctl_jobs")[0]
			winner := race("sweep", "--ttl", "90d", "--as-of", "2026-06-15T12:00:00Z")
			waitFor(t, d, 1, winner)
			// Nor is anything of the same facts undone meanwhile.
			if busy := decayctl(t, nil, "jobs", "undo", empty, "--yes", "--store", target); busy.exit != 5 {
				t.Errorf("an undo beside a sweep: %+v", busy)
			}
			kill(winner)
			id := d.Rows(t, "SELECT job_id FROM decayctl_jobs WHERE scope IS NULL")[0]
			if b.name == "sqlite" { // on PostgreSQL they would share it
				winner = race("jobs", "resume", id)
				waitFor(t, d, 2, winner)
				kill(winner)
			}
			if done := decayctl(t, nil, "jobs", "resume", id, "--store", target, "--pace", "1"); done.exit != 0 {
				t.Fatalf("%+v", done)
			}
			winner = race("jobs", "undo", id, "--yes")
			waitFor(t, d, 4, winner)
			kill(winner)
			winner = race("jobs", "undo", id, "--yes")
			waitFor(t, d, 3, winner)
			kill(winner)
			if done := decayctl(t, nil, "jobs", "undo", id, "--yes", "--store", target, "-o", "json"); done.exit != 0 || !strings.Contains(done.stdout, `"restored": 5`) {
				t.Fatalf("%+v", done)
			}
			if rows := d.Rows(t, "SELECT fact_id FROM fact_validity_overrides"); len(rows) != 1 || rows[0] != "rejected" {
				t.Errorf("left over: %v", rows)
			}
		})
	}
}

// TestAsleep: a worker that sleeps past its lease writes nothing afterwards, whether or not another process has
// taken over meanwhile.
func TestAsleep(t *testing.T) {
	t.Parallel()
	for _, b := range backends {
		for _, takenOver := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s taken over %t", b.name, takenOver), func(t *testing.T) {
				t.Parallel()
				d, target, _ := b.fresh(t)
				var facts []fact.Candidate
				for i := range 20 {
					facts = append(facts, storetest.Fact(fmt.Sprintf("%02d", i)))
				}
				d.Insert(t, facts...)
				process := slow(t, d, 1, "sweep", "--store", target, "--ttl", "1d", "--lock-timeout", "100ms", "--lease", "2s")
				signal := func(s syscall.Signal) {
					t.Helper()
					if err := process.Process.Signal(s); err != nil {
						t.Fatal(err)
					}
				}
				// Not within a transaction, such as the heartbeat's: who is asleep would keep its locks.
				const within = `SELECT count(*) FROM pg_stat_activity
					WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL`
				for signal(syscall.SIGSTOP); b.name == "postgres" && d.Rows(t, within)[0] != "0"; signal(syscall.SIGSTOP) {
					signal(syscall.SIGCONT)
				}
				id := d.Rows(t, "SELECT job_id FROM decayctl_jobs")[0]
				d.Exec(t, "UPDATE decayctl_workers SET lease_until = 0")
				if takenOver {
					if done := decayctl(t, nil, "jobs", "resume", id, "--store", target, "--pace", "1", "--as-of", "2020-01-01"); done.exit != 2 {
						t.Fatalf("rules are the job's, and so is its as-of: %+v", done)
					}
					if done := decayctl(t, nil, "jobs", "resume", id, "--store", target, "--pace", "1"); done.exit != 0 || !strings.Contains(done.stderr, "took over from a worker that is gone") {
						t.Fatalf("%+v", done)
					}
				}
				before := d.Touched(t)
				signal(syscall.SIGCONT)
				exit, _, last := process.ends(t)
				if want := map[bool]int{true: 0, false: 3}[takenOver]; exit != want || !takenOver && !strings.Contains(last, "the lease was lost") {
					t.Errorf("exit code %d, %s", exit, last)
				}
				if after := d.Touched(t); fmt.Sprint(before) != fmt.Sprint(after) {
					t.Errorf("it wrote:\n%v\n%v", before, after)
				}
			})
		}
	}
}
