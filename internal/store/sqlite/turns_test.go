package sqlite

import (
	"context"
	"errors"
	"slices"
	"testing"

	"golang.org/x/sync/errgroup"
	"pgregory.net/rapid"
)

// TestTurns: what is begun first is handed over first, by one at a time, whoever is faster.
func TestTurns(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		total := rapid.IntRange(0, 40).Draw(rt, "turns")
		var order turns
		var handed []int // written without a lock: the turns are one
		begun := 0
		lanes, ctx := errgroup.WithContext(t.Context())
		for range rapid.IntRange(1, 4).Draw(rt, "lanes") {
			lanes.Go(func() error {
				for {
					var number int
					mine, err := order.next(func() (bool, error) {
						number = begun
						begun++
						return number < total, nil
					})
					if err != nil || mine == nil {
						return err
					}
					if err := mine.take(ctx, func() error { handed = append(handed, number); return nil }); err != nil {
						return err
					}
				}
			})
		}
		if err := lanes.Wait(); err != nil || len(handed) != total || !slices.IsSorted(handed) {
			rt.Fatalf("%v, %v", handed, err)
		}
	})
}

// TestTurnsEnd: after a failure nobody hands over any more, and nobody waits.
func TestTurnsEnd(t *testing.T) {
	t.Parallel()
	var order turns
	ctx, stop := context.WithCancel(t.Context())
	more := func() (bool, error) { return true, nil }
	first, _ := order.next(more)
	second, _ := order.next(more)
	broken := errors.New("broken")
	if err := first.take(ctx, func() error { return broken }); !errors.Is(err, broken) {
		t.Error(err)
	}
	stop()
	if err := second.take(ctx, func() error { t.Error("its turn came"); return nil }); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
