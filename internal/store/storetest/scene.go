package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"

	"decayctl/internal/fact"
	"decayctl/internal/job"
	"decayctl/internal/rule"
	"decayctl/internal/store"
)

// clock is the stores' clock, which stands still until a test moves it. On PostgreSQL leases follow the database's clock, so
// tests end a lease by changing its row.
type clock struct{ micros atomic.Int64 }

func (c *clock) now() time.Time { return time.UnixMicro(c.micros.Load()).UTC() }

func (c *clock) move(by time.Duration) { c.micros.Add(by.Microseconds()) }

// scene is a store under test, with its database and its clock.
type scene struct {
	Database
	t     testing.TB
	ctx   context.Context
	s     store.Store
	clock *clock
	pids  atomic.Int64 // given so far
}

// scene opens the store under test, with decayctl's own tables, when the clock shows stamp.
func (d Database) scene(t testing.TB) *scene {
	t.Helper()
	g := &scene{Database: d, t: t, ctx: context.Background(), clock: &clock{}}
	g.clock.micros.Store(stamp.Add(250 * time.Millisecond).UnixMicro())
	g.s = d.openAt(t, false, g.clock.now)
	return g
}

// other opens the store once more, as another process would.
func (g *scene) other() store.Store { return g.openAt(g.t, false, g.clock.now) }

// worker is a new process.
func (g *scene) worker() store.WorkerParams {
	owner := job.Owner{Host: "mars", PIDNamespace: "pid:[4026531836]", PID: int(g.pids.Add(1)), Start: "boot 7"}
	return store.WorkerParams{Owner: owner, Lease: time.Hour, Gone: nobodyIsGone}
}

func nobodyIsGone(job.Owner) bool { return false }

func everybodyIsGone(job.Owner) bool { return true }

func (g *scene) params(change ...func(*store.StartParams)) store.StartParams {
	p := store.StartParams{ID: uuid.NewString(), Rules: rule.Set{Floor: ptr(rule.Floor(0.5))}, AsOf: AsOf, Total: 100_000, Worker: g.worker()}
	for _, each := range change {
		each(&p)
	}
	return p
}

// start starts a job, which must succeed.
func (g *scene) start(change ...func(*store.StartParams)) *share {
	g.t.Helper()
	joined, err := g.s.Start(g.ctx, g.params(change...))
	if err != nil {
		g.t.Fatalf("start: %v", err)
	}
	return &share{g, joined}
}

// join joins a job, which must succeed.
func (g *scene) join(id string, undo bool) *share {
	g.t.Helper()
	joined, err := g.s.Join(g.ctx, store.JoinParams{ID: id, Undo: undo, Worker: g.worker()})
	if err != nil {
		g.t.Fatalf("join: %v", err)
	}
	return &share{g, joined}
}

// end ends the leases of a job's workers.
func (g *scene) end(id string) {
	g.t.Helper()
	g.Exec(g.t, "UPDATE decayctl_workers SET lease_until = 1 WHERE job_id = $1", id)
}

func (g *scene) find(id string) job.Job {
	g.t.Helper()
	j, err := g.s.Find(g.ctx, id)
	if err != nil {
		g.t.Fatalf("find %s: %v", id, err)
	}
	return j
}

// move takes a job to another state, which must succeed.
func (g *scene) move(id string, to job.State) job.Job {
	g.t.Helper()
	j, err := g.s.Move(g.ctx, id, to, "by hand")
	if err != nil {
		g.t.Fatalf("move to %s: %v", to, err)
	}
	return j
}

// unchanged reads all tables that decayctl may write. The returned function fails the test if they have changed.
func (g *scene) unchanged() func(what string) {
	g.t.Helper()
	tables := slices.Concat(factTables, jobTables)
	before := g.rows(g.t, tables...)
	return func(what string) {
		g.t.Helper()
		if diff := cmp.Diff(before, g.rows(g.t, tables...)); diff != "" {
			g.t.Errorf("%s changed the store (-before +after):\n%s", what, diff)
		}
	}
}

// count checks the number of rows of a table.
func (g *scene) count(want int, query string, args ...any) {
	g.t.Helper()
	if got := g.Rows(g.t, "SELECT count(*) FROM "+query, args...); got[0] != fmt.Sprint(want) {
		g.t.Errorf("%s %v: %s rows, want %d", query, args, got[0], want)
	}
}

// is is err as an error of a type. It ends the test if err is of another type.
func is[E error](t testing.TB, what string, err error) E {
	t.Helper()
	var e E
	if !errors.As(err, &e) {
		t.Fatalf("%s: got %v, want a %T", what, err, e)
	}
	return e
}

// sameJob compares jobs without the fields that only Find fills in, and those that depend on the time.
var sameJob = cmp.Options{
	cmpopts.IgnoreFields(job.Job{}, "OpenClaims", "BeforeImages"), cmpopts.IgnoreFields(job.Worker{}, "Left"),
	cmpopts.EquateEmpty(),
}

// many inserts facts whose ids are numbers.
func (g *scene) many(n int) {
	g.t.Helper()
	facts := make([]fact.Candidate, n)
	for i := range facts {
		facts[i] = Fact(fmt.Sprintf("%04d", i))
	}
	g.Insert(g.t, facts...)
}
