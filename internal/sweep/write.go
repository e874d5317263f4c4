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

// board is what the lanes of one process know together: the job's counts, as the last transaction of
// any of them left them.
type board struct {
	*Engine
	total  int64
	lanes  int
	lease  store.Lease
	maxLag time.Duration // 0 is any

	mu     sync.Mutex
	counts job.Counts
	taken  int64 // facts that were done when the work began, or were claimed by it
}

// share is half of what a lane could have of the facts that are left: others may be slower. 0 is not known.
func (b *board) share() int64 {
	if b.lanes < 2 {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return max(0, b.total-b.taken) / int64(2*b.lanes)
}

func (b *board) take(facts int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.taken += int64(facts)
}

// put takes over newer counts. A lane that is a step behind must not turn them back.
func (b *board) put(phase Phase, c job.Counts) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if c.Examined >= b.counts.Examined {
		b.counts = c
	}
	b.Progress(progress(phase, b.counts, b.total))
}

func (b *board) show(phase Phase) { b.put(phase, job.Counts{}) }

// rest takes over the counts after a batch, and waits before the next one. It says once what is done now:
// a bar that was drawn this moment would not be drawn again.
func (b *board) rest(ctx context.Context, doing Phase, c job.Counts, pause time.Duration) error {
	if pause <= 0 {
		b.put(doing, c)
		return errors.Join(ctx.Err(), b.await(ctx))
	}
	b.put(Pausing, c)
	if err := b.Sleep(ctx, pause); err != nil {
		return err
	}
	return b.await(ctx)
}

const lagLook = time.Second // between looks at a replica that is behind

// await waits while a replica is too far behind. A store that cannot tell has none that is.
func (b *board) await(ctx context.Context) error {
	if b.maxLag <= 0 {
		return nil
	}
	noted := false
	for {
		lag, err := store.LagOf(ctx, b.Store)
		if err != nil || lag.Behind <= b.maxLag {
			return ctx.Err() // a failing connection is the next batch's to report
		}
		b.show(Lagging)
		if !noted {
			noted = true
			why := fmt.Sprintf("waits: the replica %q is %s behind, and --max-lag is %s", lag.Replica, lag.Behind.Round(time.Second), b.maxLag)
			b.Note(why)
			if err := b.retry(ctx, func() error { return again(b.Store.Wait(ctx, b.lease, why)) }); err != nil {
				return err
			}
		}
		if err := b.Halt(); err != nil {
			return err
		}
		if err := b.Sleep(ctx, lagLook); err != nil {
			return err
		}
	}
}

const patience = 2 * time.Second // longer than a batch takes, unless somebody else is in its way

// watch shows that a transaction waits, for as long as it does, until the function it gives is called.
func (b *board) watch() (done func()) {
	over, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		ticks := time.NewTicker(patience)
		defer ticks.Stop()
		for {
			select {
			case <-ticks.C:
				b.show(Locked)
			case <-over:
				return
			}
		}
	}()
	return func() { close(over); <-gone }
}

// lane claims ranges and takes them to the store, one after the other, reading ahead.
type lane struct {
	*board
	job  job.Job
	ids  retractions
	pace pacer
	span span

	irreversible bool // nothing that triggers do keeps a batch from being written

	candidates []fact.Candidate // of the batch that is written; used again for the next one
	expiries   []store.Expiry

	left store.Claim // what the pieces of a claim so far have left of it
	text int         // bytes that was kept of them

	writing sync.Mutex // held through a batch and the pause after it, and through a claim that keeps other writers out
	stuck   int        // facts in a row that were left out because somebody has kept them locked
}

func newLane(b *board, in store.Joined, w Work) *lane {
	return &lane{
		board: b, job: in.Job, ids: retractionsOf(in),
		pace: newPacer(b.Engine, w), span: newSpan(b.Store.Tuning()),
		// What was begun so goes on: a job that is resumed has been decided about.
		irreversible: w.Irreversible || in.Job.Counts.Decayed > 0,
	}
}

func (l *lane) run(ctx context.Context, p Params) error {
	p.write = true
	return l.readAhead(ctx, p, func() (store.Claim, error) {
		c, err := l.claim(ctx, l.span.next(l.share()))
		l.take(c.Facts)
		return c, err
	}, func(r judgedRange) error { return l.handle(ctx, r) })
}

// claim gets the next facts to sweep, while batches are written. Where there are pauses, and it keeps other
// writers out as a batch does, it waits for the end of one, and makes its own: else they would find no gap between the two.
func (l *lane) claim(ctx context.Context, size int) (store.Claim, error) {
	if l.pace.share >= 1 || l.Store.Tuning().RowLocks {
		return l.claimNext(ctx, size)
	}
	l.writing.Lock()
	defer l.writing.Unlock()
	c, err := l.claimNext(ctx, size)
	if err == nil && c.Locked > 0 {
		err = l.Sleep(ctx, c.Locked)
	}
	return c, err
}

// claimNext claims facts. Where the connection was lost in the COMMIT of a claim it is looked up, and only
// claimed anew if it is not there: a claim that nobody knows of would never be finished.
func (l *lane) claimNext(ctx context.Context, size int) (store.Claim, error) {
	defer l.watch()()
	c, err := l.Store.Claim(ctx, l.lease, size)
	if !store.Is(err, store.Uncertain) {
		return c, err
	}
	if !c.End() {
		_, found, err := l.claimed(ctx, c.Number)
		if err != nil || found {
			return c, err
		}
	}
	return store.Claim{}, again(err)
}

func (l *lane) claimed(ctx context.Context, number int64) (c store.Claim, found bool, err error) {
	err = l.retry(ctx, func() (err error) {
		c, found, err = l.Store.LookupClaim(ctx, l.lease, number)
		return err
	})
	return c, found, err
}

// handle writes a range, or a piece of it, in batches. A batch covers all facts up to the last one in it, and the last
// batch all that is left, so that after every one of them the job's counts are those of a place in
// the id order. Each moves the claim on; the last one closes it.
func (l *lane) handle(ctx context.Context, r judgedRange) error {
	if r.from == r.After {
		l.left, l.text = r.Claim, 0
	}
	l.text += r.packed.text
	left := r.packed.all()
	for {
		var part stretch
		part, left = left.cut(l.pace.next())
		upTo := r.upTo
		if left.len() > 0 {
			upTo = store.After(part.last())
		}
		l.writing.Lock()
		var err error
		l.left, err = l.write(ctx, l.left, part, upTo)
		l.writing.Unlock()
		if err == nil {
			err = l.Halt()
		}
		if err != nil {
			return err
		}
		if left.len() > 0 {
			continue
		}
		if r.isLast() {
			l.span.handled(r.Facts, l.text)
		}
		return nil
	}
}

// write has the facts of a claim up to a place written, and returns what is left of the claim. Under
// contention the same work is tried again a few times, then in halves: a batch of the same size may
// never get through. Halves also find the fact that the database refuses, or that somebody keeps locked;
// it is counted and named, and the others are written.
func (l *lane) write(ctx context.Context, claim store.Claim, facts stretch, upTo store.Cursor) (store.Claim, error) {
	b := l.batch(claim, facts, upTo)
	applied, err := l.apply(ctx, &b)
	switch {
	case err == nil:
		if len(b.Expiries) > 0 {
			l.stuck = 0
		}
		pause := l.pace.pause(len(b.Expiries), applied.Timing)
		l.span.took(applied.Locked + applied.AfterCommit + pause)
		return b.Remaining(), l.rest(ctx, Sweeping, applied.Counts, pause)
	case len(b.Expiries) == 0 || !l.divisible(err, facts.len()):
		return claim, err
	case facts.len() == 1:
		return l.fail(ctx, b, err)
	}
	if !store.Is(err, store.Rejected) {
		l.pace.halve()
	}
	first, second := facts.split(facts.len() / 2)
	if claim, err = l.write(ctx, claim, first, store.After(first.last())); err != nil {
		return claim, err
	}
	return l.write(ctx, claim, second, upTo)
}

// divisible tells whether smaller batches, or none, may do what this one of some facts could not. Where
// two facts in a row were locked it is not about rows: somebody has the table, and facts would be left out
// one by one.
func (l *lane) divisible(err error, facts int) bool {
	return store.Is(err, store.Contention) || store.Is(err, store.Rejected) ||
		store.Is(err, store.Busy) && l.Store.Tuning().RowLocks && (l.stuck == 0 || facts > 1)
}

// batch makes the batch of some facts. The one before it is over then.
func (l *lane) batch(claim store.Claim, facts stretch, upTo store.Cursor) store.Batch {
	b := store.Batch{
		Lease: l.lease, Claim: claim, UpTo: upTo, ClosesClaim: upTo == claim.Last,
		AsOf: l.job.AsOf, Stamp: l.job.Stamp, Job: l.job, Irreversible: l.irreversible,
		Expiries: slices.Grow(l.expiries[:0], facts.len()),
	}
	candidates := slices.Grow(l.candidates[:0], facts.len())
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
			expiry.Retraction = l.ids.next()
		}
		b.Expiries = append(b.Expiries, expiry)
	}
	l.candidates, l.expiries = candidates, b.Expiries
	if b.ClosesClaim { // the facts that no rule concerns are known by number only
		b.Count.Examined += int64(b.RemainingFacts())
	}
	return b
}

// apply writes a batch, and finds out whether it did where the connection was lost in the COMMIT.
func (l *lane) apply(ctx context.Context, b *store.Batch) (applied store.Applied, err error) {
	for {
		err = l.retry(ctx, func() (err error) {
			defer l.watch()()
			applied, err = l.Store.Apply(ctx, *b)
			if store.Is(err, store.Contention) || store.Is(err, store.Disconnected) {
				b.Count.Retries++
				l.show(Retrying)
			}
			return err
		})
		if !store.Is(err, store.Uncertain) {
			return applied, err
		}
		l.show(Retrying)
		now, found, err := l.claimed(ctx, b.Claim.Number)
		switch {
		case err != nil:
			return applied, err
		case !found && b.ClosesClaim, found && now.After == b.UpTo:
			return applied, nil // it was committed, and the next batch's counts tell of it
		case !found:
			return applied, &job.Lost{ID: l.job.ID, State: job.Running}
		}
	}
}

// fail leaves out the one fact of a batch, which the database refuses, and names it in the counts.
func (l *lane) fail(ctx context.Context, b store.Batch, cause error) (store.Claim, error) {
	if store.Is(cause, store.Busy) {
		l.stuck++
	}
	f := b.Expiries[0].Fact
	b.Count.Examined++
	b.Count.Selected++
	b.Count.AddTenant(f.Tenant, 1)
	b.Count.AddFailure(f.ID, cause.Error())
	b.Expiries = nil
	applied, err := l.apply(ctx, &b)
	if err != nil {
		return b.Claim, err
	}
	l.put(Sweeping, applied.Counts)
	if n := applied.Counts.FailedCount - l.job.Counts.FailedCount; n > maxFailed {
		return b.Claim, fmt.Errorf("gave up after %d facts could not be written; the last: %w", n, cause)
	}
	return b.Remaining(), nil
}
