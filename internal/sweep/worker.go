package sweep

import (
	"context"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"decayctl/internal/job"
	"decayctl/internal/store"
)

// work has workers sweep what is left of a job to claim.
func (e *Engine) work(ctx context.Context, in store.Joined, p Params, w Work, shared *progress) error {
	workers, ctx := errgroup.WithContext(ctx)
	for range w.Workers {
		workers.Go(func() error { return newWorker(e, in, w, shared).run(ctx, p) })
	}
	err := workers.Wait()
	if store.Is(err, store.Irreversible) && shared.counts.Decayed == 0 {
		return &Refused{Text: err.Error()}
	}
	return err
}

// worker claims ranges, has their facts judged and writes them, range by range. It reads the next range while it writes one.
type worker struct {
	engine      *Engine
	progress    *progress // shared by all workers of this process
	job         job.Job
	lease       store.Lease
	retractions retractions
	batches     batchSizer
	claims      claimSizer

	irreversible bool // write facts also if an undo would not find them

	expiries []store.Expiry // of the batch that is written; used again for the next one

	remaining store.Claim // of the range, once its pieces so far are written
	text      int         // bytes that were kept of these pieces

	writing sync.Mutex // held during a batch and the pause after it, and during a claim that keeps other writers out
	locked  int        // facts in a row that were left out because another process has them locked
}

func newWorker(e *Engine, in store.Joined, w Work, shared *progress) *worker {
	return &worker{
		engine: e, progress: shared, job: in.Job, lease: in.Lease, retractions: retractionsOf(in),
		batches: newBatchSizer(e.Store.Tuning(), w), claims: newClaimSizer(e.Store.Tuning()),
		// A job that has written facts so was decided about. Resuming it does not ask again.
		irreversible: w.Irreversible || in.Job.Counts.Decayed > 0,
	}
}

func (w *worker) run(ctx context.Context, p Params) error {
	return w.engine.readAhead(ctx, p, keepDecisions, func() (store.Claim, error) {
		c, err := w.claim(ctx, w.claims.next(w.progress.share()))
		w.progress.claim(c.Facts)
		return c, err
	}, func(p piece) error { return w.writePiece(ctx, p) })
}

// claim gets the next facts to sweep, while batches are written. On SQLite a claim takes the write lock. Below pace 1 it
// waits for the current batch and pauses afterwards, so that the node's writers get a gap.
func (w *worker) claim(ctx context.Context, size int) (store.Claim, error) {
	if w.batches.share >= 1 || w.engine.Store.Tuning().RowLocks {
		return w.claimNext(ctx, size)
	}
	w.writing.Lock()
	defer w.writing.Unlock()
	c, err := w.claimNext(ctx, size)
	if err == nil && c.Locked > 0 {
		err = w.engine.Sleep(ctx, c.Locked)
	}
	return c, err
}

// writePiece writes a piece of a range in batches. A batch covers all facts up to its last one, and the last batch of a
// range all that is left of it. So after each batch the job's counts are those of all facts up to a place in the order of
// ids. Each batch moves the claim on; the last one ends it.
func (w *worker) writePiece(ctx context.Context, p piece) error {
	if p.from == p.claim.After {
		w.remaining, w.text = p.claim, 0
	}
	w.text += p.decisions.text
	rest := p.decisions.list
	for {
		var facts []store.Decision
		facts, rest = nextBatch(rest, w.batches.next())
		upTo := p.upTo
		if len(rest) > 0 {
			upTo = store.After(facts[len(facts)-1].ID)
		}
		w.writing.Lock()
		var err error
		w.remaining, err = w.write(ctx, w.remaining, facts, upTo)
		w.writing.Unlock()
		if err == nil {
			err = w.engine.Halt()
		}
		if err != nil {
			return err
		}
		if len(rest) > 0 {
			continue
		}
		if p.isLast() {
			w.claims.adapt(p.claim.Facts, w.text)
		}
		return nil
	}
}

// batch makes the batch of some facts. It ends the use of the batch before it.
func (w *worker) batch(claim store.Claim, facts []store.Decision, upTo store.Cursor) store.Batch {
	clear(w.expiries) // else the facts of an earlier range would stay in memory
	b := store.Batch{
		Lease: w.lease, Claim: claim, UpTo: upTo, ClosesClaim: upTo == claim.Last,
		AsOf: w.job.AsOf, Stamp: w.job.Stamp, Job: w.job, Irreversible: w.irreversible,
		Expiries: slices.Grow(w.expiries[:0], len(facts)),
	}
	for i := range facts {
		d := &facts[i]
		if !d.Shared.Verdict.Acts() {
			b.Count.AddFact(d.Shared.Tenant, d.Verdict(), job.Planned)
			continue
		}
		expiry := store.Expiry{Decision: d}
		if d.Shared.Verdict.Retracts() {
			expiry.Retraction = w.retractions.next()
		}
		b.Expiries = append(b.Expiries, expiry)
	}
	w.expiries = b.Expiries
	if b.ClosesClaim { // the facts that no rule concerns are known by number only
		b.Count.Examined += int64(b.RemainingFacts())
	}
	return b
}
