package sweep_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"decayctl/internal/job"
	"decayctl/internal/store"
	"decayctl/internal/store/storetest"
)

// TestUncertainBatchIsCountedOnce: where the connection is lost in a COMMIT, the claim tells whether it happened.
func TestUncertainBatchIsCountedOnce(t *testing.T) {
	t.Parallel()
	for _, happened := range []bool{true, false} {
		s, d := newStore(t, 30)
		unsure := &uncertain{Store: s, at: []int{1, 3}, happened: happened}
		j, err := storetest.Sweep(context.Background(), storetest.Engine(unsure), weak(), tens)
		if err != nil || j.State != job.Done {
			t.Fatalf("%+v, %v", j, err)
		}
		if diff := cmp.Diff(undisturbed(t, 30), j.Counts, notCompared); diff != "" {
			t.Errorf("happened %t (-undisturbed +uncertain):\n%s", happened, diff)
		}
		if rows := d.Rows(t, "SELECT count(*), count(DISTINCT fact_id) FROM fact_retractions"); rows[0] != "30 | 30" {
			t.Errorf("happened %t: retractions %s", happened, rows[0])
		}
	}
}

// uncertain loses the connection in the COMMIT of some batches.
type uncertain struct {
	store.Store
	at       []int
	happened bool
	calls    int
}

func (u *uncertain) Apply(ctx context.Context, b store.Batch) (store.Applied, error) {
	u.calls++
	lost := &store.Error{Kind: store.Uncertain, Text: "the connection was lost"}
	if !slices.Contains(u.at, u.calls) {
		return u.Store.Apply(ctx, b)
	}
	if u.happened {
		if _, err := u.Store.Apply(ctx, b); err != nil {
			return store.Applied{}, err
		}
	}
	return store.Applied{}, lost
}

// TestUncertainClaimIsLookedUp: a claim that may have been made is looked up. A claim that no process knows of would keep
// the job from ever being finished.
func TestUncertainClaimIsLookedUp(t *testing.T) {
	t.Parallel()
	for _, happened := range []bool{true, false} {
		s, _ := newStore(t, 30)
		s.tuning = &store.Tuning{RangeSize: 7, BatchSize: 10, Target: time.Hour}
		unsure := &uncertainClaims{Store: s, happened: happened}
		j, err := storetest.Sweep(context.Background(), storetest.Engine(unsure), weak(), tens)
		if err != nil || j.State != job.Done || j.Counts.Examined != 30 || j.Counts.Decayed != 30 {
			t.Fatalf("happened %t: %+v, %v", happened, j, err)
		}
	}
}

// uncertainClaims loses the connection in the COMMIT of every other claim, and of every first Finish.
type uncertainClaims struct {
	store.Store
	happened         bool
	claims, finishes int
}

func (u *uncertainClaims) Claim(ctx context.Context, l store.Lease, size int) (c store.Claim, err error) {
	if u.claims++; u.claims%2 == 0 {
		return u.Store.Claim(ctx, l, size)
	}
	if u.happened {
		if c, err = u.Store.Claim(ctx, l, size); err != nil {
			return c, err
		}
	}
	return c, &store.Error{Kind: store.Uncertain, Text: "the connection was lost"}
}

func (u *uncertainClaims) Finish(ctx context.Context, l store.Lease, undone store.Cursor) (job.Job, bool, error) {
	if u.finishes++; u.finishes > 1 {
		return u.Store.Finish(ctx, l, undone)
	}
	if u.happened {
		if _, _, err := u.Store.Finish(ctx, l, undone); err != nil {
			return job.Job{}, false, err
		}
	}
	return job.Job{}, false, &store.Error{Kind: store.Uncertain, Text: "the connection was lost"}
}
