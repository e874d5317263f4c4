// Package ordered runs work on several goroutines at once. The results are used one at a time, in the order in which the
// work began. So the outcome is that of one goroutine, however fast each of them is.
package ordered

import (
	"context"
	"sync"
	"sync/atomic"
)

// Run starts so many goroutines, 1 or more. Each calls work again and again, every time with a new ticket:
//
//	more, err := t.Begin(next)     // decide what to do; one goroutine at a time
//	if err != nil || !more {
//		return err
//	}
//	…                              // do it; all goroutines at once
//	if err := t.Wait(ctx); err != nil {
//		return err
//	}
//	…                              // use the result; in the order of Begin, one goroutine at a time
//
// Run returns when next of Begin has said that nothing is left, and all work has returned. There are never more unused
// results than goroutines.
//
// If work fails, no more work begins, and no later result is used. Run then returns the error of the work that began
// first: an error is held back until all earlier work has returned. The context of the other work ends. If ctx ends, Run
// returns ctx.Err(), or the error of the earliest work that was not finished.
func Run(ctx context.Context, goroutines int, work func(ctx context.Context, t *Ticket) error) error {
	running, stop := context.WithCancel(ctx)
	defer stop()
	q := &queue{stop: stop, last: make(chan struct{})}
	close(q.last)
	var all sync.WaitGroup
	for range goroutines {
		all.Go(func() {
			for q.do(running, work) {
			}
		})
	}
	all.Wait()
	if q.err != nil {
		return q.err
	}
	return ctx.Err()
}

// queue is the order of tickets.
type queue struct {
	stop   func()
	err    error       // of the earliest work that failed; only the ticket whose Wait has returned uses it
	closed atomic.Bool // no work begins any more

	mu   sync.Mutex    // held by Begin
	last chan struct{} // closed when all work that has begun is over
}

// Ticket is a place in the order. It belongs to one call of work.
type Ticket struct {
	queue *queue
	turn  chan struct{} // closed when all earlier work is over
	over  chan struct{} // closed when this work is too; nil before Begin
}

// do calls work once, and tells whether there may be more.
func (q *queue) do(ctx context.Context, work func(context.Context, *Ticket) error) (more bool) {
	t := &Ticket{queue: q}
	err := work(ctx, t)
	if err != nil && t.over == nil { // an error before Begin gets a place in the order too, unless the queue is closed
		_, _ = t.Begin(func() (bool, error) { return false, err })
	}
	if t.over == nil {
		return false
	}
	if err != nil {
		q.closed.Store(true)
	}
	if ended := t.Wait(ctx); err == nil {
		err = ended
	}
	if err != nil && q.err == nil {
		q.err = err
		q.stop()
	}
	close(t.over)
	return err == nil
}

// Begin gives the ticket its place in the order and calls next, which tells whether there is more to do. Call Begin once
// for each ticket. If it returns false, with or without an error, work must return. Begin does not call next again after
// next has returned false, or after next or any work has failed. next may wait until other work is over, but not for
// another Begin.
func (t *Ticket) Begin(next func() (more bool, err error)) (more bool, err error) {
	q := t.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed.Load() {
		return false, nil
	}
	if more, err = next(); err != nil || !more {
		q.closed.Store(true)
	}
	if err != nil || more {
		t.turn, t.over = q.last, make(chan struct{})
		q.last = t.over
	}
	return more && err == nil, err
}

// Wait returns when all work that began earlier is over. From then on, until work returns, no other goroutine gets past
// its own Wait. ctx is the context of work. If it has ended, Wait returns ctx.Err(), and the result must not be used.
func (t *Ticket) Wait(ctx context.Context) error {
	<-t.turn
	return ctx.Err()
}
