package storetest

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"decayctl/internal/fact"
	"decayctl/internal/store"
)

// Candidates reads all that a store hands over of a range, and puts it into the order of ids.
func Candidates(ctx context.Context, s store.Store, p store.CandidatesParams) ([]fact.Candidate, error) {
	var found []fact.Candidate
	err := s.Candidates(ctx, p, func(part []fact.Candidate) error {
		found = append(found, part...)
		return nil
	})
	slices.SortFunc(found, func(a, b fact.Candidate) int { return cmp.Compare(a.Place, b.Place) })
	for i := 1; i < len(found); i++ {
		if found[i].Place == found[i-1].Place {
			return nil, fmt.Errorf("%q and %q have the same place", found[i-1].ID, found[i].ID)
		}
	}
	for i := range found {
		found[i].Place = 0
	}
	return found, err
}
