package sweep

import (
	"math"
	"sync"
	"time"

	"decayctl/internal/store"
)

const (
	smallest     = 250    // facts; below that a transaction is all overhead, and no shorter for fewer of them
	largestBatch = 12_000 // larger ones take more memory than time they save
	growth       = 1.2    // per batch, at most
	flatOut      = 10     // times as long may a transaction be where nobody else minds
	aim          = 0.6    // of the store's target: no two batches take equally long, and nearly all are to keep to it
	burst        = 3      // batches in one transaction, and for one pause, while no other process writes
)

// batchSizer sets the size of batches, and the pauses between them.
type batchSizer struct {
	target time.Duration // how long a batch should hold its locks, more or less
	share  float64       // of the time that locks may be held
	rate   float64       // facts to write per second, at most; 0 is any number
	fixed  bool          // the size was asked for
	size   int           // facts in a batch, at most; 1 or more
	burst  int           // batches that the next transaction writes
}

func newBatchSizer(t store.Tuning, w Work) batchSizer {
	p := batchSizer{target: time.Duration(aim * float64(t.Target)), share: w.Pace, rate: w.MaxRate / float64(max(1, w.Workers)), size: t.BatchSize, burst: 1}
	if w.Pace >= 1 {
		p.target, p.size = flatOut*p.target, min(flatOut*p.size, largestBatch)
	}
	if w.BatchSize > 0 {
		p.fixed, p.size = true, w.BatchSize
	}
	return p
}

// next is how many facts the next transaction writes, at most.
func (p *batchSizer) next() int {
	n := p.size * p.burst
	if p.burst > 1 {
		n = max(p.size, min(n, largestBatch))
	}
	if p.rate > 0 { // a rate is not one burst a minute
		n = max(1, min(n, int(p.rate)))
	}
	return n
}

// pause sets the size of the next transaction, and is how long to wait before it, to let the node's own writers in.
//
// While no other process writes, no writer waits: a transaction then writes three batches, and the pause behind it is that
// of one. Once a writer has come, the next transaction is short again.
func (p *batchSizer) pause(written int, t store.Timing) time.Duration {
	if written == 0 {
		if t.SoleWriterFor < store.SoleWriterAfter {
			p.burst = 1
		}
		return 0
	}
	batches := min(p.burst, (written+p.size-1)/p.size) // a range may end, or a rate cut, before a burst is full
	batch := t.Locked / time.Duration(batches)
	if !p.fixed {
		p.adapt(written/batches, batch)
	}
	var pause time.Duration
	if p.share < 1 {
		// Never shorter than the lock it follows: a writer that waited for one whole batch must find a
		// gap of its own length.
		pause = max(batch, time.Duration(float64(batch)*(1/p.share-1)))
		p.burst = 1
		if !p.fixed && t.SoleWriterFor >= store.SoleWriterAfter {
			p.burst = burst
		}
	}
	if p.rate > 0 {
		pause = max(pause, time.Duration(float64(written)/p.rate*float64(time.Second))-t.Locked)
	}
	return max(0, pause-t.AfterCommit)
}

// adapt follows the target: down at once, up in small steps, and up only on the word of a batch
// that was full. On a slow disk or a busy machine no size may be short enough; only contention makes
// batches smaller than what is worth a transaction.
func (p *batchSizer) adapt(written int, locked time.Duration) {
	switch {
	case locked > 2*p.target:
		p.size = max(min(p.size, smallest), p.size/2)
	case locked > p.target: // one slow batch among others: the disk, or another writer
		p.size = max(min(p.size, smallest), int(float64(p.size)/growth))
	case written >= p.size:
		factor := min(growth, float64(p.target)/float64(max(locked, time.Millisecond)))
		p.size = min(largestBatch, max(p.size, int(math.Ceil(float64(p.size)*factor))))
	}
}

// halve makes the next batch smaller, unless its size was asked for.
func (p *batchSizer) halve() {
	if !p.fixed {
		p.size = max(1, p.size/2)
	}
}

const (
	writtenIn    = 5 * time.Second // what was read of the facts of a range gets older
	maxRangeText = 4 << 20         // bytes that the facts of a range may have to be kept
)

// claimSizer sets how many facts a worker claims and reads at once. The more there are the fewer pages are read, but
// the first are to be written soon, the last not much later, and several workers are to end together.
type claimSizer struct {
	least, most int

	mu    sync.Mutex
	size  int           // what is claimed next, if enough is left
	spent time.Duration // on the range that is being written
}

func newClaimSizer(t store.Tuning) claimSizer {
	return claimSizer{least: t.RangeSize, most: max(t.RangeSize, t.LargestRange), size: t.RangeSize}
}

// next is how many facts to claim, if a worker's share of what is left of all is known; 0 is not known.
func (s *claimSizer) next(share int64) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if share <= 0 {
		return s.size
	}
	return int(min(int64(s.size), max(share, int64(s.least))))
}

// addTime adds to the time that is spent on a range.
func (s *claimSizer) addTime(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.spent += d
}

// adapt sets the size after a range: half as many facts more at most, and no more than are written in time or kept
// in little memory.
func (s *claimSizer) adapt(facts, text int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if facts == 0 { // all that was left of a claim had come since
		return
	}
	inTime := writtenIn.Seconds() / max(s.spent, time.Millisecond).Seconds() * float64(facts)
	inMemory := maxRangeText / float64(max(text, 1)) * float64(facts)
	size := min(math.Ceil(1.5*float64(s.size)), max(inTime, float64(s.least)), inMemory, float64(s.most))
	s.size, s.spent = max(1, int(size)), 0
}
