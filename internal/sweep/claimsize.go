package sweep

import (
	"math"
	"sync"
	"time"

	"decayctl/internal/store"
)

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
