package sweep

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"decayctl/internal/job"
	"decayctl/internal/store"
)

// Progress is how far work on a job has come. All numbers belong to one moment.
type Progress struct {
	Phase    Phase
	Examined int64
	Total    int64 // an estimate, never below Examined
	Selected int64
	Decayed  int64
}

func progressOf(phase Phase, c job.Counts, total int64) Progress {
	return Progress{Phase: phase, Examined: c.Examined, Total: max(total, c.Examined), Selected: c.Selected, Decayed: c.Decayed}
}

// Phase is what a sweep is doing.
type Phase string

// The phases, as progress lines show them.
const (
	Counting Phase = "counting" // before the first write
	Sweeping Phase = "sweeping"
	Pausing  Phase = "pausing"  // for Work.Pace
	Retrying Phase = "retrying" // after a deadlock, a serialization failure or a lost connection
	Waiting  Phase = "waiting"  // for other processes to finish what they have claimed
	Lagging  Phase = "waiting for a replica"
	Undoing  Phase = "undoing"
	Locked   Phase = "waiting for a lock"
)

// progress is what the workers of one process share: the job's counts, as the last transaction of any worker left them, and
// what each of them waits for between two batches.
type progress struct {
	engine  *Engine
	lease   store.Lease
	maxLag  time.Duration // 0 is any
	total   int64         // facts to examine, an estimate
	workers int

	mu      sync.Mutex
	counts  job.Counts
	claimed int64 // facts that were examined before the work began, or were claimed by it
}

// share is half of what a worker could have of the facts that are left: others may be slower. 0 is not known.
func (p *progress) share() int64 {
	if p.workers < 2 {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return max(0, p.total-p.claimed) / int64(2*p.workers)
}

func (p *progress) claim(facts int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.claimed += int64(facts)
}

// update takes over newer counts and shows them. A worker that is a step behind must not turn them back.
func (p *progress) update(phase Phase, c job.Counts) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.Examined >= p.counts.Examined {
		p.counts = c
	}
	p.engine.Progress(progressOf(phase, p.counts, p.total))
}

// known is the job with the counts of the last batch.
func (p *progress) known(j job.Job) job.Job {
	p.mu.Lock()
	defer p.mu.Unlock()
	j.Counts = p.counts
	return j
}

func (p *progress) show(phase Phase) { p.update(phase, job.Counts{}) }

// pause takes over the counts after a batch and waits before the next one, for so long and for replicas. It shows once
// what is done now: a bar that was drawn this moment would not be drawn again.
func (p *progress) pause(ctx context.Context, doing Phase, c job.Counts, pause time.Duration) error {
	if pause <= 0 {
		p.update(doing, c)
		return errors.Join(ctx.Err(), p.awaitReplicas(ctx))
	}
	p.update(Pausing, c)
	if err := p.engine.Sleep(ctx, pause); err != nil {
		return err
	}
	return p.awaitReplicas(ctx)
}

const lagInterval = time.Second // between looks at a replica that is behind

// awaitReplicas waits while a replica is too far behind. A store that cannot tell has no replica that is.
func (p *progress) awaitReplicas(ctx context.Context) error {
	if p.maxLag <= 0 {
		return nil
	}
	noted := false
	for {
		lag, err := store.LagOf(ctx, p.engine.Store)
		if err != nil || lag.Behind <= p.maxLag {
			return ctx.Err() // the next batch reports a connection that fails
		}
		p.show(Lagging)
		if !noted {
			noted = true
			why := fmt.Sprintf("waits: the replica %q is %s behind, and --max-lag is %s", lag.Replica, lag.Behind.Round(time.Second), p.maxLag)
			p.engine.Note(why)
			if err := p.engine.retry(ctx, func() error { return repeatable(p.engine.Store.Wait(ctx, p.lease, why)) }); err != nil {
				return err
			}
		}
		if err := p.engine.Halt(); err != nil {
			return err
		}
		if err := p.engine.Sleep(ctx, lagInterval); err != nil {
			return err
		}
	}
}

const patience = 2 * time.Second // longer than a transaction takes, unless another process is in its way

// whileWaiting does work that may wait for a lock. If that takes long, it shows so again and again: a bar that waits is
// drawn anew.
func (p *progress) whileWaiting(work func() error) error {
	over, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		ticks := time.NewTicker(patience)
		defer ticks.Stop()
		for {
			select {
			case <-ticks.C:
				p.show(Locked)
			case <-over:
				return
			}
		}
	}()
	defer func() { close(over); <-gone }()
	return work()
}
