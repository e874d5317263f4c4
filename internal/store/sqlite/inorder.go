package sqlite

import (
	"context"

	"decayctl/internal/fact"
	"decayctl/internal/store"
)

// inOrderOfIDs is the reading of a range whose text is too long to be read at once: row by row in the order of ids, and
// no more of it at a time than is kept in memory.
type inOrderOfIDs struct{ byRow }

func (r *inOrderOfIDs) run(ctx context.Context) error {
	if err := r.reading(ctx, func(tx querier) (err error) {
		if r.common, err = r.commonExpiries(ctx, tx); err != nil {
			return err
		}
		protections, err := r.loadHolds(ctx, tx, r.params.Range.Mark)
		r.protections = &protections
		return err
	}); err != nil {
		return err
	}
	for end := false; !end; {
		var found []fact.Candidate
		if err := r.reading(ctx, func(tx querier) (err error) {
			found, end, err = r.next(ctx, tx)
			return err
		}); err != nil {
			return err
		}
		if err := r.use(found); err != nil {
			return err
		}
	}
	return nil
}

// next reads the next facts. The quarantine of each is looked up: their ids may be long too.
func (r *inOrderOfIDs) next(ctx context.Context, tx querier) (found []fact.Candidate, end bool, err error) {
	var args store.Args
	c := columns{Protections: r.protections, source: r.params.Source, status: statusSQL}
	from := "FROM facts f LEFT JOIN fact_validity_overrides o ON o.fact_id = f.id WHERE " + within(r.left, "f.id", args.Add) +
		" AND " + factSQL.Conditions(r.params, r.common, &args).Where(store.EffectiveColumns) + " ORDER BY f.id"
	text := 0
	end = true
	if err := c.eachRow(ctx, tx, overrideSQL, from, args, func(f fact.Candidate) (more bool, err error) {
		f.Place = r.place
		r.place++
		found = append(found, f)
		text += f.Text()
		end = text <= store.MaxPartText && len(found) < partSize
		return end, nil
	}); err != nil {
		return nil, false, err
	}
	part := r.left
	if !end {
		last := store.After(found[len(found)-1].ID)
		part.Last, r.left = last, r.left.Behind(last)
	}
	if r.params.Edges {
		edged, err := edgedOf(ctx, tx, part, len(found), func(i int) string { return found[i].ID })
		if err != nil {
			return nil, false, err
		}
		for i := range found {
			found[i].Edged = edged[i]
		}
	}
	return found, end, nil
}
