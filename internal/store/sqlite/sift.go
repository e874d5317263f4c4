package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strconv"

	"decayctl/internal/ordered"
	"decayctl/internal/store"
)

// To sift is to note which facts have not expired. A look-up for each fact, whether it has an override, takes three
// times as long as passing over all overrides in the order of their rows, and then merging the indexes of both tables,
// which have the numbers of the rows. An expiry of a fact's own stands in its row, and is read later.

// findLapsed notes which of the next rows of overrides have surely ended their facts: all but those that are found to
// last, of which there are few. What it misses, because it comes later or has a number that no bitmap holds, only has a
// fact read in vain. An override that comes later, and gets a number among these, as one that was deleted had, is taken
// for a lapsed one: its fact is left to the next look.
func (e *each) findLapsed(ctx context.Context, tx querier, t *ordered.Ticket) (use func() error, err error) {
	var from int64
	more, err := t.Begin(func() (more bool, err error) {
		var first sql.NullInt64
		err = tx.QueryRowContext(ctx, "SELECT min(rowid) FROM fact_validity_overrides WHERE rowid > $1", e.override).Scan(&first)
		if err != nil || !first.Valid || first.Int64 > mostRows {
			return false, err
		}
		from, e.override = first.Int64, first.Int64+eachSize-1
		return true, nil
	})
	if err != nil || !more {
		return nil, err
	}
	const among = "FROM fact_validity_overrides o WHERE o.rowid BETWEEN $1 AND $2"
	args := store.Args{from, from + eachSize - 1}
	last := from
	if err := tx.QueryRowContext(ctx, "SELECT coalesce(max(o.rowid), $1) "+among, args...).Scan(&last); err != nil {
		return nil, err
	}
	args[1] = last
	var rows lines
	lasting, known, err := readLists(ctx, tx, []list{{"o.rowid", &rows}}, among+" AND "+factSQL.Conditions(e.params, e.common, &args).Unexpired("o.valid_until"), args)
	if errors.Is(err, errTooLong) { // they are looked at with their facts
		known, err = false, nil
	}
	return func() error {
		if !known {
			return nil
		}
		e.lapsed.addAll(from, last)
		for range lasting {
			row, err := strconv.ParseInt(rows.cut(), 10, 64)
			if err != nil {
				return err
			}
			e.lapsed.remove(row)
		}
		return nil
	}, err
}

// sift notes which facts of the next range of ids are to be read: those without a lapsed override.
func (e *each) sift(ctx context.Context, tx querier, t *ordered.Ticket) (use func() error, err error) {
	var r store.Range
	more, err := t.Begin(func() (more bool, err error) {
		r, err = e.nextRange(ctx, tx, store.RangeParams{After: e.seen.Last, Size: eachSize})
		if err != nil || r.End() {
			return false, err
		}
		e.seen.Last = r.Last
		e.seen.Facts += r.Facts
		return true, nil
	})
	if err != nil || !more {
		return nil, err
	}
	facts, overrides, err := readIndexes(ctx, tx, r)
	if errors.Is(err, errTooLong) {
		facts, overrides = &index{}, &index{}
		facts.rows, err = readNumbers(ctx, tx, "facts", "id", r)
	}
	if err != nil {
		return nil, err
	}
	wanted := e.merge(facts, overrides)
	return func() error {
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
	}, nil
}

// readIndexes reads the facts of a range and their overrides.
func readIndexes(ctx context.Context, tx querier, r store.Range) (facts, overrides *index, err error) {
	if facts, err = readIndex(ctx, tx, "facts", "id", r); err == nil {
		overrides, err = readIndex(ctx, tx, "fact_validity_overrides", "fact_id", r)
	}
	return facts, overrides, err
}

// index is a range of an index of ids.
type index struct {
	ids   []string // in their order; none where they are not sound
	rows  []int64  // the numbers of their rows
	sound bool     // ids can be told from each other, and were read in their order, which SQLite does not promise
}

func readIndex(ctx context.Context, tx querier, table, column string, r store.Range) (*index, error) {
	var args store.Args
	from := "FROM " + table + " WHERE " + within(r, column, args.Add)
	var ids, numbers lines
	lists := []list{{"rowid", &numbers}, {column, &ids}}
	n, sound, err := readLists(ctx, tx, lists, from, args)
	if err != nil {
		return nil, err
	}
	i := &index{sound: sound}
	if !sound {
		i.rows, err = readNumbers(ctx, tx, table, column, r)
		return i, err
	}
	if i.rows, err = numbers.numbers(n); err != nil {
		return nil, err
	}
	i.ids = make([]string, n)
	for at := range i.ids {
		i.ids[at] = ids.cut()
	}
	i.sound = slices.IsSorted(i.ids)
	return i, nil
}

// readNumbers reads the numbers of the rows of a range alone.
func readNumbers(ctx context.Context, tx querier, table, column string, r store.Range) ([]int64, error) {
	var args store.Args
	var numbers lines
	n, _, err := readLists(ctx, tx, []list{{"rowid", &numbers}}, "FROM "+table+" WHERE "+within(r, column, args.Add), args)
	if err != nil {
		return nil, err
	}
	return numbers.numbers(n)
}

// numbers takes so many numbers.
func (l *lines) numbers(n int) (numbers []int64, err error) {
	numbers = make([]int64, n)
	for i := range numbers {
		if numbers[i], err = strconv.ParseInt(l.cut(), 10, 64); err != nil {
			return nil, err
		}
	}
	return numbers, nil
}

// wanted is a fact to be read.
type wanted struct {
	row        int64
	overridden bool
}

// merge finds the facts that are to be read. Where ids cannot be told from each other all of them are, and the
// override of each is looked up.
func (e *each) merge(facts, overrides *index) []wanted {
	found := make([]wanted, 0, len(facts.rows))
	if !facts.sound || !overrides.sound {
		for _, row := range facts.rows {
			found = append(found, wanted{row, true})
		}
		return found
	}
	next := 0
	for i, id := range facts.ids {
		for next < len(overrides.ids) && overrides.ids[next] < id {
			next++
		}
		overridden := next < len(overrides.ids) && overrides.ids[next] == id
		if overridden && e.lapsed.has(overrides.rows[next]) {
			continue
		}
		found = append(found, wanted{facts.rows[i], overridden})
	}
	return found
}
