package sqlite

import (
	"context"
	"database/sql"
	"math/bits"

	"decayctl/internal/fact"
	"decayctl/internal/ordered"
	"decayctl/internal/store"
)

// maxRowID is how large a rowid may be in a scan of all facts, which keeps two bits for each: 32 MB.
const maxRowID = 1 << 27

// ScanAll scans all facts: it finds the rows of all that are to be read, and then reads each page of the table once. A fact
// that had no override when it was found is judged without one; all others are judged as they are when they are read.
func (s *Store) ScanAll(ctx context.Context, p store.CandidatesParams, use func(found []fact.Candidate, covered int) error) (seen store.Range, whole bool, err error) {
	e := fullScan{scan: scan{Store: s, params: p}, use: use}
	var first, last sql.NullInt64
	if err := s.read.QueryRowContext(ctx, "SELECT (SELECT min(rowid) FROM facts), (SELECT max(rowid) FROM facts)").Scan(&first, &last); err != nil {
		return seen, false, s.translate(err, "read the facts")
	}
	if first.Int64 < 1 || last.Int64 > maxRowID {
		return seen, false, nil
	}
	err = e.run(ctx)
	return e.seen, true, s.translate(err, "read the facts")
}

// fullScan is one scan of all facts.
type fullScan struct {
	scan
	use func([]fact.Candidate, int) error

	seen       store.Range
	rows       rowSet // of the facts to be read
	overridden rowSet // of those of them that have an override
	row        int64  // the next one to be read
}

func (e *fullScan) run(ctx context.Context) error {
	if err := e.reading(ctx, func(tx querier) error { return e.begin(ctx, tx, nil, true) }); err != nil {
		return err
	}
	if err := ordered.Run(ctx, readers, e.findNext); err != nil {
		return err
	}
	return ordered.Run(ctx, readers, e.readNext)
}

// findNext notes the rows of the next facts.
func (e *fullScan) findNext(ctx context.Context, t *ordered.Ticket) error {
	var r store.Range
	more, err := t.Begin(func() (more bool, err error) {
		if r, err = e.nextRange(ctx, e.read, store.RangeParams{After: e.seen.Last, Size: partSize}); err != nil || r.End() {
			return false, err
		}
		e.seen.Last = r.Last
		e.seen.Facts += r.Facts
		return true, nil
	})
	if err != nil || !more {
		return err
	}
	var all []wanted
	for w := e.walk(r); w.more; {
		if err := w.next(ctx, func(_ querier, part []wanted) error {
			all = append(all, part...)
			return nil
		}); err != nil {
			return err
		}
	}
	if err := t.Wait(ctx); err != nil {
		return err
	}
	for _, w := range all {
		if w.row < 1 || w.row > maxRowID { // it has come since ScanAll looked
			return errRenumbered
		}
		e.rows.add(w.row)
		if w.overridden {
			e.overridden.add(w.row)
		}
	}
	return e.use(nil, max(0, r.Facts-len(all)))
}

// readNext reads the next of the facts that were noted.
func (e *fullScan) readNext(ctx context.Context, t *ordered.Ticket) error {
	part := make([]wanted, 0, partSize)
	more, err := t.Begin(func() (bool, error) {
		for ; len(part) < partSize; e.row++ {
			if e.row = e.rows.next(e.row); e.row == e.rows.end() {
				break
			}
			part = append(part, wanted{row: e.row, overridden: e.overridden.has(e.row)})
		}
		return len(part) > 0, nil
	})
	if err != nil || !more {
		return err
	}
	return e.readPart(ctx, part, func(found []fact.Candidate, of int) error {
		if err := t.Wait(ctx); err != nil {
			return err
		}
		return e.use(found, of)
	})
}

// rowSet is a set of rowids, none below 0, in as many bits as the largest of them.
type rowSet []uint64

func (s *rowSet) add(row int64) {
	for int64(len(*s)) <= row/64 {
		*s = append(*s, 0)
	}
	(*s)[row/64] |= 1 << (row % 64)
}

func (s rowSet) has(row int64) bool { return row < s.end() && s[row/64]>>(row%64)&1 == 1 }

// next is the first row of the set from one on; if there is none, the end.
func (s rowSet) next(row int64) int64 {
	for ; row < s.end(); row = (row/64 + 1) * 64 {
		if left := s[row/64] >> (row % 64); left != 0 {
			return row + int64(bits.TrailingZeros64(left))
		}
	}
	return s.end()
}

// end is above all rows of the set.
func (s rowSet) end() int64 { return int64(len(s)) * 64 }
