package sqlite

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"decayctl/internal/fact"
	"decayctl/internal/store"
)

// partSize is how many facts one transaction reads. A long transaction keeps checkpoints from resetting the WAL. Without
// WAL mode, it keeps other processes from writing.
const partSize = 2_500

// scan reads facts in two steps. First it merges the indexes on the ids of facts and of overrides, and keeps the rowids of
// facts that no override has expired. Then it reads these rows in the order of rowids, so that the facts of a page are read
// together. In the order of ids, each fact would be on another page.
type scan struct {
	*Store
	params      store.CandidatesParams
	common      []string // see commonExpiries
	protections *store.Protections
	version     int64 // of the schema; if it changes between two transactions, rowids may have changed; 0 is not checked
}

// wanted is a fact to read.
type wanted struct {
	row        int64 // rowid
	place      int   // among the facts of the range, in the order of ids
	overridden bool  // the fact has an override
}

// Candidates reads the facts of a range in the order of rowids or, if InOrder is set, of ids. No transaction is open while
// use runs.
func (s *Store) Candidates(ctx context.Context, p store.CandidatesParams, use func([]fact.Candidate) error) error {
	c := scan{Store: s, params: p}
	err := c.reading(ctx, func(tx querier) error { return c.begin(ctx, tx, &p.Range, !p.InOrder) })
	if err == nil && p.InOrder {
		err = c.inIDOrder(ctx, use)
	} else if err == nil {
		err = c.inRowOrder(ctx, use)
	}
	return s.translate(err, "read the facts")
}

// begin reads what all parts need. r is nil for all facts. The protections may change before the facts are read: a batch
// reads them again.
func (c *scan) begin(ctx context.Context, tx querier, r *store.Range, rowOrder bool) (err error) {
	if rowOrder {
		if c.version, err = schemaVersion(ctx, tx); err != nil {
			return err
		}
	}
	if c.common, err = c.commonExpiries(ctx, tx); err != nil {
		return err
	}
	c.protections, err = c.loadProtections(ctx, tx, r, store.MaxTombstones)
	return err
}

// inRowOrder finds all rowids of the range first, and then reads the rows.
func (c *scan) inRowOrder(ctx context.Context, use func([]fact.Candidate) error) error {
	var all []wanted
	for w := c.walk(c.params.Range); w.more; {
		if err := w.next(ctx, func(_ querier, part []wanted) error {
			all = append(all, part...)
			return nil
		}); err != nil {
			return err
		}
	}
	slices.SortFunc(all, func(a, b wanted) int { return cmp.Compare(a.row, b.row) })
	for part := range slices.Chunk(all, partSize) {
		if err := c.readPart(ctx, part, func(found []fact.Candidate, _ int) error { return use(found) }); err != nil {
			return err
		}
	}
	return nil
}

// inIDOrder finds and reads each part in one transaction, so that a change of the schema between two parts does no harm.
func (c *scan) inIDOrder(ctx context.Context, use func([]fact.Candidate) error) error {
	for w := c.walk(c.params.Range); w.more; {
		var found []fact.Candidate
		if err := w.next(ctx, func(tx querier, part []wanted) (err error) {
			found, err = c.readRows(ctx, tx, part)
			slices.SortFunc(found, func(a, b fact.Candidate) int { return cmp.Compare(a.Place, b.Place) })
			return err
		}); err != nil {
			return err
		}
		if err := use(found); err != nil {
			return err
		}
	}
	return nil
}

// transaction runs work in a transaction that reads. Unless it reads one fact alone, it fails with errTooLong at a value
// longer than maxValue.
func (c *scan) transaction(ctx context.Context, alone bool, work func(tx querier) error) error {
	run := c.readingShort
	if alone {
		run = c.reading
	}
	return run(ctx, func(tx querier) error {
		if c.version != 0 {
			if version, err := schemaVersion(ctx, tx); err != nil || version != c.version {
				return errors.Join(err, errRenumbered)
			}
		}
		return work(tx)
	})
}

func schemaVersion(ctx context.Context, tx querier) (version int64, err error) {
	err = tx.QueryRowContext(ctx, "PRAGMA schema_version").Scan(&version)
	return version, err
}

// errRenumbered is the error if rowids may have changed: VACUUM and a re-created table change them, and both change the
// version of the schema.
var errRenumbered = &store.Error{Kind: store.TooLong, Text: "cannot read the facts by their rows: the schema was changed since the scan began"}

// walk finds the facts to read of a range, part by part.
type walk struct {
	*scan
	left  store.Range // the rest of the range
	place int         // of the first fact of left
	more  bool        // left may have facts
	size  int         // facts in the next part, at most; small while texts are long
}

func (c *scan) walk(r store.Range) *walk { return &walk{scan: c, left: r, more: true, size: partSize} }

// next finds the next part, and calls read in the same transaction. If the text of the part is too long to be read at once,
// next tries again with a shorter part.
func (w *walk) next(ctx context.Context, read func(tx querier, part []wanted) error) error {
	for {
		var p part
		err := w.transaction(ctx, w.size == 1, func(tx querier) (err error) {
			if p, err = w.find(ctx, tx); err != nil {
				return err
			}
			return read(tx, p.wanted)
		})
		switch {
		case tooLong(err) && w.size > 1:
			w.size = max(1, w.size/8)
			continue
		case err == nil:
			w.left, w.more, w.place = p.left, p.more, w.place+p.facts
			w.size = min(partSize, 2*w.size)
		}
		return err
	}
}

// part is the first facts of a range.
type part struct {
	wanted []wanted    // the facts to read
	facts  int         // number of facts, to read or not
	left   store.Range // the rest of the range
	more   bool        // left may have facts
}

// find merges the indexes on the ids of facts and of overrides.
func (w *walk) find(ctx context.Context, tx querier) (p part, err error) {
	r := w.left
	var args store.Args
	ids, rows, err := readIndex(ctx, tx, "SELECT id, rowid AS value FROM facts WHERE "+within(r, "id", args.Add)+" ORDER BY id LIMIT "+args.Add(w.size), args)
	if err != nil || len(ids) == 0 {
		return part{left: r}, err
	}
	p = part{facts: len(ids), left: r}
	if p.more = len(ids) == w.size && ids[len(ids)-1] != r.Last.ID; p.more {
		last := store.After(ids[len(ids)-1])
		r, p.left = r.UpTo(last), r.Beyond(last)
	}
	p.wanted = make([]wanted, len(ids))
	for i, row := range rows {
		p.wanted[i].place = w.place + i
		if p.wanted[i].row, err = parseRow(row); err != nil {
			return p, err
		}
	}
	ended := make([]bool, len(ids))
	next := 0
	err = w.scanOverrides(ctx, tx, r, func(id string, unexpired bool) {
		for next < len(ids) && ids[next] < id {
			next++
		}
		if next < len(ids) && ids[next] == id {
			p.wanted[next].overridden, ended[next] = true, !unexpired
		}
	})
	next = 0
	p.wanted = slices.DeleteFunc(p.wanted, func(wanted) bool { next++; return ended[next-1] })
	return p, err
}

// scanOverrides hands over the overrides of a range in the order of ids. Some may belong to no fact, and these may have any
// number and length: if they are too long to be read at once, the override of each fact is looked up.
func (w *walk) scanOverrides(ctx context.Context, tx querier, r store.Range, each func(id string, unexpired bool)) error {
	query := func(from, id string) (string, store.Args) {
		var args store.Args
		where := " WHERE " + within(r, id, args.Add) + " ORDER BY " + id
		unexpired := factSQL.Conditions(w.params, w.common, &args).Unexpired("o.valid_until")
		return "SELECT o.fact_id AS id, CASE WHEN " + unexpired + " THEN '1' ELSE '0' END AS value FROM " + from + where, args
	}
	if w.size > 1 { // for a part of one fact, the transaction has no limit on the length of a value
		all, args := query("fact_validity_overrides o", "o.fact_id")
		ids, values, err := readIndex(ctx, tx, all, args)
		if !tooLong(err) {
			for i, id := range ids {
				each(id, values[i] == "1")
			}
			return err
		}
	}
	var id, value string
	lookUps, args := query("facts f CROSS JOIN fact_validity_overrides o ON o.fact_id = f.id", "f.id")
	return onRows(ctx, tx)(lookUps, args, []any{&id, &value}, func() error {
		each(id, value == "1")
		return nil
	})
}

// readPart reads facts. If their text is too long to be read at once, it reads each half by itself. use also gets the number
// of facts that were to be read: the conditions may leave out some.
func (c *scan) readPart(ctx context.Context, part []wanted, use func(found []fact.Candidate, of int) error) error {
	var found []fact.Candidate
	err := c.transaction(ctx, len(part) == 1, func(tx querier) (err error) {
		found, err = c.readRows(ctx, tx, part)
		return err
	})
	if tooLong(err) && len(part) > 1 {
		half := len(part) / 2
		if err := c.readPart(ctx, part[:half], use); err != nil {
			return err
		}
		return c.readPart(ctx, part[half:], use)
	}
	if err != nil {
		return err
	}
	return use(found, len(part))
}

// readRows reads facts with their overrides. For a fact that has none, it looks none up.
func (c *scan) readRows(ctx context.Context, tx querier, part []wanted) ([]fact.Candidate, error) {
	var plain, overridden []wanted
	for _, w := range part {
		if w.overridden {
			overridden = append(overridden, w)
		} else {
			plain = append(plain, w)
		}
	}
	const listed = "FROM json_each($1) b CROSS JOIN facts f ON f.rowid = b.value "
	var found []fact.Candidate
	if len(plain) > 0 {
		args := store.Args{packRows(plain)}
		where := "WHERE " + factSQL.Conditions(c.params, c.common, &args).Where(store.OwnColumns)
		var err error
		if found, err = c.readColumns(ctx, tx, listed+where, args); err != nil {
			return nil, err
		}
	}
	if len(overridden) > 0 {
		args := store.Args{packRows(overridden)}
		where := "WHERE " + factSQL.Conditions(c.params, c.common, &args).Where(store.EffectiveColumns)
		more, err := c.readRowByRow(ctx, tx, overrideSQL, listed+"LEFT JOIN fact_validity_overrides o ON o.fact_id = f.id "+where, args)
		if err != nil {
			return nil, err
		}
		found = append(found, more...)
	}
	return found, c.setPlaces(found, part)
}

// setPlaces replaces the rowid in Place by the fact's place, and sets the fact's protections.
func (c *scan) setPlaces(found []fact.Candidate, part []wanted) error {
	places := make(map[int64]int, len(part))
	for _, w := range part {
		places[w.row] = w.place
	}
	text := 0
	for i := range found {
		f := &found[i]
		f.Place = places[int64(f.Place)]
		c.protections.Protect(f)
		if text += f.Text(); text > store.MaxPartText && len(part) > 1 {
			return errTooLong
		}
	}
	return nil
}
