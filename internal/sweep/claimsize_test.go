package sweep_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"decayctl/internal/fact"
	"decayctl/internal/store"
	"decayctl/internal/store/storetest"
	"decayctl/internal/sweep"
)

// claimed is a store that tells what was claimed.
type claimed struct {
	store.Store
	mu     sync.Mutex
	ranges []store.Range
}

func (c *claimed) Claim(ctx context.Context, l store.Lease, size int) (store.Claim, error) {
	claim, err := c.Store.Claim(ctx, l, size)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil && !claim.End() {
		c.ranges = append(c.ranges, claim.Range)
	}
	return claim, err
}

// growing is such a store that begins with small ranges.
type growing struct{ claimed }

func (g *growing) Tuning() store.Tuning {
	t := g.Store.Tuning()
	t.RangeSize, t.LargestRange, t.BatchSize = 10, 40, 10
	return t
}

// TestClaimsGrowWhileWrittenSoon: more facts are claimed at once as long as they are written soon, take little memory, and leave some
// for the other workers.
func TestClaimsGrowWhileWrittenSoon(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		work   sweep.Work
		facts  int
		entity string
		long   int // facts with that entity, of all the first
		most   int
		shrink bool
	}{
		"flat out":       {work: sweep.Work{Pace: 1}, facts: 200, most: 40},
		"slow":           {work: sweep.Work{Pace: 1, MaxRate: 1}, facts: 100, most: 10},
		"two workers":    {work: sweep.Work{Pace: 1, Workers: 2}, facts: 300, most: 40, shrink: true},
		"long texts":     {work: sweep.Work{Pace: 1}, facts: 30, entity: strings.Repeat("x", 600_000), long: 30, most: 10, shrink: true},
		"and then short": {work: sweep.Work{Pace: 1}, facts: 250, entity: strings.Repeat("x", 1_500_000), long: 10, most: 40},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, d := openNew(t, nil)
			var facts []fact.Candidate
			for i := range test.facts {
				facts = append(facts, storetest.Fact(fmt.Sprintf("%03d", i), func(c *fact.Candidate) {
					if i < test.long {
						c.Entity += test.entity
					}
				}))
			}
			d.Insert(t, facts...)
			g := &growing{claimed{Store: s}}
			engine := storetest.Engine(g)
			engine.Sleep = func(context.Context, time.Duration) error { return nil }
			with := weak()
			with.Total = int64(test.facts)
			j, err := storetest.Sweep(context.Background(), engine, with, test.work)
			if err != nil || j.Counts.Decayed != int64(test.facts) {
				t.Fatalf("%+v, %v", j, err)
			}
			var sizes []int
			for _, r := range g.ranges {
				sizes = append(sizes, r.Facts)
			}
			whole := sizes[:len(sizes)-1] // of the last one only what was left
			if most := slices.Max(sizes); most > test.most || test.most > 10 && most < test.most/2 {
				t.Errorf("claimed %v", sizes)
			}
			if shrunk := len(whole) > 0 && whole[len(whole)-1] < slices.Max(sizes); shrunk != test.shrink {
				t.Errorf("claimed %v", sizes)
			}
		})
	}
}
