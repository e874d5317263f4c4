package sweep

import (
	"math"
	"time"
)

const (
	smallest     = 250   // facts; below that a transaction is all overhead, and no shorter for fewer of them
	largestBatch = 8_000 // larger ones take more memory than time they save
	growth       = 1.2   // per batch, at most
	flatOut      = 10    // times as long may a transaction be where nobody else minds
	aim          = 0.6   // of the store's target: no two batches take equally long, and nearly all are to keep to it
)

// pacer sets the size of batches, and the pauses between them.
type pacer struct {
	target time.Duration // how long a batch should hold its locks, more or less
	share  float64       // of the time that locks may be held
	rate   float64       // facts to write per second, at most; 0 is any number
	fixed  bool          // the size was asked for
	size   int           // facts in the next batch, at most; 1 or more
}

func newPacer(e *Engine, w Work) pacer {
	t := e.Store.Tuning()
	p := pacer{target: time.Duration(aim * float64(t.Target)), share: w.Pace, rate: w.MaxRate / float64(max(1, w.Workers)), size: t.BatchSize}
	if w.Pace >= 1 {
		p.target, p.size = flatOut*p.target, min(flatOut*p.size, largestBatch)
	}
	if w.BatchSize > 0 {
		p.fixed, p.size = true, w.BatchSize
	}
	p.limit()
	return p
}

// pause sets the size of the next batch, and is how long to wait before it, to let the node's own
// writers in.
func (p *pacer) pause(written int, locked time.Duration) time.Duration {
	if written == 0 {
		return 0
	}
	if !p.fixed {
		p.adapt(written, locked)
	}
	var pause time.Duration
	if p.share < 1 {
		// Never shorter than the lock it follows: a writer that waited for one whole batch must find a
		// gap of its own length.
		pause = max(locked, time.Duration(float64(locked)*(1/p.share-1)))
	}
	if p.rate > 0 {
		pause = max(pause, time.Duration(float64(written)/p.rate*float64(time.Second))-locked)
	}
	return pause
}

// adapt follows the target: down at once, up in small steps, and up only on the word of a batch
// that was full. On a slow disk or a busy machine no size may be short enough; only contention makes
// batches smaller than what is worth a transaction.
func (p *pacer) adapt(written int, locked time.Duration) {
	switch {
	case locked > 2*p.target:
		p.size = max(min(p.size, smallest), p.size/2)
	case locked > p.target: // one slow batch among others: the disk, or another writer
		p.size = max(min(p.size, smallest), int(float64(p.size)/growth))
	case written >= p.size:
		factor := min(growth, float64(p.target)/float64(max(locked, time.Millisecond)))
		p.size = min(largestBatch, max(p.size, int(math.Ceil(float64(p.size)*factor))))
		p.limit()
	}
}

// limit keeps a batch within what may be written in a second: a rate is not one burst a minute.
func (p *pacer) limit() {
	if p.rate > 0 {
		p.size = max(1, min(p.size, int(p.rate)))
	}
}

// halve makes the next batch smaller, unless its size was asked for.
func (p *pacer) halve() {
	if !p.fixed {
		p.size = max(1, p.size/2)
	}
}
