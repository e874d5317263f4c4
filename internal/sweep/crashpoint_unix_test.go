//go:build unix

package sweep_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"decayctl/internal/fact"
	"decayctl/internal/job"
	"decayctl/internal/plan"
	"decayctl/internal/rule"
	"decayctl/internal/store"
	"decayctl/internal/store/pgtest"
	"decayctl/internal/store/postgres"
	"decayctl/internal/store/sqlite"
	"decayctl/internal/store/storetest"
	"decayctl/internal/sweep"
)

// A process that works on a job and is killed at the n-th place of many is this test's own binary,
// started again with these variables.
const (
	crashStore = "DECAYCTL_TEST_CRASH_STORE" // a path, or a PostgreSQL address
	crashAt    = "DECAYCTL_TEST_CRASH_AT"
	crashWork  = "DECAYCTL_TEST_CRASH_WORK" // the name of a sweep, or the id of a job to undo
)

func TestMain(m *testing.M) {
	if target := os.Getenv(crashStore); target != "" {
		if err := crash(target); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	storetest.LimitChecks()
	goleak.VerifyTestMain(pgtest.M{M: m})
}

// places kills the process at the n-th of the places it comes by.
type places struct {
	store.Store
	left  atomic.Int64
	offer int64 // where above 0: how many places are left when the store has been looked through
}

func (p *places) here() {
	if p.left.Add(-1) == 0 {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // until it arrives
	}
}

// now is a place within transactions: the stores ask for the time after BEGIN, and again between the
// last write of a fact and COMMIT.
func (p *places) now() time.Time {
	p.here()
	return time.Now()
}

func (p *places) Claim(ctx context.Context, l store.Lease, size int) (store.Claim, error) {
	p.here()
	defer p.here()
	return p.Store.Claim(ctx, l, size)
}

func (p *places) EnqueueClaims(ctx context.Context, l store.Lease, f store.ScanResult) (job.Counts, error) {
	if p.offer > 0 {
		p.left.Store(p.offer)
	}
	p.here()
	defer p.here()
	return p.Store.EnqueueClaims(ctx, l, f)
}

func (p *places) AddReviewed(ctx context.Context, l store.Lease, part int, content string) error {
	p.here()
	defer p.here()
	return p.Store.AddReviewed(ctx, l, part, content)
}

func (p *places) ClearPlanCheck(ctx context.Context, l store.Lease) error {
	p.here()
	defer p.here()
	return p.Store.ClearPlanCheck(ctx, l)
}

func (p *places) Candidates(ctx context.Context, c store.CandidatesParams, use func([]fact.Candidate) error) error {
	defer p.here()
	return p.Store.Candidates(ctx, c, use)
}

func (p *places) Apply(ctx context.Context, b store.Batch) (store.Applied, error) {
	p.here()
	defer p.here()
	return p.Store.Apply(ctx, b)
}

func (p *places) Restore(ctx context.Context, r store.RestoreParams) (store.Restored, error) {
	p.here()
	defer p.here()
	return p.Store.Restore(ctx, r)
}

func (p *places) Finish(ctx context.Context, l store.Lease, undone store.Cursor) (job.Job, bool, error) {
	p.here()
	defer p.here()
	return p.Store.Finish(ctx, l, undone)
}

func (p *places) Prune(ctx context.Context, ids []string, before time.Time) (store.Pruned, error) {
	p.here()
	defer p.here()
	return p.Store.Prune(ctx, ids, before)
}

func (p *places) DeleteBeforeImages(ctx context.Context, ids []string, most int) (store.Pruned, error) {
	p.here()
	defer p.here()
	return p.Store.DeleteBeforeImages(ctx, ids, most)
}

func (p *places) Tuning() store.Tuning {
	t := p.Store.Tuning()
	t.RangeSize = 30 // several claims and several batches in each
	return t
}

// crash goes on with whatever there is to do, until it is killed.
func crash(target string) error {
	ctx := context.Background()
	at, err := strconv.Atoi(os.Getenv(crashAt))
	if err != nil {
		return err
	}
	p := &places{} // below 0, opening is not what is tested
	open := func() (store.Store, error) {
		params := store.OpenParams{LockTimeout: time.Minute, Now: p.now}
		if strings.HasPrefix(target, "postgres") {
			return postgres.Open(ctx, target, "public", params)
		}
		return sqlite.Open(ctx, target, params)
	}
	if p.Store, err = open(); err != nil {
		return err
	}
	if err := p.Prepare(ctx); err != nil {
		return err
	}
	if os.Getenv(crashWork) == "prune" {
		p.left.Store(int64(at))
		_, err := storetest.Engine(p).Prune(ctx, time.Now().Add(time.Hour), sweep.Work{BatchSize: 30, Pace: 1})
		return err
	}
	worker := storetest.Worker("a test", os.Getpid())
	worker.Gone = func(job.Owner) bool { return true } // whoever was here before was killed
	join := store.JoinParams{ID: os.Getenv(crashWork), Undo: true, Worker: worker}
	if start := crashJob(join.ID); start.ID != "" {
		join.ID, join.Undo = start.ID, false
		start.Worker = worker
		var unknown *job.Unknown
		if _, err := p.Find(ctx, start.ID); errors.As(err, &unknown) {
			if err := crashPlan(ctx, p, &start); err != nil {
				return err
			}
			if _, err := p.Start(ctx, start); err != nil {
				return err
			}
		}
	}
	if j, err := p.Find(ctx, join.ID); err != nil || j.State == job.Undone || j.State == job.Done && !join.Undo {
		return err // it was killed behind its last COMMIT
	}
	joined, err := p.Join(ctx, join)
	if err != nil {
		return err
	}
	if p.left.Store(int64(at)); joined.Lease.Worker == 1 && joined.Job.AsOf.After(asOf) {
		p.left.Store(0)
		p.offer = int64(at)
	}
	engine := storetest.Engine(p)
	if join.Undo {
		_, err = engine.Undo(ctx, joined, sweep.Work{BatchSize: 7, Pace: 1})
	} else {
		_, err = engine.Sweep(ctx, joined, sweep.Work{Workers: 1, BatchSize: 7, Pace: 1})
	}
	return err
}

// crashPlan has a sweep whose name says so apply what a dry run finds now.
func crashPlan(ctx context.Context, s store.Store, p *store.StartParams) error {
	if !strings.HasPrefix(os.Getenv(crashWork), "plan ") {
		return nil
	}
	sum := plan.NewSum(p.Rules, p.AsOf)
	_, err := storetest.Engine(s).Preview(ctx, sweep.Params{Rules: p.Rules, AsOf: p.AsOf}, sum)
	p.Plan, p.Check = sum.Digest(), plan.Check{Sum: sum}.String()
	return err
}

// crashJob is a sweep by its name: the first one, one that applies a plan, or one of some nights later, when little is stale. Its
// ID is "" where the name is none.
func crashJob(name string) (p store.StartParams) {
	p.Rules = crashRules
	number, planned := strings.CutPrefix(name, "plan ")
	switch night, found := strings.CutPrefix(name, "night "); {
	case name == "sweep":
		p.ID, p.AsOf = "c0ffeeff-0000-4000-8000-0123456789ab", asOf
	case planned:
		p.ID, p.AsOf = "c0ffee"+number+"-0000-4000-8000-0123456789ab", asOf
	case found:
		p.ID, p.AsOf = "c0ffee0"+night+"-0000-4000-8000-0123456789ab", asOf.AddDate(0, 0, 5)
	}
	return p
}

var crashRules = rule.Set{TTL: ptr(rule.TTL(90 * 86400)), Floor: ptr(rule.Floor(0.4))}
