package sweep

import (
	"time"

	"decayctl/internal/store"
)

const (
	smallestBatch = 50
	largestBatch  = 50_000
	growth        = 1.2 // per batch, at most
)

// pacer sets the size of batches, and the pauses between them.
type pacer struct {
	tuning store.Tuning
	share  float64 // of the time that locks may be held
	fixed  bool    // the size was asked for
	size   int     // facts in the next batch, at most
}

func newPacer(e *Engine, w Work) pacer {
	p := pacer{tuning: e.Store.Tuning(), share: w.Pace, fixed: w.BatchSize > 0, size: w.BatchSize}
	if !p.fixed {
		p.size = p.tuning.BatchSize
	}
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
	if p.share >= 1 {
		return 0
	}
	// Never shorter than the lock it follows: a writer that waited for one whole batch must find a
	// gap of its own length.
	return max(locked, time.Duration(float64(locked)*(1/p.share-1)))
}

// adapt follows the target: down at once, up in small steps, and up only on the word of a batch
// that was full.
func (p *pacer) adapt(written int, locked time.Duration) {
	target := p.tuning.Target
	if p.share >= 1 {
		target *= 4 // flat out: fewer, larger transactions
	}
	switch {
	case locked > target:
		p.halve()
	case written >= p.size:
		factor := min(growth, float64(target)/float64(max(locked, time.Millisecond)))
		p.size = min(largestBatch, max(p.size, int(float64(p.size)*factor)))
	}
}

// halve makes the next batch smaller, unless its size was asked for.
func (p *pacer) halve() {
	if !p.fixed {
		p.size = max(smallestBatch, p.size/2)
	}
}
