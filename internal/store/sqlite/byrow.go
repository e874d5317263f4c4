package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"slices"

	"decayctl/internal/fact"
	"decayctl/internal/store"
)

// partSize is how many facts are read at once: a pass may be faster with more, but holds no others meanwhile.
const partSize = 2_500

// idsAfter is how many ranges are read in the order of ids once rows have got other numbers: somebody may be making
// and dropping tables all the time.
const idsAfter = 8

// Candidates reads the facts of a range in the order in which they lie, so that those that share a page are read
// together: the more facts there are in a range, the more do. No transaction is longer than for a part, and none is
// open while a part is used.
func (s *Store) Candidates(ctx context.Context, p store.CandidatesParams, use func([]fact.Candidate) error) error {
	if p.InOrder {
		r := inOrderOfIDs{byRow{Store: s, params: p, use: use, left: p.Range, byID: true}}
		return s.translate(r.run(ctx), "read the facts")
	}
	r := byRow{Store: s, params: p, use: use, left: p.Range, byID: s.renumbered.Add(-1) >= 0}
	err := r.run(ctx)
	if errors.Is(err, errRenumbered) {
		s.renumbered.Store(idsAfter)
	}
	return s.translate(err, "read the facts")
}

// byRow is the reading of a range.
type byRow struct {
	*Store
	params store.CandidatesParams
	use    func([]fact.Candidate) error

	byID        bool  // rows are known by their ids, and not by numbers
	version     int64 // of the schema
	common      []string
	protections *store.Protections
	left        store.Range // whose rows are not known yet
	place       int         // of its first fact
	rows        []placed    // of facts that have no override
}

// placed is a fact that is known by the number of its row.
type placed struct {
	row   int64
	place int
	edged bool
}

func (r *byRow) run(ctx context.Context) error {
	if err := r.reading(ctx, func(tx querier) error { return r.begin(ctx, tx) }); err != nil {
		return err
	}
	for end := false; !end; {
		if err := r.part(ctx, func(tx querier) (found []fact.Candidate, err error) {
			found, end, err = r.nextPart(ctx, tx)
			return found, err
		}); err != nil {
			return err
		}
	}
	slices.SortFunc(r.rows, func(a, b placed) int { return cmp.Compare(a.row, b.row) })
	for rows := range slices.Chunk(r.rows, partSize) {
		if err := r.part(ctx, func(tx querier) ([]fact.Candidate, error) { return r.readRows(ctx, tx, rows) }); err != nil {
			return err
		}
	}
	return nil
}

// part reads some facts, as long as rows have the numbers that they had, and hands them over.
func (r *byRow) part(ctx context.Context, read func(tx querier) ([]fact.Candidate, error)) error {
	var found []fact.Candidate
	if err := r.readingShort(ctx, func(tx querier) (err error) {
		if !r.byID {
			if err := unchanged(ctx, tx, r.version); err != nil {
				return err
			}
		}
		found, err = read(tx)
		return err
	}); err != nil {
		return err
	}
	return r.use(found)
}

// begin reads what all parts need. It may be older than the facts: the batch looks again, if anything was written
// since.
func (r *byRow) begin(ctx context.Context, tx querier) (err error) {
	if r.version, err = schemaVersion(ctx, tx); err != nil {
		return err
	}
	if r.common, err = r.commonExpiries(ctx, tx); err != nil {
		return err
	}
	r.protections, err = r.loadProtections(ctx, tx, r.params.Range)
	if err == nil && !r.protections.StatusesComplete() {
		err = errTooLong
	}
	return err
}

// nextPart notes the rows of the next facts, and reads those that have an override.
func (r *byRow) nextPart(ctx context.Context, tx querier) (found []fact.Candidate, end bool, err error) {
	p := r.params
	if p.Range, end, err = r.cut(ctx, tx); err != nil {
		return nil, false, err
	}
	if p.Range.IDs == nil && !r.byID {
		facts, overrides, err := readIndexes(ctx, tx, p.Range)
		if err != nil {
			return nil, false, err
		}
		if facts.sound && overrides.sound {
			found, err = r.note(ctx, tx, p, facts, overrides)
			return found, end, err
		}
	}
	if found, err = r.readByID(ctx, tx, p); err != nil {
		return nil, false, err
	}
	for i := range found {
		found[i].Place = r.place + i
	}
	r.place += len(found)
	return found, end, nil
}

// cut takes a part from the front of the range.
func (r *byRow) cut(ctx context.Context, tx querier) (part store.Range, end bool, err error) {
	part = r.left
	if part.IDs != nil || part.Facts <= partSize {
		return part, true, nil
	}
	args := store.Args{}
	where := within(part, "id", args.Add)
	var last string
	err = tx.QueryRowContext(ctx, "SELECT id FROM facts WHERE "+where+" ORDER BY id LIMIT 1 OFFSET "+args.Add(partSize-1), args...).Scan(&last)
	if errors.Is(err, sql.ErrNoRows) {
		return part, true, nil
	}
	part.Last, r.left.After = store.After(last), store.After(last)
	r.left.Facts -= partSize
	return part, false, err
}

// note tells the facts of a part that have an override, which it reads, from others, whose rows it notes.
func (r *byRow) note(ctx context.Context, tx querier, p store.CandidatesParams, facts, overrides *index) (found []fact.Candidate, err error) {
	if len(overrides.ids) > 0 {
		if found, err = r.readOverridden(ctx, tx, p); err != nil {
			return nil, err
		}
	}
	if r.rows == nil {
		r.rows = make([]placed, 0, r.params.Range.Facts)
	}
	edged := make([]bool, len(facts.ids))
	if p.Edges {
		if edged, err = edgedOf(ctx, tx, p.Range, len(facts.ids), func(i int) string { return facts.ids[i] }); err != nil {
			return nil, err
		}
	}
	overridden, read := overrides.ids, found
	for i, id := range facts.ids {
		for len(overridden) > 0 && overridden[0] < id {
			overridden = overridden[1:]
		}
		for len(read) > 0 && read[0].ID < id {
			read = read[1:]
		}
		switch {
		case len(read) > 0 && read[0].ID == id:
			read[0].Place, read[0].Edged = r.place+i, edged[i]
		case len(overridden) == 0 || overridden[0] != id:
			r.rows = append(r.rows, placed{facts.rows[i], r.place + i, edged[i]})
		}
	}
	r.place += len(facts.ids)
	return found, nil
}

// errUnordered should not come up: SQLite promises no order of what it puts into one value, though it keeps to it.
var errUnordered = errors.New("facts were not read in the order of their rows")

// readRows reads facts by their rows.
func (r *byRow) readRows(ctx context.Context, tx querier, part []placed) ([]fact.Candidate, error) {
	list := jsonArray{}
	for _, p := range part {
		list.number(p.row)
	}
	args := store.Args{list.String()}
	c := r.columns()
	c.placed = true
	found, err := c.plain(ctx, tx, "FROM "+numberedSQL+" WHERE "+
		factSQL.Conditions(r.params, r.common, &args).Where(store.OwnColumns), args, 0)
	if err != nil {
		return nil, err
	}
	for i := range found {
		f := &found[i]
		for len(part) > 0 && part[0].row < int64(f.Place) {
			part = part[1:]
		}
		if len(part) == 0 || part[0].row != int64(f.Place) {
			return nil, errUnordered
		}
		f.Place, f.Edged = part[0].place, part[0].edged
	}
	return found, nil
}

func (r *byRow) columns() columns {
	return columns{Protections: r.protections, source: r.params.Source, status: "f.quarantine_status"}
}

// readByID reads all facts of a part in the order of their ids.
func (r *byRow) readByID(ctx context.Context, tx querier, p store.CandidatesParams) ([]fact.Candidate, error) {
	overridden, err := r.readOverridden(ctx, tx, p)
	if err != nil {
		return nil, err
	}
	from, args := plainIn(p, r.common)
	plain, err := r.columns().plain(ctx, tx, from, args, len(overridden))
	if err != nil {
		return nil, err
	}
	found := merge(plain, overridden)
	if !p.Edges {
		return found, nil
	}
	edged, err := edgedOf(ctx, tx, p.Range, len(found), func(i int) string { return found[i].ID })
	for i := range found {
		found[i].Edged = edged[i]
	}
	return found, err
}

// readOverridden reads those facts of a part that have an override, in the order of their ids.
func (r *byRow) readOverridden(ctx context.Context, tx querier, p store.CandidatesParams) ([]fact.Candidate, error) {
	from, args := overriddenIn(p, r.common)
	found, err := r.columns().rows(ctx, tx, overrideSQL, from, args)
	return inOrder(found), err
}
