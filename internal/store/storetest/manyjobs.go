package storetest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"decayctl/internal/job"
	"decayctl/internal/store"
	"decayctl/internal/sweep"
)

// Copies inserts n copies of a job, each a minute newer than the one before, with before-images.
func (d Database) Copies(t testing.TB, like string, n, images int) {
	t.Helper()
	columns := func(table, key string) (names, values string) {
		var all []string
		for _, name := range d.columns(t, table) {
			switch name {
			case key:
				all = append(all, `c.id`)
			case "stamp", "as_of", "created_at", "started_at", "completed_at", "changed_at":
				all = append(all, "c.at")
			default:
				all = append(all, "j."+name)
			}
		}
		return strings.Join(d.columns(t, table), ", "), strings.Join(all, ", ")
	}
	const copies = `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $2), c AS (
		SELECT 'copy-' || substr(CAST(10000000 + i AS TEXT), 2) AS id, '20' || substr(CAST(100 + i / 1000000 AS TEXT), 2) || '-01-'
			|| substr(CAST(101 + i / 1440 AS TEXT), 2) || 'T' || substr(CAST(100 + i / 60 % 24 AS TEXT), 2) || ':' || substr(CAST(100 + i % 60 AS TEXT), 2) || ':00.000000+00:00' AS at
		FROM n) `
	for table, key := range map[string]string{"decayctl_jobs": "job_id", "jobs": "id"} {
		names, values := columns(table, key)
		d.Exec(t, copies+"INSERT INTO "+table+" ("+names+") SELECT "+values+" FROM "+table+" j CROSS JOIN c WHERE j."+key+" = $1", like, n)
	}
	if images > 0 {
		d.Exec(t, `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $2), m (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM m WHERE i < $1)
			INSERT INTO decayctl_before (job_id, fact_id, had_override, had_edge)
			SELECT 'copy-' || substr(CAST(10000000 + n.i AS TEXT), 2), 'fact ' || m.i, 0, 0 FROM n CROSS JOIN m`, images, n)
	}
}

// parts is a store that notes how many rows each transaction removes.
type parts struct {
	store.Store
	jobs, images []int
	after        func(n int) error // n transactions
}

func (p *parts) Prune(ctx context.Context, ids []string, before time.Time) (store.Pruned, error) {
	pruned, err := p.Store.Prune(ctx, ids, before)
	p.jobs = append(p.jobs, pruned.Rows)
	return pruned, errors.Join(err, p.after(len(p.jobs)+len(p.images)))
}

func (p *parts) DeleteBeforeImages(ctx context.Context, ids []string, most int) (store.Pruned, error) {
	forgotten, err := p.Store.DeleteBeforeImages(ctx, ids, most)
	p.images = append(p.images, forgotten.Rows)
	return forgotten, errors.Join(err, p.after(len(p.jobs)+len(p.images)))
}

// testPruneMany: jobs and before-images are removed in parts. Pauses between the parts are at least as long as the parts, and
// another process writes in them. If the removal stops, all remaining jobs are complete, and the next removal continues.
func testPruneMany(t *testing.T, d Database) {
	g := d.scene(t)
	const jobs, images = 5_500, 3
	like := g.in(job.Done)
	d.Copies(t, like.ID, jobs, images)
	g.clock.move(time.Hour)
	s, stop := g.openAt(t, false, time.Now), errors.New("stopped") // a pause is as long as the lock before it
	for stopAt := 1; ; stopAt += 3 {
		p := &parts{Store: s, after: func(n int) error {
			if n == stopAt {
				return stop
			}
			return nil
		}}
		engine := Engine(p)
		writes := 0
		engine.Sleep = func(_ context.Context, pause time.Duration) error {
			if pause > 0 {
				writes++
				d.Exec(t, "UPDATE decayctl_store SET last_stamp = last_stamp")
				d.Exec(t, "UPDATE jobs SET estimated_s = estimated_s WHERE job_type = 'lint'")
			}
			return nil
		}
		n, err := engine.Prune(g.ctx, g.clock.now(), sweep.Work{Pace: 0.5})
		left := d.Rows(t, "SELECT count(*) FROM decayctl_jobs")
		if want := d.Rows(t, "SELECT count(*) FROM jobs"); !slices.Equal(left, want) {
			t.Errorf("stopped after %d transactions: %s jobs, and %s that the node sees", stopAt, left, want)
		}
		// An undo of each remaining job finds all its before-images.
		d.expect(t, `SELECT count(*) FROM decayctl_jobs j WHERE job_id LIKE 'copy%' AND (SELECT count(*) FROM decayctl_before b WHERE b.job_id = j.job_id) <> 3`, "0")
		if most := slices.Max(append(p.jobs, append(p.images, 0)...)); most > 3_000 || writes < len(p.jobs)+len(p.images)-2 {
			t.Errorf("%d rows in one transaction; others wrote %d times", most, writes)
		}
		if !errors.Is(err, stop) {
			if err != nil || stopAt < 4 {
				t.Errorf("pruned %d after %d stops: %v", n, stopAt/3, err)
			}
			break
		}
	}
	g.count(0, "decayctl_jobs")
	g.count(0, "decayctl_before")
}

// testListMany: only a few jobs are read before they are handed over, and nothing is locked meanwhile.
func testListMany(t *testing.T, d Database) {
	g := d.scene(t)
	like := g.in(job.Done)
	d.Copies(t, like.ID, 5*store.JobsAtOnce, 0)
	seen := 0
	err := g.s.List(g.ctx, store.ListParams{}, func(j job.Job) error {
		if seen++; seen == 1 {
			for _, table := range []string{"decayctl_jobs", "jobs"} {
				d.Exec(t, "DELETE FROM "+table)
			}
		}
		return nil
	})
	if err != nil || seen != store.JobsAtOnce {
		t.Errorf("listed %d, %v", seen, err)
	}
	full := errors.New("full")
	d.Copies(t, g.in(job.Done).ID, 10, 0)
	if err := g.s.List(g.ctx, store.ListParams{}, func(job.Job) error { return full }); !errors.Is(err, full) {
		t.Errorf("where the reader fails: %v", err)
	}
}

// testSupersededByMany: the one job that supersedes another is found among many, and so is that there is none. A sweep by one
// policy supersedes only sweeps by the same policy.
func testSupersededByMany(t *testing.T, d Database) {
	g := d.scene(t)
	g.clock.move(-30 * 365 * 24 * time.Hour) // before the copies
	older := g.in(job.Paused, func(p *store.StartParams) { p.Scope, p.AsOf = "team", g.clock.now() })
	g.clock.move(time.Second)
	elsewhere := g.in(job.Done, func(p *store.StartParams) { p.Scope, p.AsOf = "local", g.clock.now() })
	d.Copies(t, elsewhere.ID, 3*store.JobsAtOnce, 0)
	lease := g.join(older.ID, false).Lease
	if _, err := g.s.Leave(g.ctx, lease, job.Paused, ""); err != nil {
		t.Fatal(err)
	}
	g.clock.move(40 * 365 * 24 * time.Hour)
	newer := g.in(job.Done, func(p *store.StartParams) { p.Scope, p.AsOf = "team", g.clock.now() })
	_, err := g.s.Join(g.ctx, store.JoinParams{ID: older.ID, Worker: g.worker()})
	if e := is[*job.Superseded](t, "resumed", err); e.By.ID != newer.ID {
		t.Errorf("superseded by %+v", e.By)
	}
}

// EachJobPath calls each method that looks for jobs on a store with many. It calls seen after each.
func (d Database) EachJobPath(t testing.TB, jobs int, seen func(part string, begin ...string)) {
	t.Helper()
	g := d.scene(t)
	begun := func(scope string) job.Job {
		t.Helper()
		h := g.start(func(p *store.StartParams) { p.Scope = scope })
		j, err := g.s.Leave(g.ctx, h.Lease, job.Paused, "")
		if err != nil {
			t.Fatal(err)
		}
		return j
	}
	like := begun("team")
	d.Exec(t, "UPDATE decayctl_jobs SET state = 'done', completed_at = created_at WHERE job_id = $1", like.ID)
	d.Copies(t, like.ID, jobs, 1)
	seen("the first job")
	j := begun("local")
	seen("a start", "INSERT INTO decayctl_jobs")
	g.join(j.ID, false)
	g.move(j.ID, job.Cancelled)
	seen("a resume", "UPDATE decayctl_jobs")
	g.list(job.Running, job.Paused)
	seen("a list of some states")
	if found := g.pastOf(g.s, like, g.clock.now(), job.PastJobs); len(found) != job.PastJobs {
		t.Errorf("compared with %q", found)
	}
	seen("a comparison", "coalesce(tenant, '') = $5")
	if n, err := g.prune(g.clock.now().Add(time.Hour)); n != int64(jobs)+2 || err != nil {
		t.Errorf("pruned %d, %v", n, err)
	}
	seen("a removal", "DELETE FROM decayctl_jobs", "DELETE FROM jobs", "DELETE FROM decayctl_before")
}
