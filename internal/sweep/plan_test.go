package sweep_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"decayctl/internal/fact"
	"decayctl/internal/job"
	"decayctl/internal/plan"
	"decayctl/internal/rule"
	"decayctl/internal/store"
	"decayctl/internal/store/storetest"
	"decayctl/internal/sweep"
)

// planOf is a job that applies what a dry run finds now.
func planOf(t *testing.T, e *sweep.Engine, allow rule.Limit) store.StartParams {
	t.Helper()
	p := store.StartParams{Rules: rule.Set{TTL: ptr(rule.TTL(90 * 86400)), Floor: ptr(rule.Floor(0.5))}, AsOf: asOf}
	sum := plan.NewSum(p.Rules, p.AsOf)
	if _, err := e.Preview(context.Background(), sweep.Params{Rules: p.Rules, AsOf: p.AsOf}, sum); err != nil {
		t.Fatal(err)
	}
	p.Plan, p.Check = sum.Digest(), plan.Check{Sum: sum, Allow: allow}.String()
	return p
}

// oldFacts are facts that both rules of planOf select; their ids are numbers from one on.
func oldFacts(from, n int) (facts []fact.Candidate) {
	for i := range n {
		facts = append(facts, storetest.Fact(fmt.Sprintf("%03d", from+i), func(c *fact.Candidate) { c.Confidence = 0.3 }))
	}
	return facts
}

// meanwhile is what others do to a store of forty old facts while a plan is applied: a new fact is old, one is old only,
// and one would live.
func meanwhile(t *testing.T, d storetest.Database) {
	t.Helper()
	d.Insert(t, oldFacts(500, 1)...)
	for id, o := range map[string]string{"038": "NULL, 0.9", "039": "'2999-01-01T00:00:00Z', 0.9"} {
		d.Exec(t, "INSERT INTO fact_validity_overrides (fact_id, valid_until, confidence, updated_at) VALUES ('"+id+"', "+o+", '2026-01-01T00:00:00Z')")
	}
}

func smallRanges(s store.Store) *failing {
	tuning := s.Tuning()
	tuning.RangeSize = 10
	return &failing{Store: s, tuning: &tuning}
}

func expired(t *testing.T, d storetest.Database) []string {
	t.Helper()
	ids := d.Rows(t, "SELECT fact_id FROM fact_validity_overrides WHERE reason = 'decay_sweep'")
	slices.Sort(ids)
	return ids
}

// TestPlanWhileOthersWrite: what appears or changes between the check of a plan and the write was not reviewed, and is left
// alone: by the process that has checked, and by one that resumes the job.
func TestPlanWhileOthersWrite(t *testing.T) {
	t.Parallel()
	for _, resumed := range []bool{false, true} {
		t.Run(fmt.Sprint("resumed ", resumed), func(t *testing.T) {
			t.Parallel()
			onEach(t, func(t *testing.T, d storetest.Database) {
				d.Insert(t, oldFacts(0, 40)...)
				e := engineOf(t, d)
				s := smallRanges(e.Store)
				e.Store = s
				done := false
				change := func() {
					if !done {
						done = true
						meanwhile(t, d)
					}
				}
				if resumed {
					e.Halt = func() error {
						if len(s.sizes) > 1 {
							return &sweep.Stopped{Why: "time is up"}
						}
						return nil
					}
				} else {
					s.apply = func(store.Batch) error { change(); return nil }
				}
				j, err := storetest.Sweep(context.Background(), e, planOf(t, e, rule.Limit{}), sweep.Work{BatchSize: 4})
				if resumed {
					if stopped := (*sweep.Stopped)(nil); !errors.As(err, &stopped) || j.State != job.Paused {
						t.Fatalf("%+v, %v", j, err)
					}
					change()
					j, err = resume(t, s, j.ID)
				}
				if err != nil || j.State != job.Done {
					t.Fatalf("%+v, %v", j, err)
				}
				var want []string
				for i := range 38 {
					want = append(want, fmt.Sprintf("%03d", i))
				}
				if got := expired(t, d); !slices.Equal(got, want) {
					t.Errorf("expired %v", got)
				}
				// The fact that would live is not selected any more, unless it was read before it changed.
				if n := j.Counts.Kept[rule.ChangedMeanwhile]; j.Counts.Decayed != 38 || n < 2 || n > 3 {
					t.Errorf("%+v", j.Counts)
				}
			})
		})
	}
}

// TestPlanIsCheckedOnce: of a stale plan nothing is written, and its job says why. A check that was interrupted is made
// again; one that has passed is not.
func TestPlanIsCheckedOnce(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d storetest.Database) {
		d.Insert(t, oldFacts(0, 40)...)
		e := engineOf(t, d)
		stale := planOf(t, e, rule.Limit{Facts: 1})
		d.Insert(t, oldFacts(40, 2)...)
		refused := func(j job.Job, err error) {
			t.Helper()
			var why *plan.Stale
			if !errors.As(err, &why) || j.State != job.Cancelled || !strings.Contains(j.StopReason, "2 more facts would expire") {
				t.Errorf("%+v, %v", j, err)
			}
			if ids := expired(t, d); len(ids) > 0 {
				t.Errorf("expired %v", ids)
			}
		}
		refused(storetest.Sweep(context.Background(), e, stale, sweep.Work{}))

		interrupted, cancel := context.WithCancel(context.Background())
		e.Progress = func(p sweep.Progress) {
			if p.Phase == sweep.Counting {
				cancel()
			}
		}
		j, err := storetest.Sweep(interrupted, e, stale, sweep.Work{})
		if err == nil || j.State != job.Paused {
			t.Fatalf("%+v, %v", j, err)
		}
		refused(resume(t, e.Store, j.ID))
	})
}

// TestPlanCheckedByTwo: of two processes that check a plan at once, the second one finds the first at work, and joins it.
func TestPlanCheckedByTwo(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d storetest.Database) {
		d.Insert(t, oldFacts(0, 40)...)
		first, second := engineOf(t, d), engineOf(t, d)
		if first.Store.Tuning().SingleWorkerReason != "" {
			return
		}
		if err := first.Store.Prepare(context.Background()); err != nil {
			t.Fatal(err)
		}
		p := planOf(t, first, rule.Limit{})
		p.ID, p.Worker, p.Later = "c0ffee00-0000-4000-8000-000000000001", storetest.Worker("a test", 1), true
		if _, err := first.Store.Start(context.Background(), p); err != nil {
			t.Fatal(err)
		}
		join := func(e *sweep.Engine, host string) store.Joined {
			t.Helper()
			joined, err := e.Store.Join(context.Background(), store.JoinParams{ID: p.ID, Worker: storetest.Worker(host, 1)})
			if err != nil {
				t.Fatal(err)
			}
			return joined
		}
		one, two := join(first, "one"), join(second, "two")
		done := false
		second.Progress = func(progress sweep.Progress) { // the other one is through when this one has read all
			if progress.Phase != sweep.Counting || done {
				return
			}
			done = true
			s := smallRanges(first.Store)
			first.Store = s
			first.Halt = func() error { return &sweep.Stopped{Why: "time is up"} }
			if _, err := first.Sweep(context.Background(), one, sweep.Work{Workers: 1, BatchSize: 4, Pace: 1}); err == nil {
				t.Error("it was not stopped")
			}
			d.Insert(t, oldFacts(100, 3)...)
		}
		j, err := second.Sweep(context.Background(), two, sweep.Work{Workers: 1, BatchSize: 4, Pace: 1})
		if err != nil || j.State != job.Done || j.Counts.Decayed != 40 || !done {
			t.Errorf("%+v, %v", j, err)
		}
	})
}

// TestPlanWithoutItsFacts: a job whose list of facts is lost changes nothing.
func TestPlanWithoutItsFacts(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d storetest.Database) {
		d.Insert(t, oldFacts(0, 10)...)
		e := engineOf(t, d)
		p := planOf(t, e, rule.Limit{})
		e.Halt = func() error { return &sweep.Stopped{Why: "time is up"} }
		j, err := storetest.Sweep(context.Background(), e, p, sweep.Work{BatchSize: 4})
		if err == nil {
			t.Fatalf("%+v", j)
		}
		d.Exec(t, "DELETE FROM decayctl_plans")
		before := expired(t, d)
		if _, err := resume(t, e.Store, j.ID); !store.Is(err, store.Unusable) || !slices.Equal(expired(t, d), before) {
			t.Errorf("%v: expired %v", err, expired(t, d))
		}
	})
}

// TestPlanDriftIsApplied: facts within the allowed drift are changed as the check has found them.
func TestPlanDriftIsApplied(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d storetest.Database) {
		d.Insert(t, oldFacts(0, 40)...)
		e := engineOf(t, d)
		var notes []string
		e.Note = func(why string) { notes = append(notes, why) }
		p := planOf(t, e, rule.Limit{Percent: 7.5})
		meanwhile(t, d)
		j, err := storetest.Sweep(context.Background(), e, p, sweep.Work{BatchSize: 4})
		if err != nil || j.Counts.Decayed != 40 || len(notes) != 1 || !strings.Contains(notes[0], "1 more fact would expire, 1 fewer, 1 otherwise") {
			t.Errorf("%+v, %v, %q", j.Counts, err, notes)
		}
	})
}
