// Package ordered does work on several goroutines at once and has the results used one at a time, in the order in which
// the work began. What comes out is what one goroutine alone would have made, whichever of them was faster.
package ordered

import (
	"context"
	"sync"
	"sync/atomic"
)

// Run starts so many goroutines, at least one. Each calls work again and again, every time with a new ticket:
//
//	more, err := t.Begin(next)     // what to do; one goroutine at a time
//	if err != nil || !more {
//		return err
//	}
//	…                              // do it; all goroutines at once
//	if err := t.Wait(ctx); err != nil {
//		return err
//	}
//	…                              // use the result; in the order of Begin, one goroutine at a time
//
// Run ends once there is nothing left to begin, and all work is over. At most as many results exist as there are
// goroutines.
//
// The error of Run is the one that a single goroutine would have met first: an error waits until all work begun
// earlier is over. Until then nothing begins, no later result is used, and the context of later work ends.
// If ctx ends while Run is at work, Run returns ctx.Err(), or what the earliest unfinished work made of that.
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
	err    error       // of the earliest work that failed; belongs to the ticket whose turn it is
	closed atomic.Bool // nothing is to begin any more

	mu   sync.Mutex    // held by Begin
	last chan struct{} // closed when all work begun so far is over
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
	if err != nil && t.over == nil { // unless all had begun by then, or other work has failed
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

// Begin calls next, which says whether there is more to do, and gives the ticket its place in the order. Call it once
// for each ticket. If it returns false, with or without an error, work must return. After next has said that there is nothing
// left, or next or any work has failed, Begin returns false without calling next.
// next may wait for other work to be over, but not for another Begin.
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

// Wait returns once all work begun earlier is over. From then on, until work returns, no other goroutine is past its own
// Wait. If ctx, which is that of work, has ended by then, Wait returns ctx.Err(): the result is not to be used.
func (t *Ticket) Wait(ctx context.Context) error {
	<-t.turn
	return ctx.Err()
}
