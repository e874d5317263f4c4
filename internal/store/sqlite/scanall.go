package sqlite

import (
	"context"
	"database/sql"
	"math/bits"

	"decayctl/internal/fact"
	"decayctl/internal/ordered"
	"decayctl/internal/store"
)

// maxRowID is the largest rowid in a scan of all facts. The scan keeps two bits in memory for each rowid, at most 32 MB.
const maxRowID = 1 << 27

// ScanAll finds the rowids of all facts to read, and then reads these rows in the order of rowids, so that each page is
// read once. If a fact gets an override in between, the fact is handed over without one, and the batch finds the change.
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
	rows       rowSet // of the facts to read
	overridden rowSet // of the facts to read that have an override
	row        int64  // the next rowid to read
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

// findNext finds the rowids of the next range of facts.
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
		if w.row < 1 || w.row > maxRowID { // inserted since ScanAll checked
			return errRenumbered
		}
		e.rows.add(w.row)
		if w.overridden {
			e.overridden.add(w.row)
		}
	}
	return e.use(nil, max(0, r.Facts-len(all)))
}

// readNext reads the next facts of the set.
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

// rowSet is a set of rowids as a bitmap. Rowids are 0 or more.
type rowSet []uint64

func (s *rowSet) add(row int64) {
	for int64(len(*s)) <= row/64 {
		*s = append(*s, 0)
	}
	(*s)[row/64] |= 1 << (row % 64)
}

func (s rowSet) has(row int64) bool { return row < s.end() && s[row/64]>>(row%64)&1 == 1 }

// next is the first rowid of the set that is row or more, or end if there is none.
func (s rowSet) next(row int64) int64 {
	for ; row < s.end(); row = (row/64 + 1) * 64 {
		if left := s[row/64] >> (row % 64); left != 0 {
			return row + int64(bits.TrailingZeros64(left))
		}
	}
	return s.end()
}

// end is above all rowids of the set.
func (s rowSet) end() int64 { return int64(len(s)) * 64 }
