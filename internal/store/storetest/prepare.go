package storetest

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"decayctl/internal/job"
	"decayctl/internal/store"
)

// ownTables are decayctl's own tables, in an order in which they can be dropped.
var ownTables = []string{"decayctl_plans", "decayctl_before", "decayctl_claims", "decayctl_workers", "decayctl_jobs", "decayctl_store", "decayctl_migrations"}

// forgetTables drops decayctl's own tables.
func (d Database) forgetTables(t testing.TB) {
	t.Helper()
	for _, table := range ownTables {
		d.Exec(t, "DROP TABLE IF EXISTS "+table)
	}
}

// remakeTables creates the tables as the role of the stores, which then owns them: the next test of the same database may
// need to change them.
func (d Database) remakeTables(t testing.TB) {
	t.Helper()
	d.forgetTables(t)
	if err := d.openBare(t, false).Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func (d Database) openBare(t testing.TB, readOnly bool) store.Store {
	t.Helper()
	s, err := d.Open(store.OpenParams{ReadOnly: readOnly, LockTimeout: time.Minute, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func testPrepare(t *testing.T, d Database) {
	d.forgetTables(t)
	ctx := t.Context()
	first := d.openBare(t, false)
	if err := first.CheckOwn(ctx); err != nil {
		t.Fatal(err)
	}
	if found, err := first.Diagnose(ctx); err != nil || found.OwnVersion != 0 {
		t.Fatalf("version %d, %v", found.OwnVersion, err)
	}
	for range 2 {
		if err := first.Prepare(ctx); err != nil {
			t.Fatal(err)
		}
		d.expect(t, "SELECT version_id FROM decayctl_migrations ORDER BY version_id", "0", "1", "2", "3", "4", "5")
		d.expect(t, "SELECT id, last_stamp, pruned_before FROM decayctl_store", "1 | - | -")
	}
	g := d.scene(t)
	g.many(3)
	g.start().sweep(2)

	// Tables of a newer decayctl are not written.
	d.Exec(t, "INSERT INTO decayctl_migrations (version_id, is_applied) SELECT 6, is_applied FROM decayctl_migrations WHERE version_id = 1")
	err := d.openBare(t, false).Prepare(ctx)
	d.Exec(t, "DELETE FROM decayctl_migrations WHERE version_id = 6")
	if !store.Is(err, store.Unusable) || !strings.Contains(err.Error(), "newer") {
		t.Errorf("tables of a newer decayctl: %v", err)
	}

	// An older decayctl created the table of migrations first, and was killed then.
	for _, make := range []func(store.Store) error{
		func(s store.Store) error { return s.Prepare(ctx) },
		func(s store.Store) error {
			ddl, err := s.DDL(ctx)
			d.Exec(t, ddl)
			return err
		},
	} {
		for _, table := range store.OwnTables() {
			if table != store.OwnVersions {
				d.Exec(t, "DROP TABLE "+table)
			}
		}
		d.Exec(t, "DELETE FROM decayctl_migrations WHERE version_id > 0")
		if err := make(d.openBare(t, false)); err != nil {
			t.Errorf("after a history alone: %v", err)
		}
		d.expect(t, "SELECT version_id FROM decayctl_migrations ORDER BY version_id", "0", "1", "2", "3", "4", "5")
		if err := d.openBare(t, false).Prepare(ctx); err != nil {
			t.Error(err)
		}
	}
	d.remakeTables(t)
}

// testPrepareAtOnce: several cron jobs may begin at once on a store without decayctl's own tables.
func testPrepareAtOnce(t *testing.T, d Database) {
	d.forgetTables(t)
	var stores [4]store.Store
	for i := range stores {
		stores[i] = d.openBare(t, false)
	}
	var all sync.WaitGroup
	for i, s := range stores {
		all.Go(func() {
			if err := s.Prepare(t.Context()); err != nil {
				t.Errorf("opening %d: %v", i, err)
			}
		})
	}
	all.Wait()
	d.expect(t, "SELECT version_id FROM decayctl_migrations ORDER BY version_id", "0", "1", "2", "3", "4", "5")
	d.expect(t, "SELECT count(*) FROM decayctl_store", "1")
}

// testDDL: after an administrator has run the statements, Prepare finds nothing to do, and jobs work.
func testDDL(t *testing.T, d Database) {
	columns := func() (all []string) {
		t.Helper()
		for _, table := range ownTables {
			all = append(all, table+" "+strings.Join(d.columns(t, table), " "))
		}
		return all
	}
	if err := d.openBare(t, false).Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	made := columns()
	for _, readOnly := range []bool{true, false} {
		d.forgetTables(t)
		ddl, err := d.openBare(t, readOnly).DDL(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		d.Exec(t, ddl)
		if got := columns(); !slices.Equal(got, made) {
			t.Errorf("by hand:\n%s\nby Prepare:\n%s", strings.Join(got, "\n"), strings.Join(made, "\n"))
		}
		const versions = "SELECT * FROM decayctl_migrations ORDER BY version_id"
		before := d.Rows(t, versions)
		if err := d.openBare(t, false).Prepare(t.Context()); err != nil {
			t.Fatal(err)
		}
		d.expect(t, versions, before...)
		d.expect(t, "SELECT version_id FROM decayctl_migrations ORDER BY version_id", "0", "1", "2", "3", "4", "5")
	}
	g := d.scene(t)
	g.many(5)
	j := g.start().sweep(2)
	g.join(j.ID, true).takeBack(2)
	g.count(0, "fact_validity_overrides")
	d.remakeTables(t)
}

// testUnprepared: without decayctl's own tables, the jobs of the node can be read.
func testUnprepared(t *testing.T, d Database) {
	d.forgetTables(t)
	d.nodeJob(t, "11111111-node", "decay", "done", "2026-11-01T00:00:00.000000+00:00", nil)
	s := d.openBare(t, true)
	if j, err := s.Find(t.Context(), "1111"); err != nil || !j.Node || j.State != job.Done {
		t.Errorf("found %+v, %v", j, err)
	}
	if all, err := listed(t.Context(), s, store.ListParams{}); err != nil || len(all) != 1 || all[0].ID != "11111111-node" {
		t.Errorf("listed %+v, %v", all, err)
	}
	if past, err := s.Past(t.Context(), store.PastParams{Before: AsOf, Limit: 10}); err != nil || past != nil {
		t.Errorf("compared with %+v, %v", past, err)
	}
	_, err := s.Find(t.Context(), "2")
	_ = is[*job.Unknown](t, "a job that is not there", err)
	if err := s.Prepare(t.Context()); !errors.Is(err, store.ErrReadOnly) {
		t.Errorf("prepared read-only: %v", err)
	}
	d.expect(t, "SELECT id FROM jobs", "11111111-node")
	if err := d.openBare(t, false).Prepare(t.Context()); err != nil { // as the next test needs it
		t.Fatal(err)
	}
}

// testJobsReadOnly: a store that is opened read-only, as for a dry run or a list of jobs, refuses all changes of jobs.
func testJobsReadOnly(t *testing.T, d Database) {
	g := d.scene(t)
	g.many(4)
	h := g.start()
	b := h.whole(h.claim(2))
	held := g.unchanged()
	s := g.openAt(t, true, g.clock.now)
	for what, call := range map[string]func() error{
		"Start":              func() error { _, err := s.Start(g.ctx, g.params()); return err },
		"Join":               func() error { _, err := s.Join(g.ctx, store.JoinParams{ID: h.Job.ID, Worker: g.worker()}); return err },
		"Renew":              func() error { return s.Renew(g.ctx, h.Lease) },
		"ClearMaxExpire":     func() error { return s.ClearMaxExpire(g.ctx, h.Lease) },
		"AddReviewed":        func() error { return s.AddReviewed(g.ctx, h.Lease, 0, "") },
		"ClearPlanCheck":     func() error { return s.ClearPlanCheck(g.ctx, h.Lease) },
		"Claim":              func() error { _, err := s.Claim(g.ctx, h.Lease, 2); return err },
		"Apply":              func() error { _, err := s.Apply(g.ctx, b); return err },
		"Restore":            func() error { _, err := s.Restore(g.ctx, store.RestoreParams{Lease: h.Lease, Job: h.Job}); return err },
		"Finish":             func() error { _, _, err := s.Finish(g.ctx, h.Lease, store.Cursor{}); return err },
		"ReleaseClaims":      func() error { return s.ReleaseClaims(g.ctx, h.Lease) },
		"Leave":              func() error { _, err := s.Leave(g.ctx, h.Lease, job.Paused, ""); return err },
		"Move":               func() error { _, err := s.Move(g.ctx, h.Job.ID, job.Paused, ""); return err },
		"Prunable":           func() error { return s.Prunable(g.ctx, g.clock.now(), func([]string) error { return nil }) },
		"Prune":              func() error { _, err := s.Prune(g.ctx, []string{h.Job.ID}, g.clock.now()); return err },
		"DeleteBeforeImages": func() error { _, err := s.DeleteBeforeImages(g.ctx, []string{h.Job.ID}, 10); return err },
	} {
		if err := call(); !errors.Is(err, store.ErrReadOnly) {
			t.Errorf("%s on a store opened read-only: %v", what, err)
		}
	}
	held("a store opened read-only")
	if j, err := s.Find(g.ctx, h.Job.ID); err != nil || j.OpenClaims != 1 {
		t.Errorf("found %+v, %v", j, err)
	}
}

// columns are the names of a table's columns.
func (d Database) columns(t testing.TB, table string) []string {
	t.Helper()
	rows, err := d.SQL.QueryContext(t.Context(), "SELECT * FROM "+table+" WHERE false")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	names, err := rows.Columns()
	if err := errors.Join(err, rows.Err()); err != nil {
		t.Fatal(err)
	}
	return names
}
