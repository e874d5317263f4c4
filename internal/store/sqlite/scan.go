package sqlite

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"decayctl/internal/fact"
	"decayctl/internal/store"
)

// partSize is how many facts are read in one transaction. A longer one keeps checkpoints from resetting the log, and on a
// database that is not in WAL mode it keeps other processes from writing.
const partSize = 2_500

// scan reads facts in two steps. First it merges the indexes of the ids of facts and of overrides, and notes the rowids of
// the facts whose override has not ended them. Then it reads these rows in the order in which they lie, so that facts on
// one page are read together. In the order of ids, each would be on another page.
type scan struct {
	*Store
	params      store.CandidatesParams
	common      []string // see commonExpiries
	protections *store.Protections
	version     int64 // of the schema, which each transaction must find: another may have other rowids; 0 is any
}

// wanted is a fact to be read.
type wanted struct {
	row        int64
	place      int  // among the facts of the range, in the order of ids
	overridden bool // the override is to be read too
}

// Candidates reads the facts of a range in the order of their rows or, if InOrder is set, of their ids. No transaction is
// open while a part is used.
func (s *Store) Candidates(ctx context.Context, p store.CandidatesParams, use func([]fact.Candidate) error) error {
	c := scan{Store: s, params: p}
	err := c.reading(ctx, func(tx querier) error { return c.begin(ctx, tx, &p.Range, !p.InOrder) })
	if err == nil && p.InOrder {
		err = c.inOrder(ctx, use)
	} else if err == nil {
		err = c.byRow(ctx, use)
	}
	return s.translate(err, "read the facts")
}

// begin reads what all parts need; r is nil for all facts. What it reads may be older than the facts: a batch looks again.
func (c *scan) begin(ctx context.Context, tx querier, r *store.Range, byRow bool) (err error) {
	if byRow {
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

func (c *scan) byRow(ctx context.Context, use func([]fact.Candidate) error) error {
	var all []wanted
	left, place := c.params.Range, 0
	for more := true; more; {
		found, facts, rest, again, err := c.findPart(ctx, left, place)
		if err != nil {
			return err
		}
		all = append(all, found...)
		left, more, place = rest, again, place+facts
	}
	slices.SortFunc(all, func(a, b wanted) int { return cmp.Compare(a.row, b.row) })
	for part := range slices.Chunk(all, partSize) {
		if err := c.readPart(ctx, part, func(found []fact.Candidate, _ int) error { return use(found) }); err != nil {
			return err
		}
	}
	return nil
}

// inOrder finds and reads each part in one transaction, whatever other processes do to the schema meanwhile.
func (c *scan) inOrder(ctx context.Context, use func([]fact.Candidate) error) error {
	left, place := c.params.Range, 0
	for more := true; more; {
		var found []fact.Candidate
		var facts int
		rest := left
		if err := c.shorter(ctx, func(tx querier, size int) error {
			part, n, behind, again, err := c.find(ctx, tx, left, size, place)
			if err != nil {
				return err
			}
			facts, rest, more = n, behind, again
			found, err = c.readRows(ctx, tx, part)
			slices.SortFunc(found, func(a, b fact.Candidate) int { return cmp.Compare(a.Place, b.Place) })
			return err
		}); err != nil {
			return err
		}
		left, place = rest, place+facts
		if err := use(found); err != nil {
			return err
		}
	}
	return nil
}

// transaction runs work in a transaction that reads. If it is not for one fact alone, a value that is too long ends it with
// errTooLong.
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

// errRenumbered: VACUUM may give rows other rowids, and so does a table that is made anew. Both change the schema's version.
var errRenumbered = &store.Error{Kind: store.TooLong, Text: "cannot read the facts by their rows: the schema was changed meanwhile"}

// shorter tries to read a number of facts in one transaction, and fewer as long as their text is too long.
func (c *scan) shorter(ctx context.Context, try func(tx querier, size int) error) error {
	for size := partSize; ; size = max(1, size/8) {
		err := c.transaction(ctx, size == 1, func(tx querier) error { return try(tx, size) })
		if !tooLong(err) || size == 1 {
			return err
		}
	}
}

// findPart finds what is wanted of the first facts of a range. more tells whether there are more of its facts behind.
func (c *scan) findPart(ctx context.Context, r store.Range, place int) (found []wanted, facts int, left store.Range, more bool, err error) {
	err = c.shorter(ctx, func(tx querier, size int) (err error) {
		found, facts, left, more, err = c.find(ctx, tx, r, size, place)
		return err
	})
	return found, facts, left, more, err
}

// find merges the two indexes.
func (c *scan) find(ctx context.Context, tx querier, r store.Range, size, place int) (found []wanted, facts int, left store.Range, more bool, err error) {
	var args store.Args
	where := within(r, "id", args.Add)
	ids, rows, err := readIndex(ctx, tx, "SELECT id, rowid AS value FROM facts WHERE "+where+" ORDER BY id LIMIT "+args.Add(size), args)
	if err != nil || len(ids) == 0 {
		return nil, 0, r, false, err
	}
	left = r
	if more = len(ids) == size && ids[size-1] != r.Last.ID; more {
		last := store.After(ids[size-1])
		r, left = r.UpTo(last), r.Behind(last)
	}
	found = make([]wanted, len(ids))
	for i, row := range rows {
		found[i] = wanted{place: place + i}
		if found[i].row, err = parseRow(row); err != nil {
			return nil, 0, left, false, err
		}
	}
	ended := make([]bool, len(ids))
	args = nil
	where = within(r, "fact_id", args.Add)
	unexpired := factSQL.Conditions(c.params, c.common, &args).Unexpired("o.valid_until")
	next := 0
	err = mergeIndex(ctx, tx, "SELECT fact_id AS id, CASE WHEN "+unexpired+" THEN '1' ELSE '0' END AS value FROM fact_validity_overrides o WHERE "+where+" ORDER BY fact_id",
		args, func(id, unexpired string) {
			for next < len(ids) && ids[next] < id {
				next++
			}
			if next < len(ids) && ids[next] == id {
				found[next].overridden, ended[next] = true, unexpired == "0"
			}
		})
	next = 0
	found = slices.DeleteFunc(found, func(wanted) bool { next++; return ended[next-1] })
	return found, len(ids), left, more, err
}

// readPart reads facts, the half of them at a time if their text is too long to be read at once. use also gets the number of
// wanted facts for which the found ones stand.
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

// readRows reads facts with their overrides. Of a fact without one, no override is looked for, in vain.
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
		more, err := c.readEach(ctx, tx, overrideSQL, listed+"LEFT JOIN fact_validity_overrides o ON o.fact_id = f.id "+where, args)
		if err != nil {
			return nil, err
		}
		found = append(found, more...)
	}
	return found, c.identify(found, part)
}

// identify tells the place of each fact by its rowid.
func (c *scan) identify(found []fact.Candidate, part []wanted) error {
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

// mergeIndex hands over the rows of a query for an id and a value, in the order of ids. If they are too long to be read at
// once, they are read one by one: there may be any number of overrides of no fact.
func mergeIndex(ctx context.Context, tx querier, query string, args store.Args, each func(id, value string)) error {
	ids, values, err := readIndex(ctx, tx, query, args)
	if tooLong(err) {
		var id, value string
		return onRows(ctx, tx)(query, args, []any{&id, &value}, func() error {
			each(strings.Clone(id), value)
			return nil
		})
	}
	for i, id := range ids {
		each(id, values[i])
	}
	return err
}

// readIndex reads the rows of a query for an id and a value, in the order of ids.
func readIndex(ctx context.Context, tx querier, query string, args store.Args) (ids, values []string, err error) {
	columns, sound, err := readTexts(ctx, tx, []string{"id", "value"}, "FROM ("+query+")", args)
	if err != nil {
		return nil, nil, err
	}
	// SQLite promises no order of what it puts into one value, though it keeps to that of the rows.
	if sound && slices.IsSorted(columns[0]) {
		return columns[0], columns[1], nil
	}
	var id, value string
	err = onRows(ctx, tx)(query, args, []any{&id, &value}, func() error {
		ids, values = append(ids, id), append(values, value)
		return nil
	})
	return ids, values, err
}
