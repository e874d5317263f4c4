package sweep

import (
	"context"
	"errors"
	"strings"
	"unicode/utf8"

	"decayctl/internal/job"
	"decayctl/internal/store"
)

// What a prescan may find and keep in memory.
const (
	maxStale     = 100_000 // facts
	maxStaleText = 8 << 20 // bytes of their ids
)

// errManyStale ends a prescan that is not worth it.
var errManyStale = errors.New("many facts are stale")

// prescan looks through the store before the work on a job begins. If few facts are stale, as every night after the first,
// only those are claimed and read again, and the others are counted: a scan that claims nothing may read in any order, and
// writes nothing if there is nothing to do. If many are stale, as the first facts tell or what is found, it stops, and
// workers claim range after range. Only the first process of a job does so: a job that is stopped before its prescan is
// through must come further the next time. It returns the job's counts as they are then.
func (e *Engine) prescan(ctx context.Context, in store.Joined, p Params) (job.Counts, error) {
	counts, size := in.Job.Counts, e.Store.Tuning().RangeSize
	total, err := e.estimate(ctx)
	if err != nil || total <= int64(size) || in.Lease.Worker > 1 {
		return counts, err
	}
	if many, err := e.manyAmong(ctx, p, size/10); err != nil || many {
		return counts, err
	}
	f := staleFinder{engine: e, total: total, size: size}
	f.found.Seen, err = e.scan(ctx, p, keepConcerned, &f)
	switch {
	case errors.Is(err, errManyStale):
		return counts, nil
	case err != nil || f.found.Seen.End():
		return counts, err
	}
	err = e.retry(ctx, func() (err error) {
		counts, err = e.Store.EnqueueClaims(ctx, in.Lease, f.found)
		return repeatable(err)
	})
	return counts, err
}

// manyAmong tells whether more than a tenth of the first few facts are stale.
func (e *Engine) manyAmong(ctx context.Context, p Params, few int) (bool, error) {
	first := piece{}
	err := e.retry(ctx, func() (err error) {
		first.claim.Range, err = e.Store.NextRange(ctx, store.RangeParams{Size: few})
		return err
	})
	if err == nil && !first.claim.End() {
		err = e.read(ctx, newDecider(e, p, keepConcerned), &first)
	}
	stale := 0
	for _, f := range first.judged {
		if f.verdict.Acts() {
			stale++
		}
	}
	return stale > few/10, err
}

// staleFinder notes the ids of stale facts, and counts the others.
type staleFinder struct {
	engine   *Engine
	total    int64 // facts in the store, an estimate
	size     int   // facts that are claimed at once
	inOrder  bool
	examined int64
	text     int // bytes of the ids
	found    store.ScanResult
}

func (f *staleFinder) begin(inOrder bool) {
	f.inOrder, f.examined, f.text = inOrder, 0, 0
	f.found = store.ScanResult{Size: f.size / 20}
}

func (f *staleFinder) visit(p piece) error {
	f.examined += int64(p.covered)
	for _, one := range p.judged {
		if !one.verdict.Acts() {
			f.found.Count.AddFact(one.fact.Tenant, one.verdict, job.Planned)
			continue
		}
		if !utf8.ValidString(one.fact.ID) { // cannot stand in a list
			return errManyStale
		}
		if f.text += len(one.fact.ID); f.text > maxStaleText {
			return errManyStale
		}
		f.found.IDs = append(f.found.IDs, strings.Clone(one.fact.ID))
	}
	of := f.total // in any order, the stale facts may come first
	if f.inOrder {
		of = f.examined
	}
	if n := int64(len(f.found.IDs)); n > int64(f.size)/10+of/50 || n > maxStale {
		return errManyStale
	}
	f.engine.Progress(progressOf(Counting, job.Counts{Examined: f.examined}, f.total))
	return f.engine.Halt()
}
