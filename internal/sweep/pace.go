package sweep

import (
	"math"
	"sync"
	"time"

	"decayctl/internal/store"
)

const (
	smallest     = 250    // facts; a smaller transaction is all overhead, and takes no less time
	largestBatch = 12_000 // facts; larger batches take more memory than they save time
	growth       = 1.2    // of a batch against the one before, at most
	flatOut      = 10     // times as long may a transaction take at pace 1
	aim          = 0.6    // of the store's target: batches of one size differ in time, and nearly all have to keep to the target
	burst        = 3      // batches in one transaction, and for one pause, while no other process writes
)

// batchSizer sets the size of batches, and the pauses between them. It belongs to one goroutine.
type batchSizer struct {
	target time.Duration // how long a batch should hold its locks
	share  float64       // of the time, in which locks may be held; 1 is all of it
	rate   float64       // facts to write per second, at most; 0 is any number
	fixed  bool          // the operator chose the size
	size   int           // facts in a batch, at most; 1 or more
	burst  int           // batches in the next transaction
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
	if p.rate > 0 { // a rate is per second, not one burst a minute
		n = max(1, min(n, int(p.rate)))
	}
	return n
}

// pause sets the size of the next transaction after one that wrote so many facts. It returns how long to wait before the next
// one, so that the node can write.
//
// While no other process writes, a transaction has three batches, and the pause after it is that of one batch. Once
// another process has written, the next transaction has one batch again.
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
		// Never shorter than the lock before it: a writer that waited for a whole batch must find a gap of that length.
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

// adapt follows the target: down at once, up in small steps, and up only after a full batch. On a slow disk no size may be
// short enough, so only contention makes batches smaller than smallest.
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

// halve makes the next batch smaller, unless the operator chose the size.
func (p *batchSizer) halve() {
	if !p.fixed {
		p.size = max(1, p.size/2)
	}
}

const (
	writtenIn    = 5 * time.Second // the longest time to write a range in: what was read of its facts gets old
	maxRangeText = 4 << 20         // bytes of text to keep of a range, about
)

// claimSizer sets how many facts a worker claims and reads at once. A larger range reads fewer pages per fact. But its facts
// are written later after they were read, and several workers should end at the same time.
type claimSizer struct {
	least, most int

	mu    sync.Mutex
	size  int           // facts to claim next, if enough are left
	spent time.Duration // on writing the current range
}

func newClaimSizer(t store.Tuning) claimSizer {
	return claimSizer{least: t.RangeSize, most: max(t.RangeSize, t.LargestRange), size: t.RangeSize}
}

// next is how many facts to claim. share is the worker's share of the facts that are left; 0 is not known.
func (s *claimSizer) next(share int64) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if share <= 0 {
		return s.size
	}
	return int(min(int64(s.size), max(share, int64(s.least))))
}

// addTime adds to the time spent on the current range.
func (s *claimSizer) addTime(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.spent += d
}

// adapt sets the size after a range of so many facts, of which so many bytes of text were kept. The size grows by half at
// most, and not beyond what is written in time and kept in little memory.
func (s *claimSizer) adapt(facts, text int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if facts == 0 { // no fact of the claim was left, only facts asserted since
		return
	}
	inTime := writtenIn.Seconds() / max(s.spent, time.Millisecond).Seconds() * float64(facts)
	inMemory := maxRangeText / float64(max(text, 1)) * float64(facts)
	size := min(math.Ceil(1.5*float64(s.size)), max(inTime, float64(s.least)), inMemory, float64(s.most))
	s.size, s.spent = max(1, int(size)), 0
}
