package sweep

import (
	"context"
	"errors"
	"strings"

	"decayctl/internal/fact"
	"decayctl/internal/ordered"
	"decayctl/internal/store"
)

// piece is a range, or a part of one, that was read and judged.
type piece struct {
	claim   store.Claim  // whole
	from    store.Cursor // where the piece begins
	upTo    store.Cursor // its last fact
	before  int          // facts that earlier pieces of the range cover
	covered int          // facts that this one covers, those that the store filtered out included

	judged    []judged  // in any order, as a pass that only reads needs them
	decisions decisions // in the order of ids, as batches need them
	undecided []judged  // facts whose verdicts need ranks that are not known yet
	text      int       // bytes of text that judged and undecided keep in memory
	live      int64     // facts not expired by now, if Params.Live asks for them
}

// rest is what a piece leaves of its range.
func (p *piece) rest() piece {
	return piece{claim: p.claim, from: p.upTo, before: p.before + p.covered}
}

// isLast tells whether nothing of the range is left after the piece.
func (p *piece) isLast() bool { return p.upTo == p.claim.Last }

// maxPieceText is how many bytes of text a piece may have, unless one part of it has more: entities and ids may have any
// length.
const maxPieceText = 8 << 20

// visitor takes in what a pass over the whole store has judged.
type visitor interface {
	// begin starts a pass. What was taken in so far is void. If inOrder is false, facts come in any order, and some are
	// only counted at the end.
	begin(inOrder bool)

	// visit takes in a piece. An error ends the pass, and no other way is tried.
	visit(p piece) error
}

// scan judges every fact of the store once: in the store's cheapest order if it can be scanned at once; else, or if that
// fails, range by range. More can end a long read than a short one: a standby that has changes to apply, a limit on time or
// on temporary files. It returns the range that was scanned.
func (e *Engine) scan(ctx context.Context, p Params, keep keeping, v visitor) (store.Range, error) {
	var refused error
	v.begin(false)
	decide := newDecider(e, p, keep)
	seen, whole, err := e.Store.ScanAll(ctx, p.candidates(), func(found []fact.Candidate, covered int) error {
		part := piece{covered: covered}
		decide.alone(&part, found)
		if err := decide.byRank(ctx, &part); err != nil {
			return err
		}
		refused = v.visit(part)
		return refused
	})
	switch {
	case whole && err == nil:
		return seen, nil
	case ctx.Err() != nil:
		return seen, errors.Join(err, ctx.Err())
	case refused != nil:
		return seen, refused
	}
	v.begin(true)
	return e.scanRanges(ctx, p, keep, v)
}

func (e *Engine) scanRanges(ctx context.Context, p Params, keep keeping, v visitor) (seen store.Range, err error) {
	size := e.Store.Tuning().RangeSize
	err = e.readAhead(ctx, p, keep, func() (store.Claim, error) {
		r, err := e.Store.NextRange(ctx, store.RangeParams{After: seen.Last, Size: size})
		if err == nil && !r.End() {
			seen.Last = r.Last
			seen.Facts += r.Facts
		}
		return store.Claim{Range: r}, err
	}, v.visit)
	return seen, err
}

// prefetch is how many ranges are in memory: one in use, one being read. While none is in use both are being read, which
// makes a pass that only reads twice as fast on two cores.
const prefetch = 2

// readAhead reads and judges ranges, and uses them in order, piece by piece. next is called by one goroutine at a time, and
// returns a range without a Last at the end.
func (e *Engine) readAhead(ctx context.Context, p Params, keep keeping, next func() (store.Claim, error), use func(piece) error) error {
	deciders := make(chan *decider, prefetch) // those that are not at work
	for range prefetch {
		deciders <- newDecider(e, p, keep)
	}
	return ordered.Run(ctx, prefetch, func(ctx context.Context, t *ordered.Ticket) error {
		part := piece{}
		more, err := t.Begin(func() (bool, error) {
			err := e.retry(ctx, func() (err error) {
				part.claim, err = next()
				return err
			})
			return !part.claim.End(), err
		})
		if err != nil || !more {
			return err
		}
		d := <-deciders
		defer func() { deciders <- d }()
		for part.from = part.claim.After; ; part = part.rest() {
			if err := e.read(ctx, d, &part); err != nil {
				return err
			}
			if err := t.Wait(ctx); err != nil {
				return err
			}
			if err := use(part); err != nil || part.isLast() {
				return err
			}
		}
	})
}

// read reads and judges the facts of a range, or of what earlier pieces left of it, as far as there is room for their
// text. A piece that does not reach the end of its range is read in the order of ids: else there were no place to go on from.
func (e *Engine) read(ctx context.Context, d *decider, p *piece) error {
	params := d.params.candidates()
	params.Range = p.claim.Beyond(p.from)
	params.InOrder = p.from != p.claim.After
	begin := *p
	full, err := e.readPiece(ctx, params, d, p)
	if !params.InOrder && (full || store.Is(err, store.TooLong)) {
		*p, params.InOrder = begin, true
		full, err = e.readPiece(ctx, params, d, p)
	}
	if err != nil {
		return err
	}
	if !full || p.isLast() {
		p.upTo, p.covered = p.claim.Last, max(0, p.claim.Facts-p.before)
	}
	// Not before: behind a pooler, what is read may hold the connection that groups of facts would be read by.
	if err := d.byRank(ctx, p); err != nil {
		return err
	}
	p.decisions.sort()
	return nil
}

// readPiece reads facts until there is no room for more. full tells whether that came before the end.
func (e *Engine) readPiece(ctx context.Context, params store.CandidatesParams, d *decider, p *piece) (full bool, err error) {
	begin := *p
	err = e.retry(ctx, func() error {
		*p, full = begin, false
		err := e.Store.Candidates(ctx, params, func(part []fact.Candidate) error {
			d.alone(p, part)
			p.covered += len(part)
			if p.text+p.decisions.text <= maxPieceText {
				return nil
			}
			full, p.upTo = true, store.After(strings.Clone(part[len(part)-1].ID))
			return errFull
		})
		if full {
			return nil // whatever the store made of it
		}
		return err
	})
	return full, err
}

// errFull ends the reading of a piece.
var errFull = errors.New("there is no room for more")
