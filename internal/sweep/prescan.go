package sweep

import (
	"context"
	"errors"
	"strings"
	"unicode/utf8"

	"decayctl/internal/job"
	"decayctl/internal/store"
)

// maxStale is how many facts a pass may find and keep in memory.
const (
	maxStale     = 100_000
	maxStaleText = 8 << 20 // bytes of their ids
)

// errManyStale ends a pass that is not worth it.
var errManyStale = errors.New("many facts are stale")

// prescan looks through the store before the work on a job begins. Where little is stale, as every night after
// the first, only those facts are claimed and read again, and the others are counted: a pass that claims
// nothing may read in any order, and writes nothing where nothing is to be done. Where much is stale, as the
// first facts tell or what is found, it stops, and ranges are claimed one by one. Only the first process of a job
// does so: a job that is stopped before its pass is through must come further the next time. It gives the job's
// counts as they are then.
func (e *Engine) prescan(ctx context.Context, in store.Joined, p Params) (counts job.Counts, err error) {
	counts = in.Job.Counts
	size := e.Store.Tuning().RangeSize
	total, err := e.Store.Estimate(ctx)
	if err != nil || total <= int64(size) || in.Lease.Worker > 1 {
		return counts, err
	}
	if many, err := e.manyAmong(ctx, p, size/10); err != nil || many {
		return counts, err
	}
	var found store.ScanResult
	seen, err := e.pass(ctx, p, func(whole bool) func(piece) error {
		found = store.ScanResult{Size: size / 20}
		var examined int64
		text := 0
		return func(r piece) error {
			examined += int64(r.passed)
			for _, f := range r.facts {
				if f.Acts() {
					if !utf8.ValidString(f.ID) { // cannot stand in a list
						return errManyStale
					}
					if text += len(f.ID); text > maxStaleText {
						return errManyStale
					}
					found.IDs = append(found.IDs, strings.Clone(f.ID))
					continue
				}
				addKept(&found.Count, f.Verdict, f.Tenant)
			}
			of := examined
			if whole { // in whatever order: those to expire may come first
				of = total
			}
			if n := int64(len(found.IDs)); n > int64(size)/10+of/50 || n > maxStale {
				return errManyStale
			}
			e.Progress(progressOf(Counting, job.Counts{Examined: examined}, total))
			return e.Halt()
		}
	})
	switch {
	case errors.Is(err, errManyStale):
		return counts, nil
	case err != nil || seen.End():
		return counts, err
	}
	found.Seen = seen
	err = e.retry(ctx, func() (err error) {
		counts, err = e.Store.EnqueueClaims(ctx, in.Lease, found)
		return again(err)
	})
	return counts, err
}

// manyAmong tells whether more than a tenth of the first few facts are stale.
func (e *Engine) manyAmong(ctx context.Context, p Params, few int) (bool, error) {
	r := piece{}
	err := e.retry(ctx, func() (err error) {
		r.Range, err = e.Store.NextRange(ctx, store.RangeParams{Size: few})
		return err
	})
	if err == nil && !r.End() {
		err = e.read(ctx, newDecider(e, p), &r)
	}
	stale := 0
	for _, f := range r.facts {
		if f.Acts() {
			stale++
		}
	}
	return stale > few/10, err
}
