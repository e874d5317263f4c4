package storetest

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/stdlib"

	"decayctl/internal/job"
	"decayctl/internal/store"
)

// writes are all methods by which a worker writes to a job.
func (h *share) writes(b store.Batch, changes store.Changes) map[string]func() error {
	return map[string]func() error{
		"Renew":          func() error { return h.s.Renew(h.ctx, h.Lease) },
		"ClearMaxExpire": func() error { return h.s.ClearMaxExpire(h.ctx, h.Lease) },
		"AddReviewed":    func() error { return h.s.AddReviewed(h.ctx, h.Lease, 0, "") },
		"ClearPlanCheck": func() error { return h.s.ClearPlanCheck(h.ctx, h.Lease) },
		"Claim":          func() error { _, err := h.s.Claim(h.ctx, h.Lease, 2); return err },
		"Apply":          func() error { _, err := h.s.Apply(h.ctx, b); return err },
		"Finish":         func() error { _, _, err := h.s.Finish(h.ctx, h.Lease, store.Cursor{}); return err },
		"Restore": func() error {
			_, err := h.s.Restore(h.ctx, store.RestoreParams{Lease: h.Lease, Job: h.Job, Changes: changes})
			return err
		},
	}
}

// testLost: a worker that has lost its lease writes nothing by any method. A lease is lost when it ends, even if no other
// process has asked for the job.
func testLost(t *testing.T, d Database) {
	g := d.scene(t)
	g.many(8)
	for _, test := range []struct {
		what  string
		state job.State
		take  func(h *share)
	}{
		{"its lease has ended", job.Running, func(h *share) { h.end(h.Job.ID) }},
		{"its claim was taken over", job.Running, func(h *share) {
			h.end(h.Job.ID)
			h.join(h.Job.ID, false).claim(1)
		}},
		{"its claim was taken over, and taken on", job.Running, func(h *share) {
			h.end(h.Job.ID)
			next := h.join(h.Job.ID, false)
			c := next.claim(1)
			next.apply(next.batch(c, next.read(c)[:1]))
		}},
		{"the job is paused", job.Paused, func(h *share) { h.move(h.Job.ID, job.Paused) }},
		{"the job was paused and goes on elsewhere", job.Running, func(h *share) {
			h.move(h.Job.ID, job.Paused)
			h.join(h.Job.ID, false)
		}},
		{"the job is cancelled", job.Cancelled, func(h *share) { h.move(h.Job.ID, job.Cancelled) }},
		{"the job is being undone", job.Undoing, func(h *share) {
			h.move(h.Job.ID, job.Paused)
			h.join(h.Job.ID, true)
		}},
		{"the job was paused by a sweep that took it for dead", job.Paused, func(h *share) {
			_, err := h.s.Start(h.ctx, h.params(func(p *store.StartParams) { p.Worker.Gone = everybodyIsGone }))
			if err != nil {
				h.t.Fatal(err)
			}
		}},
		{"it has left", job.Paused, func(h *share) {
			if _, err := h.s.Leave(h.ctx, h.Lease, job.Paused, ""); err != nil {
				h.t.Fatal(err)
			}
		}},
	} {
		h := g.start()
		h.apply(h.whole(h.claim(2))) // so that there is something to undo
		done, err := g.s.Changes(g.ctx, store.ChangesParams{Job: h.Job, Size: 10})
		if err != nil || len(done.List) != 2 {
			t.Fatalf("%s: %+v, %v", test.what, done, err)
		}
		b := h.whole(h.claim(4))
		test.take(h)
		g.clock.move(time.Minute)
		for name, write := range h.writes(b, done) {
			untouched := g.unchanged()
			h.lost(name+" although "+test.what, write(), test.state)
			untouched(name + " although " + test.what)
		}
		g.end(h.Job.ID)
		for _, j := range g.list(job.Running) {
			g.move(j.ID, job.Cancelled)
		}
		for _, table := range []string{"fact_validity_overrides", "fact_retractions"} {
			g.Exec(t, "DELETE FROM "+table)
		}
	}
}

func (g *scene) list(states ...job.State) []job.Job {
	g.t.Helper()
	all, err := listed(g.ctx, g.s, store.ListParams{States: states})
	if err != nil {
		g.t.Fatal(err)
	}
	return all
}

// listed reads a list of jobs.
func listed(ctx context.Context, s store.Store, p store.ListParams) (all []job.Job, err error) {
	err = s.List(ctx, p, func(j job.Job) error {
		all = append(all, j)
		return nil
	})
	return all, err
}

// testWrongState: a valid lease does not allow a sweep's batch in an undo, nor an undo's batch in a sweep.
func testWrongState(t *testing.T, d Database) {
	g := d.scene(t)
	g.many(4)
	h := g.start()
	h.apply(h.whole(h.claim(2)))
	done, err := g.s.Changes(g.ctx, store.ChangesParams{Job: h.Job, Size: 10})
	if err != nil || len(done.List) != 2 {
		t.Fatalf("%+v, %v", done, err)
	}
	c := h.claim(2)
	b := h.whole(c)
	untouched := g.unchanged()
	h.lost("Restore while sweeping", h.writes(b, done)["Restore"](), job.Running)
	untouched("Restore while sweeping")

	if _, err := g.s.Leave(g.ctx, h.Lease, job.Paused, ""); err != nil {
		t.Fatal(err)
	}
	h = g.join(h.Job.ID, true)
	g.count(0, "decayctl_claims") // an undo leaves no fact for the sweep to go on with
	g.Exec(t, `INSERT INTO decayctl_claims (job_id, claim, worker, high, remaining) VALUES ($1, 77, $2, '0009', 9)`, h.Job.ID, h.Lease.Worker)
	b.Lease, b.Claim = h.Lease, store.Claim{Number: 77, Range: store.Range{Last: store.After("0009"), Facts: 9}}
	untouched = g.unchanged()
	for _, name := range []string{"Apply", "Claim"} {
		h.lost(name+" while undoing", h.writes(b, done)[name](), job.Undoing)
	}
	untouched("a sweep's batch in an undo")
	if err := g.s.Renew(g.ctx, h.Lease); err != nil {
		t.Errorf("an undo's lease is not renewed: %v", err)
	}
}

// testRenewal: a renewal and a batch extend a lease to its full time. A lease that has ended cannot be extended.
func testRenewal(t *testing.T, d Database) {
	g := d.scene(t)
	g.many(6)
	h := g.start()
	left := func() time.Duration { return g.find(h.Job.ID).Workers[0].Left }
	for what, renew := range map[string]func() error{
		"Renew": func() error { return g.s.Renew(g.ctx, h.Lease) },
		"Apply": func() error { _, err := g.s.Apply(g.ctx, h.whole(h.claim(2))); return err },
	} {
		g.Exec(t, "UPDATE decayctl_workers SET lease_until = lease_until - 1800000")
		if l := left(); l <= 0 || l > 30*time.Minute {
			t.Fatalf("half an hour less leaves %s", l)
		}
		if err := renew(); err != nil || left() <= 30*time.Minute || left() > time.Hour {
			t.Errorf("%s leaves %s, %v", what, left(), err)
		}
	}
	g.end(h.Job.ID)
	h.lost("a renewal too late", g.s.Renew(g.ctx, h.Lease), job.Running)
	if j := g.find(h.Job.ID); !j.Dead() || j.Workers[0].Left > 0 {
		t.Errorf("it has come back to life: %+v", j)
	}
}

// testFailingBatch: a batch that the database refuses changes neither claim nor counts, at whatever statement it fails. The
// job is not created in the transaction of a batch, and so does not vanish with it.
func testFailingBatch(t *testing.T, d Database) {
	g := d.scene(t)
	g.many(8)
	g.Exec(t, `INSERT INTO fact_retractions (id, fact_id, retracted_at, retracted_by) VALUES ('taken', '0005', '2026', 'x')`)
	h := g.start()
	h.apply(h.whole(h.claim(2)))
	c := h.claim(4)
	b := h.whole(c)
	refuse := func(what string) {
		t.Helper()
		untouched := g.unchanged()
		if _, err := g.s.Apply(g.ctx, b); !store.Is(err, store.Rejected) {
			t.Errorf("%s: %v", what, err)
		}
		untouched(what)
	}
	good := b.Expiries[3].Retraction
	b.Expiries[3].Retraction = "taken"
	refuse("a row that is refused")
	b.Expiries[3].Retraction = good

	// A pinned row makes the batch fail late: when it deletes the claim, after all facts were written.
	unpin := g.pin(t, "decayctl_claims", "job_id, claim", h.Job.ID, c.Number)
	refuse("a claim that cannot be closed")
	unpin()

	h.apply(b)
	if j := g.find(h.Job.ID); j.Counts.Decayed != 6 || j.Counts.Batches != 2 || j.State != job.Running {
		t.Errorf("%+v", j)
	}
}

// pin keeps a row from being deleted until unpin is called. On SQLite it uses a trigger, since foreign keys may be switched
// off. On PostgreSQL it uses a foreign key, since a trigger would need a function.
func (d Database) pin(t testing.TB, table, columns string, key ...any) (unpin func()) {
	t.Helper()
	names, types, places := "a", "a text", "$1"
	if len(key) == 2 {
		names, types, places = "a, b", "a text, b bigint", "$1, $2"
	}
	d.Exec(t, "CREATE TABLE pins ("+types+", FOREIGN KEY ("+names+") REFERENCES "+table+" ("+columns+"))")
	d.Exec(t, "INSERT INTO pins VALUES ("+places+")", key...)
	_, postgres := d.SQL.Driver().(*stdlib.Driver)
	if postgres {
		// Also in batches that skip foreign keys.
		d.Exec(t, `DO $$ DECLARE name name; BEGIN
			FOR name IN SELECT tgname FROM pg_trigger WHERE tgrelid = '`+table+`'::regclass LOOP
				EXECUTE format('ALTER TABLE `+table+` ENABLE ALWAYS TRIGGER %I', name);
			END LOOP;
		END $$`)
	} else {
		old := "OLD." + strings.ReplaceAll(columns, ", ", ", OLD.")
		d.Exec(t, "CREATE TRIGGER pinned BEFORE DELETE ON "+table+" WHEN ("+old+") IN (SELECT "+names+" FROM pins) BEGIN SELECT RAISE(ABORT, 'pinned'); END")
	}
	unpin = func() {
		if !postgres {
			d.Exec(t, "DROP TRIGGER IF EXISTS pinned")
		}
		d.Exec(t, "DROP TABLE IF EXISTS pins")
	}
	t.Cleanup(unpin)
	return unpin
}

// testErrorAfterResume: an error right after a resume must not replace the job's progress by that of the new process, which
// is none.
func testErrorAfterResume(t *testing.T, d Database) {
	g := d.scene(t)
	g.many(9)
	g.Exec(t, `INSERT INTO fact_retractions (id, fact_id, retracted_at, retracted_by) VALUES ('taken', '0002', '2026', 'x')`)
	h := g.start()
	c := h.claim(4)
	h.apply(h.batch(c, h.read(c)[:2]))
	g.move(h.Job.ID, job.Paused)

	const places = `SELECT frontier, end_reached, counts, low, high, remaining FROM decayctl_jobs j JOIN decayctl_claims c ON c.job_id = j.job_id`
	before := d.Rows(t, places)
	h = g.join(h.Job.ID, false)
	b := h.whole(h.claim(100))
	b.Expiries[0].Retraction = "taken"
	if _, err := g.s.Apply(g.ctx, b); !store.Is(err, store.Rejected) {
		t.Fatalf("got %v", err)
	}
	if _, err := g.s.Leave(g.ctx, h.Lease, job.Failed, "rejected"); err != nil {
		t.Fatal(err)
	}
	d.expect(t, places, before...)
	j := g.join(h.Job.ID, false).sweep(3)
	if j.Counts.Decayed != 9 || j.Counts.Examined != 9 {
		t.Errorf("gone on with, it counts %+v", j.Counts)
	}
	g.count(9, "fact_validity_overrides")
	g.count(9+1, "fact_retractions")
}

// testIdleJob: a job is paused and cancelled at once, whether it has a live worker or not. A worker need not confirm, but
// finds out at its next batch.
func testIdleJob(t *testing.T, d Database) {
	g := d.scene(t)
	g.many(4)
	for _, end := range []bool{true, false} {
		h := g.start()
		h.claim(2)
		if end {
			g.end(h.Job.ID)
		}
		if j := g.move(h.Job.ID, job.Paused); j.State != job.Paused || len(j.Workers) > 0 || g.find(j.ID).OpenClaims != 1 {
			t.Errorf("paused: %+v", j)
		}
		g.count(0, "decayctl_workers WHERE job_id = $1", h.Job.ID)
		if j := g.move(h.Job.ID, job.Cancelled); j.State != job.Cancelled || g.find(j.ID).OpenClaims != 0 {
			t.Errorf("cancelled: %+v", j)
		}
		g.count(0, "decayctl_claims WHERE job_id = $1", h.Job.ID)
	}
	if j := g.move(g.in(job.Pending).ID, job.Cancelled); j.State != job.Cancelled {
		t.Errorf("cancelled before it began: %+v", j)
	}
}
