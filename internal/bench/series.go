package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// series is all measurements on stores of one kind and one size.
type series struct {
	*run
	db    database
	nodes database // stores made by a node; nil without the case node
	store string
	facts int
}

func (s *series) measure(ctx context.Context) error {
	samples := map[place][]measurement{}
	for range s.times {
		found := findings{}
		for _, contestant := range s.contestants {
			if err := s.sweeps(ctx, contestant, samples, found); err != nil {
				return fmt.Errorf("%s: %w", contestant, err)
			}
			for _, of := range []string{neighbourCase, nodeCase} {
				if err := s.beside(ctx, of, contestant, samples, found); err != nil {
					return fmt.Errorf("%s, %s: %w", contestant, of, err)
				}
			}
			if err := found.agree(); err != nil {
				return err
			}
			if err := s.keep(samples); err != nil { // at once, since the next measurement may take an hour, or fail
				return err
			}
		}
	}
	return nil
}

// keep adds the samples so far to the results, and writes them.
func (s *series) keep(samples map[place][]measurement) error {
	var fresh results
	for at, taken := range samples {
		fresh = append(fresh, s.result(at.of, at.contestant, taken))
	}
	s.results = s.results.merged(fresh)
	return s.publish()
}

// place is the case and the contestant of a sample.
type place struct{ of, contestant string }

// wanted tells whether a contestant is to be measured in a case.
func (s *series) wanted(contestant, of string) bool {
	return slices.Contains(s.cases, of) && takesPart(contestant, s.store, of)
}

// sweeps measures one contestant in all cases without a user, one after the other on one copy.
func (s *series) sweeps(ctx context.Context, contestant string, samples map[place][]measurement, found findings) (err error) {
	var cases []string
	for _, of := range []string{dryRunCase, firstCase, nothingCase, nightlyCase, undoCase} {
		if s.wanted(contestant, of) {
			cases = append(cases, of)
		}
	}
	if len(cases) == 0 {
		return nil
	}
	if !slices.Contains(cases, firstCase) && !slices.Equal(cases, []string{dryRunCase}) {
		cases = slices.Insert(cases, min(len(cases), slices.Index(cases, dryRunCase)+1), firstCase) // the other cases need its sweep
	}
	t, err := s.db.copied(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.remove()) }()
	var job string
	for _, of := range cases {
		one, err := s.once(ctx, t, contestant, of, job)
		if err != nil {
			return fmt.Errorf("%s: %w", of, err)
		}
		if of == firstCase {
			job = one.job
		}
		if one.tally, err = tallied(ctx, t, instantsOf(instantOf(of))); err != nil {
			return err
		}
		at := place{of, contestant}
		samples[at] = append(samples[at], one)
		found[at] = one
		s.print(of, contestant, one)
	}
	return nil
}

// beside measures a process that uses a store while a contestant sweeps it. In the case node it uses the store through a
// node.
func (s *series) beside(ctx context.Context, of, contestant string, samples map[place][]measurement, found findings) (err error) {
	if !s.wanted(contestant, of) {
		return nil
	}
	db := s.db
	if of == nodeCase {
		db = s.nodes
	}
	t, err := db.copied(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.remove()) }()
	args := []string{writerChild, s.store, address(t)}
	var n *node
	if of == nodeCase {
		if n, err = startNode(s.node, address(t)); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, n.stop()) }()
		args = []string{clientChild, n.URL, address(t)}
	}
	u, err := startUser(ctx, s.self, args...)
	if err != nil {
		return err
	}
	var one measurement
	switch contestant {
	case noSweep:
		one.started = time.Now()
		select {
		case <-time.After(s.baseline):
		case <-ctx.Done():
			err = ctx.Err()
		}
		one.ended = time.Now()
	case ownSweep:
		one, err = n.sweep(ctx, t)
	default:
		one, err = s.once(ctx, t, contestant, of, "")
	}
	if err != nil {
		return errors.Join(err, u.kill())
	}
	events, err := u.stop()
	if err != nil {
		return err
	}
	one.writer = noticed(events, false, one.started, one.ended)
	at := instantsOf(asOf)
	if of == nodeCase {
		one.queries = noticed(events, true, one.started, one.ended)
		if one.writer.Lost, err = lost(ctx, t, acknowledged(events)); err != nil {
			return err
		}
	}
	if contestant == ownSweep {
		if at, err = sweptAt(ctx, t); err != nil {
			return err
		}
	}
	if contestant != noSweep {
		if one.tally, err = tallied(ctx, t, at); err != nil {
			return err
		}
		found[place{of, contestant}] = one
	}
	samples[place{of, contestant}] = append(samples[place{of, contestant}], one)
	s.print(of, contestant, one)
	return nil
}
