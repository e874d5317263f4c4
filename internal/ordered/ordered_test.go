package ordered_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"decayctl/internal/ordered"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errBroken = errors.New("broken")

// course is some work, and where it fails: at the piece of that number, which is none where it is negative.
type course struct {
	pieces, results             int // of a piece
	failNext, failWork, failUse int
}

func drawCourse(t *rapid.T) course {
	c := course{pieces: rapid.IntRange(0, 20).Draw(t, "pieces"), results: rapid.IntRange(1, 3).Draw(t, "results")}
	for _, at := range []*int{&c.failNext, &c.failWork, &c.failUse} {
		*at = rapid.OneOf(rapid.Just(-1), rapid.IntRange(0, 20)).Draw(t, "fails at")
	}
	return c
}

// sequential is what one goroutine alone makes of it.
func (c course) sequential() (used []string, err error) {
	for piece := 0; ; piece++ {
		switch piece {
		case c.failNext:
			return used, fmt.Errorf("next %d: %w", piece, errBroken)
		case c.pieces:
			return used, nil
		}
		for result := range c.results {
			if piece == c.failWork && result == c.results-1 {
				return used, fmt.Errorf("work %d: %w", piece, errBroken)
			}
			if piece == c.failUse && result == c.results-1 {
				return used, fmt.Errorf("use %d: %w", piece, errBroken)
			}
			used = append(used, fmt.Sprint(piece, ".", result))
		}
	}
}

// run is what Run makes of it. Nothing here is locked: the race detector sees what Run does not keep apart.
func (c course) run(ctx context.Context, goroutines int) (used []string, asked int, err error) {
	err = ordered.Run(ctx, goroutines, func(ctx context.Context, t *ordered.Ticket) error {
		var piece int
		more, err := t.Begin(func() (bool, error) {
			piece = asked
			asked++
			if piece == c.failNext {
				return true, fmt.Errorf("next %d: %w", piece, errBroken)
			}
			return piece < c.pieces, nil
		})
		if err != nil || !more {
			return err
		}
		for result := range c.results {
			if piece%3 == 0 {
				runtime.Gosched() // so that later work is done first at times
			}
			if piece == c.failWork && result == c.results-1 {
				return fmt.Errorf("work %d: %w", piece, errBroken)
			}
			if err := t.Wait(ctx); err != nil {
				return err
			}
			if piece == c.failUse && result == c.results-1 {
				return fmt.Errorf("use %d: %w", piece, errBroken)
			}
			used = append(used, fmt.Sprint(piece, ".", result))
		}
		return nil
	})
	return used, asked, err
}

// TestSameAsOneGoroutine: results and error are those of one goroutine, whatever fails, for any number of goroutines.
func TestSameAsOneGoroutine(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		c, goroutines := drawCourse(rt), rapid.IntRange(1, 8).Draw(rt, "goroutines")
		wanted, wantedErr := c.sequential()
		used, asked, err := c.run(t.Context(), goroutines)
		if wantedErr == nil && asked != c.pieces+1 {
			rt.Fatalf("%d pieces: next was called %d times", c.pieces, asked)
		}
		if !slices.Equal(used, wanted) || fmt.Sprint(err) != fmt.Sprint(wantedErr) {
			rt.Fatalf("%d goroutines: %v, %v\none: %v, %v", goroutines, used, err, wanted, wantedErr)
		}
	})
}

// numbered begins pieces 0 to last, and has use use each after work on it.
func numbered(last int, work func(ctx context.Context, piece int) error, use func(piece int) error) func(context.Context, *ordered.Ticket) error {
	next := 0
	return func(ctx context.Context, t *ordered.Ticket) error {
		var piece int
		more, err := t.Begin(func() (bool, error) {
			piece = next
			next++
			return piece <= last, nil
		})
		if err != nil || !more {
			return err
		}
		if err := work(ctx, piece); err != nil {
			return err
		}
		if err := t.Wait(ctx); err != nil {
			return err
		}
		return use(piece)
	}
}

// TestOtherGoroutinesWorkMeanwhile: while one result is used, each of the other goroutines makes one result and no
// more.
func TestOtherGoroutinesWorkMeanwhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var made atomic.Int32
		use := func(piece int) error {
			synctest.Wait() // until all others wait for their turn
			if made, wanted := int(made.Load()), min(piece+3, 10); made != wanted {
				t.Errorf("while %d is used %d are made, not %d", piece, made, wanted)
			}
			return nil
		}
		work := func(_ context.Context, piece int) error {
			if piece == 0 {
				synctest.Wait() // until the others have made theirs
			}
			made.Add(1)
			return nil
		}
		if err := ordered.Run(t.Context(), 3, numbered(9, work, use)); err != nil || made.Load() != 10 {
			t.Errorf("%v, %d made", err, made.Load())
		}
	})
}

// TestErrorWaitsForEarlierWork: work that fails does not disturb earlier work, and no work begins after it.
func TestErrorWaitsForEarlierWork(t *testing.T) {
	t.Parallel()
	for _, beforeBegin := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var used []int
			begun := make(chan struct{})
			run := numbered(9, func(ctx context.Context, piece int) error {
				if piece > 1 || piece > 0 && beforeBegin {
					t.Error("began", piece)
				}
				if piece > 0 {
					return errBroken
				}
				close(begun)
				synctest.Wait() // the failure has happened, and waits
				return ctx.Err()
			}, func(piece int) error {
				used = append(used, piece)
				return nil
			})
			var calls atomic.Int32
			err := ordered.Run(t.Context(), 2, func(ctx context.Context, t *ordered.Ticket) error {
				if calls.Add(1) == 2 && beforeBegin {
					<-begun
					return errBroken
				}
				return run(ctx, t)
			})
			if !errors.Is(err, errBroken) || !slices.Equal(used, []int{0}) {
				t.Errorf("%v, used %v", err, used)
			}
		})
	}
}

// TestUserOfResultsStops: the user of results may stop with an error. The context of later work ends, and the error of
// that work is not the error of Run.
func TestUserOfResultsStops(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		err := ordered.Run(t.Context(), 4, numbered(9, func(ctx context.Context, piece int) error {
			if piece == 0 {
				return nil
			}
			<-ctx.Done()
			return ctx.Err()
		}, func(int) error { return errBroken }))
		if !errors.Is(err, errBroken) {
			t.Error(err)
		}
	})
}

// TestCancel: no result is used after the context has ended, even if work does not check it.
func TestCancel(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		made   func(context.Context) error // of the context's end, by the earliest work
		wanted error
	}{
		{"work goes on", func(context.Context) error { return nil }, context.Canceled},
		{"work fails", func(context.Context) error { return errBroken }, errBroken},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				err := ordered.Run(ctx, 3, numbered(9, func(ctx context.Context, piece int) error {
					if piece > 0 {
						return nil
					}
					synctest.Wait() // the others wait for their turn
					cancel()
					return c.made(ctx)
				}, func(piece int) error {
					t.Error("used", piece)
					return nil
				}))
				if !errors.Is(err, c.wanted) {
					t.Errorf("%v instead of %v", err, c.wanted)
				}
			})
		})
	}
}

// TestCancelledRunIsNotComplete: a run whose context ended does not count as complete, even if all work is done.
func TestCancelledRunIsNotComplete(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	err := ordered.Run(ctx, 1, func(_ context.Context, t *ordered.Ticket) error {
		_, err := t.Begin(func() (bool, error) {
			cancel()
			return false, nil
		})
		return err
	})
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
