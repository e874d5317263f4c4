package sweep_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"decayctl/internal/fact"
	"decayctl/internal/job"
	"decayctl/internal/rule"
	"decayctl/internal/store"
	"decayctl/internal/store/storetest"
	"decayctl/internal/sweep"
)

// prescanned is a store that is large enough for a pass of its own, and tells what was claimed.
type prescanned struct {
	claimed
	offer  func() error // after a pass has come to its end; an error is given in its place
	passes int
}

func (s *prescanned) Estimate(context.Context) (int64, error) { return 100, nil }

func (s *prescanned) ScanAll(ctx context.Context, p store.CandidatesParams, use func([]fact.Candidate, int) error) (store.Range, bool, error) {
	s.passes++
	return s.Store.ScanAll(ctx, p, use)
}

func (s *prescanned) Tuning() store.Tuning {
	t := s.Store.Tuning()
	t.RangeSize = 20
	return t
}

func (s *prescanned) EnqueueClaims(ctx context.Context, l store.Lease, f store.ScanResult) (job.Counts, error) {
	if s.offer != nil {
		if err := s.offer(); err != nil {
			return job.Counts{}, err
		}
	}
	return s.Store.EnqueueClaims(ctx, l, f)
}

// listed tells whether facts were claimed one by one, and that no others were.
func (s *prescanned) listed(t *testing.T) bool {
	t.Helper()
	listed := false
	for i, r := range s.ranges {
		if i > 0 && listed != (r.IDs != nil) {
			t.Errorf("claimed %+v", s.ranges)
		}
		listed = r.IDs != nil
	}
	return listed
}

// newPrescanned is a store with 95 facts that live, two that are kept, and some that are weak.
func newPrescanned(t *testing.T, d storetest.Database, weak int) *prescanned {
	t.Helper()
	s := &prescanned{claimed: claimed{Store: engineOf(t, d).Store}}
	var facts []fact.Candidate
	for i := range 95 {
		facts = append(facts, storetest.Fact(fmt.Sprintf("live %d", i), func(c *fact.Candidate) { c.Confidence = 1 }))
	}
	for i := range weak {
		facts = append(facts, storetest.Fact(fmt.Sprintf("weak %d", i)))
	}
	d.Insert(t, append(facts,
		storetest.Fact("held", func(c *fact.Candidate) { c.LegalHold, c.Entity = true, "stigmem://acme/held" }),
		storetest.Fact("own", func(c *fact.Candidate) { c.Entity = "stigmem:own" }))...)
	return s
}

// TestPrescanClaimsOnlyStaleFacts: where little is stale, only that is claimed. What is counted is what a dry run counts.
func TestPrescanClaimsOnlyStaleFacts(t *testing.T) {
	t.Parallel()
	for stale, listed := range map[int]bool{3: true, 0: false, 30: false} {
		t.Run(fmt.Sprint(stale), func(t *testing.T) {
			t.Parallel()
			onEach(t, func(t *testing.T, d storetest.Database) {
				s := newPrescanned(t, d, stale)
				forecast, err := storetest.Engine(s).Preview(context.Background(), sweep.Params{Rules: weak().Rules, AsOf: asOf})
				if err != nil {
					t.Fatal(err)
				}
				j, err := storetest.Sweep(context.Background(), storetest.Engine(s), weak(), sweep.Work{BatchSize: 2, Pace: 1, Workers: 2})
				if err != nil || j.State != job.Done || s.listed(t) != listed || len(s.ranges) == 0 != (stale == 0) {
					t.Fatalf("%+v, %v, claimed %+v", j, err, s.ranges)
				}
				forecast.Decayed = forecast.Selected
				if diff := cmp.Diff(forecast.Counts, j.Counts, notCompared); diff != "" || j.Counts.Decayed != int64(stale) {
					t.Errorf("(-dry run +sweep):\n%s", diff)
				}
				if rows := d.Rows(t, "SELECT count(*) FROM fact_validity_overrides WHERE fact_id LIKE 'weak %'"); rows[0] != fmt.Sprint(stale) {
					t.Errorf("%s overrides", rows[0])
				}
			})
		})
	}
}

// TestPrescanStopsIfMuchIsStale: where the first facts are stale, as all may be, the others are not looked through.
func TestPrescanStopsIfMuchIsStale(t *testing.T) {
	t.Parallel()
	for first, passes := range map[string]int{"a": 0, "weak": 1} {
		d := openLite(t)
		s := newPrescanned(t, d, 0)
		d.Insert(t, storetest.Fact(first))
		j, err := storetest.Sweep(t.Context(), storetest.Engine(s), weak(), tens)
		if err != nil || j.Counts.Decayed != 1 || j.Counts.Examined != 98 || s.passes != passes || s.listed(t) != (passes == 1) {
			t.Errorf("%s: %d passes, %+v, %v, claimed %+v", first, s.passes, j.Counts, err, s.ranges)
		}
	}
}

// TestPrescannedFactsAreJudgedAgain: facts are judged once more when they are claimed, and those that came after the pass
// wait for the next sweep, unless they lie behind all others.
func TestPrescannedFactsAreJudgedAgain(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d storetest.Database) {
		s := newPrescanned(t, d, 3)
		s.offer = func() error {
			d.Exec(t, `INSERT INTO fact_validity_overrides (fact_id, confidence, reason, updated_at) VALUES ('weak 1', 0.9, 'surer', '2026-01-01T00:00:00+00:00')`)
			d.Insert(t, storetest.Fact("weak"), storetest.Fact("zz"))
			return nil
		}
		j, err := storetest.Sweep(context.Background(), storetest.Engine(s), weak(), tens)
		if err != nil || j.Counts.Examined != 101 || j.Counts.Decayed != 3 || j.Counts.Kept[rule.LegalHold] != 1 {
			t.Fatalf("%+v, %v", j.Counts, err)
		}
		expired := d.Rows(t, "SELECT fact_id FROM fact_validity_overrides WHERE reason = $1 ORDER BY fact_id", store.Reason)
		if diff := cmp.Diff([]string{"weak 0", "weak 2", "zz"}, expired); diff != "" {
			t.Error(diff)
		}
	})
}

// TestUncertainPrescanIsCountedOnce: an offer whose COMMIT is uncertain is made once, and counted once.
func TestUncertainPrescanIsCountedOnce(t *testing.T) {
	t.Parallel()
	for _, happened := range []bool{true, false} {
		d := openLite(t)
		s := newPrescanned(t, d, 3)
		u := &uncertainOffer{prescanned: s, happened: happened}
		j, err := storetest.Sweep(context.Background(), storetest.Engine(u), weak(), tens)
		if err != nil || j.Counts.Examined != 100 || j.Counts.Decayed != 3 || u.offers != 2 || !s.listed(t) {
			t.Errorf("happened %t: %d offers, %+v, %v", happened, u.offers, j.Counts, err)
		}
	}
}

type uncertainOffer struct {
	*prescanned
	happened bool
	offers   int
}

func (u *uncertainOffer) EnqueueClaims(ctx context.Context, l store.Lease, f store.ScanResult) (job.Counts, error) {
	if u.offers++; u.offers > 1 {
		return u.prescanned.EnqueueClaims(ctx, l, f)
	}
	if u.happened {
		if c, err := u.prescanned.EnqueueClaims(ctx, l, f); err != nil {
			return c, err
		}
	}
	return job.Counts{}, &store.Error{Kind: store.Uncertain, Text: "the connection was lost"}
}

// TestStoppedPrescanIsNotRepeated: a sweep that is stopped during its pass has done nothing. Resumed, it claims ranges: it
// might be stopped during its pass every time.
func TestStoppedPrescanIsNotRepeated(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d storetest.Database) {
		s := newPrescanned(t, d, 3)
		engine := storetest.Engine(s)
		engine.Halt = func() error { return &sweep.Stopped{Why: "the time is up"} }
		j, err := storetest.Sweep(context.Background(), engine, weak(), tens)
		var stopped *sweep.Stopped
		if !errors.As(err, &stopped) || j.State != job.Paused || j.Counts.Examined != 0 || len(s.ranges) > 0 {
			t.Fatalf("%+v, %v, %+v", j, err, s.ranges)
		}
		if j, err = resume(t, s, j.ID); err != nil || j.Counts.Decayed != 3 || s.listed(t) {
			t.Errorf("%+v, %v, %+v", j, err, s.ranges)
		}
	})
}

// TestPrescanGivesUpOnInvalidID: an id that is not UTF-8 cannot stand in a list, and its fact is swept all the same.
func TestPrescanGivesUpOnInvalidID(t *testing.T) {
	t.Parallel()
	d := openLite(t)
	s := newPrescanned(t, d, 2)
	d.Insert(t, storetest.Fact("weak \xff"))
	j, err := storetest.Sweep(context.Background(), storetest.Engine(s), weak(), tens)
	if err != nil || j.Counts.Decayed != 3 || s.listed(t) {
		t.Errorf("%+v, %v, claimed %+v", j.Counts, err, s.ranges)
	}
}
