package sweep

import (
	"context"
	"errors"
	"strings"
	"time"

	"decayctl/internal/fact"
	"decayctl/internal/job"
	"decayctl/internal/ordered"
	"decayctl/internal/rule"
	"decayctl/internal/store"
)

// piece is a key range, or a piece of it, read and judged.
type piece struct {
	store.Claim              // whole
	from        store.Cursor // where the piece begins
	upTo        store.Cursor // and its last fact
	before      int          // facts that earlier pieces stand for
	passed      int          // facts that this one is known to stand for

	facts     []judged  // in any order; only those with something to count or to do
	decisions decisions // the same in id order, where they are to be written
	undecided []judged  // whose verdicts turn on more than was read so far
	text      int       // bytes that facts and undecided keep in memory
	live      int64     // facts not expired at as-of, where Params ask for them
}

// rest is what a piece leaves of its range.
func (r piece) rest() piece {
	return piece{Claim: r.Claim, from: r.upTo, before: r.before + r.passed}
}

// isLast tells whether nothing of the range is left behind the piece.
func (r piece) isLast() bool { return r.upTo == r.Last }

// maxPieceText is how many bytes of text a piece may have, unless one part of it has more: entities and ids may have any
// length.
const maxPieceText = 8 << 20

type judged struct {
	*fact.Candidate
	rule.Verdict
}

// addKept counts why a fact of a tenant is kept, and what policies in mode dry_run would do with it.
func addKept(c *job.Counts, v rule.Verdict, tenant string) {
	c.AddShadow(v.Shadow)
	if v.Kept != "" {
		c.AddKept(v.Kept, tenant)
	}
}

// prefetch is how many ranges are in memory: one in use, one being read. While none is in use both are being read, which
// makes a pass that only reads twice as fast on two cores.
const prefetch = 2

// readAhead reads and judges ranges, and uses them in order, piece by piece. next is called by one goroutine at a time, and
// gives a range without a Last at the end.
func (e *Engine) readAhead(ctx context.Context, p Params, next func() (store.Claim, error), use func(piece) error) error {
	judges := make(chan *decider, prefetch) // those that are not at work
	for range prefetch {
		judges <- newDecider(e, p)
	}
	return ordered.Run(ctx, prefetch, func(ctx context.Context, t *ordered.Ticket) error {
		r := piece{}
		more, err := t.Begin(func() (bool, error) {
			err := e.retry(ctx, func() (err error) {
				r.Claim, err = next()
				return err
			})
			return !r.End(), err
		})
		if err != nil || !more {
			return err
		}
		j := <-judges
		defer func() { judges <- j }()
		for r.from = r.After; ; r = r.rest() {
			if err := e.read(ctx, j, &r); err != nil {
				return err
			}
			if err := t.Wait(ctx); err != nil {
				return err
			}
			if err := use(r); err != nil || r.isLast() {
				return err
			}
		}
	})
}

// read reads and judges the facts of a range, or of what earlier pieces left of it, as far as there is room for their
// text. A piece that is not all of it must be read in the order of ids: it would have no end else.
func (e *Engine) read(ctx context.Context, j *decider, r *piece) error {
	params := j.params.candidates()
	params.Range = r.Beyond(r.from)
	params.InOrder = r.from != r.After
	before := *r
	full, err := e.readPiece(ctx, params, j, r)
	if !params.InOrder && (full || store.Is(err, store.TooLong)) {
		*r, params.InOrder = before, true
		full, err = e.readPiece(ctx, params, j, r)
	}
	if err != nil {
		return err
	}
	if !full || r.isLast() {
		r.upTo, r.passed = r.Last, max(0, r.Facts-r.before)
	}
	// Not before: behind a pooler, what is read may hold the connection that groups of facts would be read by.
	if err := j.decideByRank(ctx, r); err != nil {
		return err
	}
	r.decisions.sort()
	return nil
}

// readPiece tells whether there was no room for more than a part of what was to be read.
func (e *Engine) readPiece(ctx context.Context, p store.CandidatesParams, j *decider, r *piece) (full bool, err error) {
	begin := *r
	err = e.retry(ctx, func() error {
		*r, full = begin, false
		err := e.Store.Candidates(ctx, p, func(part []fact.Candidate) error {
			j.decideAlone(r, part)
			r.passed += len(part)
			if r.text+r.decisions.text <= maxPieceText {
				return nil
			}
			full, r.upTo = true, store.After(strings.Clone(part[len(part)-1].ID))
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

// candidates asks a store for the facts that the rules may concern.
func (p Params) candidates() store.CandidatesParams {
	return store.CandidatesParams{Scope: p.Scope, Tenant: p.Tenant, AsOf: p.AsOf, Source: p.Rules.Sources(), Prefilter: p.Prefilter()}
}

// How often the same work is tried. Under contention four times at once suffice, or smaller batches
// are needed; a server that restarts takes half a minute.
const (
	contentionTries = 4
	contentionWait  = 50 * time.Millisecond
	connectionTries = 8
	connectionWait  = 250 * time.Millisecond
	longestWait     = 8 * time.Second
)

// retry repeats work that failed for contention, or for a connection that was lost before anything was
// committed, waiting longer each time.
func (e *Engine) retry(ctx context.Context, work func() error) error {
	for try := 1; ; try++ {
		err := work()
		tries, wait := 1, time.Duration(0)
		switch {
		case store.Is(err, store.Contention):
			tries, wait = contentionTries, contentionWait
		case store.Is(err, store.Disconnected):
			tries, wait = connectionTries, connectionWait
		}
		if try >= tries {
			return err
		}
		if err := e.Sleep(ctx, min(wait<<(try-1), longestWait)); err != nil {
			return err
		}
	}
}

// again has work whose COMMIT is uncertain repeated, where doing it twice is doing it once.
func again(err error) error {
	if !store.Is(err, store.Uncertain) {
		return err
	}
	return &store.Error{Kind: store.Disconnected, Text: err.Error(), Err: err}
}
