package storetest

import (
	"cmp"
	"context"
	"fmt"
	"reflect"
	"slices"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"decayctl/internal/fact"
	"decayctl/internal/store"
)

// Candidates reads a range as InOrder does. It also reads the range with CandidatesParams.InOrder, and fails if the facts
// differ.
func Candidates(ctx context.Context, s store.Store, p store.CandidatesParams) ([]fact.Candidate, error) {
	found, err := InOrder(ctx, s, p)
	if err == nil {
		err = sameInOrder(ctx, s, p, found)
	}
	return found, err
}

// InOrder reads a range and sorts the facts by Place, which it then sets to 0.
func InOrder(ctx context.Context, s store.Store, p store.CandidatesParams) ([]fact.Candidate, error) {
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

// sameInOrder reads facts again with CandidatesParams.InOrder, as facts with long texts are read.
func sameInOrder(ctx context.Context, s store.Store, p store.CandidatesParams, want []fact.Candidate) error {
	p.InOrder = true
	var found []fact.Candidate
	if err := s.Candidates(ctx, p, func(part []fact.Candidate) error {
		found = append(found, part...)
		return nil
	}); err != nil {
		return err
	}
	last := -1
	for i := range found {
		if found[i].Place <= last {
			return fmt.Errorf("%q has the place %d, and comes behind the place %d", found[i].ID, found[i].Place, last)
		}
		last, found[i].Place = found[i].Place, 0
	}
	same := func(a, b fact.Candidate) bool {
		a.Quarantine, b.Quarantine = nil, nil // may be the fact's own or the effective status
		return reflect.DeepEqual(a, b)
	}
	if slices.EqualFunc(want, found, same) { // much faster than cmp.Diff
		return nil
	}
	status := cmpopts.IgnoreFields(fact.Fact{}, "Quarantine")
	if diff := gocmp.Diff(want, found, status, cmpopts.EquateEmpty()); diff != "" {
		return fmt.Errorf("in the order of ids: %s", diff)
	}
	return nil
}
