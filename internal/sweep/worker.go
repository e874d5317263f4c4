package sweep

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"decayctl/internal/fact"
	"decayctl/internal/job"
	"decayctl/internal/store"
)

const maxFailed = 100 // facts that cannot be written, before a process gives up on a job

// progress is what the workers of one process know together: the job's counts, as the last transaction of
// any of them left them.
type progress struct {
	*Engine
	total   int64
	workers int
	lease   store.Lease
	maxLag  time.Duration // 0 is any

	mu     sync.Mutex
	counts job.Counts
	taken  int64 // facts that were done when the work began, or were claimed by it
}

// share is half of what a worker could have of the facts that are left: others may be slower. 0 is not known.
func (p *progress) share() int64 {
	if p.workers < 2 {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return max(0, p.total-p.taken) / int64(2*p.workers)
}

func (p *progress) take(facts int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.taken += int64(facts)
}

// put takes over newer counts. A worker that is a step behind must not turn them back.
func (p *progress) put(phase Phase, c job.Counts) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.Examined >= p.counts.Examined {
		p.counts = c
	}
	p.Progress(progressOf(phase, p.counts, p.total))
}

func (p *progress) show(phase Phase) { p.put(phase, job.Counts{}) }

// rest takes over the counts after a batch, and waits before the next one. It says once what is done now:
// a bar that was drawn this moment would not be drawn again.
func (p *progress) rest(ctx context.Context, doing Phase, c job.Counts, pause time.Duration) error {
	if pause <= 0 {
		p.put(doing, c)
		return errors.Join(ctx.Err(), p.await(ctx))
	}
	p.put(Pausing, c)
	if err := p.Sleep(ctx, pause); err != nil {
		return err
	}
	return p.await(ctx)
}

const lagLook = time.Second // between looks at a replica that is behind

// await waits while a replica is too far behind. A store that cannot tell has none that is.
func (p *progress) await(ctx context.Context) error {
	if p.maxLag <= 0 {
		return nil
	}
	noted := false
	for {
		lag, err := store.LagOf(ctx, p.Store)
		if err != nil || lag.Behind <= p.maxLag {
			return ctx.Err() // a failing connection is the next batch's to report
		}
		p.show(Lagging)
		if !noted {
			noted = true
			why := fmt.Sprintf("waits: the replica %q is %s behind, and --max-lag is %s", lag.Replica, lag.Behind.Round(time.Second), p.maxLag)
			p.Note(why)
			if err := p.retry(ctx, func() error { return again(p.Store.Wait(ctx, p.lease, why)) }); err != nil {
				return err
			}
		}
		if err := p.Halt(); err != nil {
			return err
		}
		if err := p.Sleep(ctx, lagLook); err != nil {
			return err
		}
	}
}

const patience = 2 * time.Second // longer than a batch takes, unless somebody else is in its way

// watch shows that a transaction waits, for as long as it does, until the function it gives is called.
func (p *progress) watch() (done func()) {
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
	return func() { close(over); <-gone }
}

// worker claims ranges and takes them to the store, one after the other, reading ahead.
type worker struct {
	*progress
	job     job.Job
	ids     retractions
	batches batchSizer
	claims  claimSizer

	irreversible bool // nothing that triggers do keeps a batch from being written

	candidates []fact.Candidate // of the batch that is written; used again for the next one
	expiries   []store.Expiry

	left store.Claim // what the pieces of a claim so far have left of it
	text int         // bytes that was kept of them

	writing sync.Mutex // held through a batch and the pause after it, and through a claim that keeps other writers out
	stuck   int        // facts in a row that were left out because somebody has kept them locked
}

func newWorker(p *progress, in store.Joined, w Work) *worker {
	return &worker{
		progress: p, job: in.Job, ids: retractionsOf(in),
		batches: newBatchSizer(p.Engine, w), claims: newClaimSizer(p.Store.Tuning()),
		// What was begun so goes on: a job that is resumed has been decided about.
		irreversible: w.Irreversible || in.Job.Counts.Decayed > 0,
	}
}

func (w *worker) run(ctx context.Context, p Params) error {
	p.write = true
	return w.readAhead(ctx, p, func() (store.Claim, error) {
		c, err := w.claim(ctx, w.claims.next(w.share()))
		w.take(c.Facts)
		return c, err
	}, func(r piece) error { return w.handle(ctx, r) })
}

// claim gets the next facts to sweep, while batches are written. Where there are pauses, and it keeps other
// writers out as a batch does, it waits for the end of one, and makes its own: else they would find no gap between the two.
func (w *worker) claim(ctx context.Context, size int) (store.Claim, error) {
	if w.batches.share >= 1 || w.Store.Tuning().RowLocks {
		return w.claimNext(ctx, size)
	}
	w.writing.Lock()
	defer w.writing.Unlock()
	c, err := w.claimNext(ctx, size)
	if err == nil && c.Locked > 0 {
		err = w.Sleep(ctx, c.Locked)
	}
	return c, err
}

// claimNext claims facts. Where the connection was lost in the COMMIT of a claim it is looked up, and only
// claimed anew if it is not there: a claim that nobody knows of would never be finished.
func (w *worker) claimNext(ctx context.Context, size int) (store.Claim, error) {
	defer w.watch()()
	c, err := w.Store.Claim(ctx, w.lease, size)
	if !store.Is(err, store.Uncertain) {
		return c, err
	}
	if !c.End() {
		_, found, err := w.claimed(ctx, c.Number)
		if err != nil || found {
			return c, err
		}
	}
	return store.Claim{}, again(err)
}

func (w *worker) claimed(ctx context.Context, number int64) (c store.Claim, found bool, err error) {
	err = w.retry(ctx, func() (err error) {
		c, found, err = w.Store.LookupClaim(ctx, w.lease, number)
		return err
	})
	return c, found, err
}

// handle writes a range, or a piece of it, in batches. A batch covers all facts up to the last one in it, and the last
// batch all that is left, so that after every one of them the job's counts are those of a place in
// the id order. Each moves the claim on; the last one closes it.
func (w *worker) handle(ctx context.Context, r piece) error {
	if r.from == r.After {
		w.left, w.text = r.Claim, 0
	}
	w.text += r.decisions.text
	left := r.decisions.all()
	for {
		var part slice
		part, left = left.nextBatch(w.batches.next())
		upTo := r.upTo
		if left.len() > 0 {
			upTo = store.After(part.last())
		}
		w.writing.Lock()
		var err error
		w.left, err = w.write(ctx, w.left, part, upTo)
		w.writing.Unlock()
		if err == nil {
			err = w.Halt()
		}
		if err != nil {
			return err
		}
		if left.len() > 0 {
			continue
		}
		if r.isLast() {
			w.claims.adapt(r.Facts, w.text)
		}
		return nil
	}
}

// write has the facts of a claim up to a place written, and returns what is left of the claim. Under
// contention the same work is tried again a few times, then in halves: a batch of the same size may
// never get through. Halves also find the fact that the database refuses, or that somebody keeps locked;
// it is counted and named, and the others are written.
func (w *worker) write(ctx context.Context, claim store.Claim, facts slice, upTo store.Cursor) (store.Claim, error) {
	b := w.batch(claim, facts, upTo)
	applied, err := w.apply(ctx, &b)
	switch {
	case err == nil:
		if len(b.Expiries) > 0 {
			w.stuck = 0
		}
		pause := w.batches.pause(len(b.Expiries), applied.Timing)
		w.claims.addTime(applied.Locked + applied.AfterCommit + pause)
		return b.Remaining(), w.rest(ctx, Sweeping, applied.Counts, pause)
	case len(b.Expiries) == 0 || !w.divisible(err, facts.len()):
		return claim, err
	case facts.len() == 1:
		return w.fail(ctx, b, err)
	}
	if !store.Is(err, store.Rejected) {
		w.batches.halve()
	}
	first, second := facts.split(facts.len() / 2)
	if claim, err = w.write(ctx, claim, first, store.After(first.last())); err != nil {
		return claim, err
	}
	return w.write(ctx, claim, second, upTo)
}

// divisible tells whether smaller batches, or none, may do what this one of some facts could not. Where
// two facts in a row were locked it is not about rows: somebody has the table, and facts would be left out
// one by one.
func (w *worker) divisible(err error, facts int) bool {
	return store.Is(err, store.Contention) || store.Is(err, store.Rejected) ||
		store.Is(err, store.Busy) && w.Store.Tuning().RowLocks && (w.stuck == 0 || facts > 1)
}

// batch makes the batch of some facts. The one before it is over then.
func (w *worker) batch(claim store.Claim, facts slice, upTo store.Cursor) store.Batch {
	b := store.Batch{
		Lease: w.lease, Claim: claim, UpTo: upTo, ClosesClaim: upTo == claim.Last,
		AsOf: w.job.AsOf, Stamp: w.job.Stamp, Job: w.job, Irreversible: w.irreversible,
		Expiries: slices.Grow(w.expiries[:0], facts.len()),
	}
	candidates := slices.Grow(w.candidates[:0], facts.len())
	for i := range facts.len() {
		v := facts.verdict(i)
		addKept(&b.Count, v, facts.tenant(i))
		if !v.Acts() {
			b.Count.Examined++
			continue
		}
		candidates = append(candidates, facts.candidate(i))
		expiry := store.Expiry{Fact: &candidates[len(candidates)-1], Rules: v.Rules, Policy: v.Policy, Confidence: v.Confidence, KeepsExpiry: !v.Expires()}
		if v.Retracts() {
			expiry.Retraction = w.ids.next()
		}
		b.Expiries = append(b.Expiries, expiry)
	}
	w.candidates, w.expiries = candidates, b.Expiries
	if b.ClosesClaim { // the facts that no rule concerns are known by number only
		b.Count.Examined += int64(b.RemainingFacts())
	}
	return b
}

// apply writes a batch, and finds out whether it did where the connection was lost in the COMMIT.
func (w *worker) apply(ctx context.Context, b *store.Batch) (applied store.Applied, err error) {
	for {
		err = w.retry(ctx, func() (err error) {
			defer w.watch()()
			applied, err = w.Store.Apply(ctx, *b)
			if store.Is(err, store.Contention) || store.Is(err, store.Disconnected) {
				b.Count.Retries++
				w.show(Retrying)
			}
			return err
		})
		if !store.Is(err, store.Uncertain) {
			return applied, err
		}
		w.show(Retrying)
		now, found, err := w.claimed(ctx, b.Claim.Number)
		switch {
		case err != nil:
			return applied, err
		case !found && b.ClosesClaim, found && now.After == b.UpTo:
			return applied, nil // it was committed, and the next batch's counts tell of it
		case !found:
			return applied, &job.Lost{ID: w.job.ID, State: job.Running}
		}
	}
}

// fail leaves out the one fact of a batch, which the database refuses, and names it in the counts.
func (w *worker) fail(ctx context.Context, b store.Batch, cause error) (store.Claim, error) {
	if store.Is(cause, store.Busy) {
		w.stuck++
	}
	f := b.Expiries[0].Fact
	b.Count.Examined++
	b.Count.Selected++
	b.Count.AddTenant(f.Tenant, 1)
	b.Count.AddFailure(f.ID, cause.Error())
	b.Expiries = nil
	applied, err := w.apply(ctx, &b)
	if err != nil {
		return b.Claim, err
	}
	w.put(Sweeping, applied.Counts)
	if n := applied.Counts.FailedCount - w.job.Counts.FailedCount; n > maxFailed {
		return b.Claim, fmt.Errorf("gave up after %d facts could not be written; the last: %w", n, cause)
	}
	return b.Remaining(), nil
}
