package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"errors"

	"decayctl/internal/fact"
	"decayctl/internal/ordered"
	"decayctl/internal/store"
)

const (
	mostRows = 1 << 27 // rows of facts that a pass keeps two bits of: 32 MB
	eachSize = 10_000  // rows that are read at once
	eachSpan = 320_000 // rows that are passed over for those, at most
)

// Each first only notes which facts have not expired, see sift; then it reads those in the order in which they lie,
// so that each page is read once. In id order it would be one for every fact.
// No transaction is longer than for a range, so that nothing keeps the node's log from being moved. A fact whose
// override had lapsed, or that had none, when that was noted is judged as it was then, since its row never changes;
// all others as they are when their rows are read.
func (s *Store) Each(ctx context.Context, p store.CandidatesParams, use func(found []fact.Candidate, passed int) error) (seen store.Range, whole bool, err error) {
	e := each{Store: s, params: p, use: use, seen: store.Range{Mark: store.Mark(s.mark.Load())}}
	whole, err = e.begin(ctx)
	if err == nil && whole {
		err = e.run(ctx)
	}
	return e.seen, whole, s.translate(err, "read the facts")
}

// each is one pass over all facts.
type each struct {
	*Store
	params store.CandidatesParams
	use    func([]fact.Candidate, int) error

	version    int64  // of the schema
	override   int64  // the row of overrides up to which they were looked at
	lapsed     bitmap // rows of overrides that have surely ended their facts
	seen       store.Range
	live       bitmap // rows of facts that have not expired
	overridden bitmap // those of them that have an override
	row        int64  // the next one to be read

	common      []string          // see commonExpiries
	protections store.Protections // of all facts
	status      string            // what is selected for the quarantine status of a fact
}

// begin tells whether the rows have numbers that a bitmap can hold.
func (e *each) begin(ctx context.Context) (possible bool, err error) {
	var first, last sql.NullInt64
	if err := e.read.QueryRowContext(ctx, "SELECT (SELECT min(rowid) FROM facts), (SELECT max(rowid) FROM facts)").Scan(&first, &last); err != nil {
		return false, err
	}
	if first.Int64 < 1 || last.Int64 > mostRows {
		return false, nil
	}
	if e.common, err = e.commonExpiries(ctx, e.read); err != nil {
		return false, err
	}
	e.version, err = schemaVersion(ctx, e.read)
	return true, err
}

func (e *each) run(ctx context.Context) error {
	if err := e.inParallel(ctx, e.findLapsed); err != nil {
		return err
	}
	if err := e.inParallel(ctx, e.sift); err != nil {
		return err
	}
	e.lapsed = nil
	if err := e.reading(ctx, func(tx querier) error { return e.loadAllProtections(ctx, tx) }); err != nil {
		return err
	}
	return e.inParallel(ctx, e.readRows)
}

// inParallel reads the store part by part, each in a transaction of its own, and uses the parts in order. read begins the
// next part and reads it; the function that it returns uses the part, and is nil if there is none.
func (e *each) inParallel(ctx context.Context, read func(context.Context, querier, *ordered.Ticket) (use func() error, err error)) error {
	return ordered.Run(ctx, readers, func(ctx context.Context, t *ordered.Ticket) error {
		var use func() error
		err := e.readingShort(ctx, func(tx querier) (err error) {
			if err := unchanged(ctx, tx, e.version); err != nil {
				return err
			}
			use, err = read(ctx, tx, t)
			return err
		})
		if err != nil || use == nil {
			return err
		}
		if err := t.Wait(ctx); err != nil {
			return err
		}
		return use()
	})
}

// unchanged makes sure that rows still have the numbers that they had. VACUUM may give new ones, and so does a
// table that is made anew; both count as a change of the schema.
func unchanged(ctx context.Context, tx querier, since int64) error {
	version, err := schemaVersion(ctx, tx)
	if err == nil && version != since {
		err = errRenumbered
	}
	return err
}

func schemaVersion(ctx context.Context, tx querier) (version int64, err error) {
	err = tx.QueryRowContext(ctx, "PRAGMA schema_version").Scan(&version)
	return version, err
}

// errRenumbered is gone at the next try.
var errRenumbered = &store.Error{Kind: store.Contention, Text: "cannot read the facts: the tables were changed meanwhile"}

// loadAllProtections reads what belongs to all facts, where that is little. Else it is looked up fact by fact.
func (e *each) loadAllProtections(ctx context.Context, tx querier) (err error) {
	var statuses int
	if err := tx.QueryRowContext(ctx, "SELECT coalesce(max(rowid), 0) FROM fact_quarantine_status").Scan(&statuses); err != nil {
		return err
	}
	if statuses > store.MaxTombstones || e.seen.End() {
		e.status = statusSQL
		e.protections, err = e.loadHolds(ctx, tx, e.seen.Mark)
		return err
	}
	e.status = "f.quarantine_status"
	protections, err := e.loadProtections(ctx, tx, e.seen)
	if err != nil {
		return err
	}
	e.protections = *protections
	if !e.protections.StatusesComplete() {
		e.status = statusSQL
	}
	return nil
}

// readRows reads the next of the rows that were noted. All rows in between are passed over one after the other: to
// look up each that is wanted takes longer, as long as they are not very few.
func (e *each) readRows(ctx context.Context, tx querier, t *ordered.Ticket) (use func() error, err error) {
	var from int64
	var mask []byte // of the rows from there on: what is wanted of each
	rows := 0
	more, err := t.Begin(func() (more bool, err error) {
		from = e.live.next(e.row)
		for e.row = from; e.row < e.live.end() && rows < eachSize && e.row-from < eachSpan; e.row = e.live.next(e.row + 1) {
			mask = append(mask, make([]byte, e.row-from-int64(len(mask)))...)
			wanted := byte(wantedRow)
			if e.overridden.has(e.row) {
				wanted = wantedOverride
			}
			mask = append(mask, wanted)
			rows++
		}
		return rows > 0, nil
	})
	if err != nil || !more {
		return nil, err
	}
	found, err := e.readMasked(ctx, tx, from, mask)
	if tooLong(err) || errors.Is(err, errTooLong) {
		return func() error { return e.readHalves(ctx, from, mask) }, nil
	}
	return func() error { return e.use(found, rows) }, err
}

// readHalves reads facts whose text is too long to be read at once: half of them, and then the others.
func (e *each) readHalves(ctx context.Context, from int64, mask []byte) error {
	half := len(mask) / 2
	for _, part := range []struct {
		from int64
		mask []byte
	}{{from, mask[:half]}, {from + int64(half), mask[half:]}} {
		wanted := len(part.mask) - bytes.Count(part.mask, []byte{0})
		if wanted == 0 {
			continue
		}
		var found []fact.Candidate
		reading := e.readingShort
		if len(part.mask) == 1 {
			reading = e.reading
		}
		err := reading(ctx, func(tx querier) (err error) {
			if err := unchanged(ctx, tx, e.version); err != nil {
				return err
			}
			found, err = e.readMasked(ctx, tx, part.from, part.mask)
			return err
		})
		switch {
		case errors.Is(err, errTooLong):
			err = e.readHalves(ctx, part.from, part.mask)
		case err == nil:
			err = e.use(found, wanted)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// What stands in a mask for a row that is wanted, alone or with its override.
const (
	wantedRow      = 1
	wantedOverride = 2
)

// readMasked looks for overrides of those facts alone that had one: the others would be looked up in vain, each on
// another page.
func (e *each) readMasked(ctx context.Context, tx querier, first int64, mask []byte) ([]fact.Candidate, error) {
	c := columns{Protections: &e.protections, source: e.params.Source, status: e.status, alone: len(mask) == 1}
	const these = "WHERE f.rowid BETWEEN $1 AND $2 AND substr($3, f.rowid - $1 + 1, 1) = "
	bounds := []any{first, first + int64(len(mask)) - 1, mask}
	args := store.Args(bounds)
	plain, err := c.plain(ctx, tx, "FROM facts f "+these+"x'01' AND "+factSQL.Conditions(e.params, e.common, &args).Where(store.OwnColumns), args, 0)
	overridden := bytes.Count(mask, []byte{wantedOverride})
	if err != nil || overridden == 0 {
		return plain, err
	}
	facts, where := "facts f", these+"x'02'"
	args = bounds
	if overridden < len(mask)/fewAmong {
		facts, where, args = numberedSQL, "WHERE true", store.Args{listed(first, mask)}
	}
	found, err := c.rows(ctx, tx, overrideSQL, "FROM "+facts+" LEFT JOIN fact_validity_overrides o ON o.fact_id = f.id "+
		where+" AND "+factSQL.Conditions(e.params, e.common, &args).Where(store.EffectiveColumns), args)
	return append(plain, found...), err
}

// fewAmong: of so many rows one is looked up in less time than all are passed over once more.
const fewAmong = 8

// listed are the rows that are wanted with their overrides.
func listed(first int64, mask []byte) string {
	list := jsonArray{}
	for i, wanted := range mask {
		if wanted == wantedOverride {
			list.number(first + int64(i))
		}
	}
	return list.String()
}
