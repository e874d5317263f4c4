package sqlite

import (
	"context"
	"sync"
)

// turns has goroutines that work side by side hand over what they have done in the order in which they began
// it: what is counted must not depend on which was faster.
type turns struct {
	mu   sync.Mutex
	last chan struct{} // closed when the turn that was given last is over; nil before the first one
}

// turn is a place in the order.
type turn struct{ before, over chan struct{} }

// next asks for something to do, by one goroutine at a time, and gives a turn for it; nil where there is no more.
func (t *turns) next(ask func() (more bool, err error)) (*turn, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	more, err := ask()
	if err != nil || !more {
		return nil, err
	}
	mine := &turn{before: t.last, over: make(chan struct{})}
	t.last = mine.over
	return mine, nil
}

// take waits for the turn. Where work fails, no later turn comes; the context is to end then.
func (t *turn) take(ctx context.Context, work func() error) error {
	if t.before != nil {
		select {
		case <-t.before:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	err := work()
	if err == nil {
		close(t.over)
	}
	return err
}
