package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"strconv"

	"decayctl/internal/store"
)

// To sift is to note which facts have not expired. A look-up for each fact, whether it has an override, takes three
// times as long as passing over all overrides in the order of their rows, and then merging the indexes of both tables,
// which have the numbers of the rows. An expiry of a fact's own stands in its row, and is read later.

// findLapsed notes which of the next rows of overrides have surely ended their facts. What it misses, because it comes
// later or has a number that no bitmap holds, only has a fact read in vain. An override that comes later, and gets the
// number of one that was deleted, is taken for that one: its fact is left to the next look.
func (e *each) findLapsed(ctx context.Context, tx querier) (*turn, func() error, error) {
	var from int64
	mine, err := e.turns.next(func() (more bool, err error) {
		var first sql.NullInt64
		err = tx.QueryRowContext(ctx, "SELECT min(rowid) FROM fact_validity_overrides WHERE rowid > $1", e.override).Scan(&first)
		if err != nil || !first.Valid || first.Int64 > mostRows {
			return false, err
		}
		from, e.override = first.Int64, first.Int64+eachSize-1
		return true, nil
	})
	if err != nil || mine == nil {
		return nil, nil, err
	}
	args := arguments{from, from + eachSize - 1}
	var rows lines
	lapsed, _, err := readLists(ctx, tx, []list{{"o.rowid", &rows}}, `
		FROM fact_validity_overrides o
		WHERE o.rowid BETWEEN $1 AND $2 AND NOT `+live("o.valid_until", e.params.AsOf, e.common, args.add), args)
	return mine, func() error {
		for range lapsed {
			row, err := strconv.ParseInt(rows.cut(), 10, 64)
			if err != nil {
				return err
			}
			e.lapsed.add(row)
		}
		return nil
	}, err
}

// sift notes which facts of the next range of ids are to be read: those without a lapsed override.
func (e *each) sift(ctx context.Context, tx querier) (*turn, func() error, error) {
	var r store.Range
	mine, err := e.turns.next(func() (more bool, err error) {
		if e.end {
			return false, nil
		}
		r, err = e.nextRange(ctx, tx, store.RangeParams{After: e.seen.Last, Size: eachSize})
		if e.end = err != nil || r.End(); e.end {
			return false, err
		}
		e.seen.Last = r.Last
		e.seen.Facts += r.Facts
		return true, nil
	})
	if err != nil || mine == nil {
		return nil, nil, err
	}
	facts, err := readIndex(ctx, tx, "facts", "id", r)
	if err != nil {
		return nil, nil, err
	}
	overrides, err := readIndex(ctx, tx, "fact_validity_overrides", "fact_id", r)
	if err != nil {
		return nil, nil, err
	}
	wanted, err := e.merge(facts, overrides)
	return mine, func() error {
		for _, w := range wanted {
			if w.row < 1 || w.row > mostRows { // it has come since begin looked
				return errRenumbered
			}
			if w.overridden {
				e.overridden.add(w.row)
			}
			e.live.add(w.row)
		}
		return e.use(nil, r.Facts-len(wanted))
	}, err
}

// readIndex reads a range of an index of ids.
func readIndex(ctx context.Context, tx querier, table, column string, r store.Range) (*indexed, error) {
	var args arguments
	from := "FROM " + table + " WHERE " + within(r, column, args.add)
	i := &indexed{}
	rows := list{"rowid", &i.rows}
	var err error
	i.left, i.sound, err = readLists(ctx, tx, []list{{column, &i.ids}, rows}, from, args)
	if err == nil && !i.sound { // the numbers of the rows alone
		i.ids = ""
		i.left, _, err = readLists(ctx, tx, []list{rows}, from, args)
	}
	return i, err
}

// indexed are ids and the numbers of their rows, read step by step.
type indexed struct {
	left      int // to be read
	sound     bool
	ids, rows lines // no ids where they are not sound
	id        string
	row       int64
	err       error
}

// step goes to the next id, if there is one. SQLite promises no order here, though it goes by the index.
func (i *indexed) step() (more bool) {
	if i.left == 0 {
		return false
	}
	i.left--
	id := i.ids.cut()
	if id < i.id {
		i.err = errUnordered
	}
	i.id = id
	row, err := strconv.ParseInt(i.rows.cut(), 10, 64)
	i.row, i.err = row, errors.Join(i.err, err)
	return i.err == nil
}

var errUnordered = errors.New("ids were not read in their order")

// wanted is a fact to be read.
type wanted struct {
	row        int64
	overridden bool
}

// merge finds the facts that are to be read. Where ids cannot be told from each other all of them are, and the
// override of each is looked up.
func (e *each) merge(facts, overrides *indexed) ([]wanted, error) {
	found := make([]wanted, 0, eachSize)
	sound := facts.sound && overrides.sound
	if !sound {
		overrides.left = 0
	}
	more := overrides.step()
	for facts.step() {
		for more && overrides.id < facts.id {
			more = overrides.step()
		}
		overridden := more && overrides.id == facts.id
		if overridden && e.lapsed.has(overrides.row) {
			continue
		}
		found = append(found, wanted{facts.row, overridden || !sound})
	}
	return found, errors.Join(facts.err, overrides.err)
}
