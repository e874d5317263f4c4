package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// measure does what is planned, prints each result as it comes, and writes the page.
func (p plan) measure(ctx context.Context, w io.Writer) error {
	r := run{plan: p, w: w}
	var err error
	if r.program, err = filepath.Abs(p.decayctl); err != nil {
		return err
	}
	if _, err := os.Stat(r.program); err != nil {
		return fmt.Errorf("there is no decayctl to measure; make build makes it: %w", err)
	}
	if r.folder, err = os.MkdirTemp("", "bench-"); err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(r.folder) }()
	r.session = session{At: time.Now().UTC().Truncate(time.Second), Command: p.command, Machine: machine(r.folder)}
	if r.session.Decayctl, err = r.version(ctx); err != nil {
		return err
	}
	for _, name := range p.stores {
		if err := r.onStore(ctx, name); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	if r.profile != "" {
		if err := writeProfile(r.profile, r.profiles); err != nil {
			return err
		}
	}
	if r.out == "" {
		return nil
	}
	if len(p.stores) == 0 { // else all is written
		if err := r.publish(); err != nil {
			return err
		}
	}
	fmt.Fprintf(w, "\nwritten: %s, and beside it .json and .svg\n", r.out)
	return nil
}

// run is one run of the benchmark.
type run struct {
	plan
	w       io.Writer
	program string // decayctl, absolute
	folder  string // removed at the end
	session session
	results results

	profiles []string // of the runs of decayctl so far, where they are wanted
}

func (r *run) onStore(ctx context.Context, name string) (err error) {
	db, err := r.database(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.close()) }()
	versions, err := db.versions(ctx)
	if err != nil {
		return err
	}
	r.session.Versions = append(r.session.Versions, versions)
	for _, facts := range r.facts {
		started := time.Now()
		if err := db.fill(ctx, facts); err != nil {
			return fmt.Errorf("fill a store: %w", err)
		}
		fmt.Fprintf(r.w, "\n%s, %d facts (filled in %.0f s)\n", name, facts, time.Since(started).Seconds())
		if busy := busyShare(ctx); busy > quiet {
			r.session.Busy = max(r.session.Busy, busy)
			fmt.Fprintf(r.w, "others keep %.0f %% of the processors busy: the figures will not be those of a quiet machine\n", 100*busy)
		}
		fmt.Fprintln(r.w, heading)
		s := series{run: r, db: db, store: name, facts: facts}
		if err := s.measure(ctx); err != nil {
			return fmt.Errorf("%d facts: %w", facts, err)
		}
	}
	return nil
}

func (r *run) database(name string) (database, error) {
	if name == postgresStore {
		return newPostgres(r.settings)
	}
	folder := filepath.Join(r.folder, sqliteStore)
	templates := r.templates
	if templates == "" {
		templates = filepath.Join(folder, "templates")
	}
	return &sqliteDatabase{folder: folder, templates: templates}, os.MkdirAll(folder, 0o755)
}

// quiet is the share of the processors that others may use without mention.
const quiet = 0.1

// series is all measurements on stores of one kind and size.
type series struct {
	*run
	db    database
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
			if err := s.neighbour(ctx, contestant, samples, found); err != nil {
				return fmt.Errorf("%s, beside a writer: %w", contestant, err)
			}
			if err := found.agree(); err != nil {
				return err
			}
			if err := s.keep(samples); err != nil { // at once: what comes next may take an hour, or fail
				return err
			}
		}
	}
	return nil
}

// keep takes what has been measured so far into the results, and writes them.
func (s *series) keep(samples map[place][]measurement) error {
	var fresh results
	for at, taken := range samples {
		fresh = append(fresh, s.result(at.of, at.contestant, taken))
	}
	s.results = s.results.merged(fresh)
	return s.publish()
}

// place is where a sample belongs.
type place struct{ of, contestant string }

// wanted tells whether a contestant is to be measured in a case.
func (s *series) wanted(contestant, of string) bool {
	return slices.Contains(s.cases, of) && takesPart(contestant, s.store, of)
}

// sweeps takes one contestant through the cases, one after the other on one copy.
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
		cases = slices.Insert(cases, min(len(cases), slices.Index(cases, dryRunCase)+1), firstCase) // the others follow it
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

// neighbour measures the latency of a writer while a contestant sweeps.
func (s *series) neighbour(ctx context.Context, contestant string, samples map[place][]measurement, found findings) (err error) {
	if !s.wanted(contestant, neighbourCase) {
		return nil
	}
	t, err := s.db.copied(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.remove()) }()
	writer, err := startWriter(ctx, s.self, s.store, t)
	if err != nil {
		return err
	}
	var one measurement
	if contestant == nobody {
		one.started = time.Now()
		select {
		case <-time.After(s.baseline):
		case <-ctx.Done():
			return ctx.Err()
		}
		one.ended = time.Now()
	} else if one, err = s.once(ctx, t, contestant, neighbourCase, ""); err != nil {
		return errors.Join(err, writer.kill())
	}
	if one.writer, err = writer.stop(one.started, one.ended); err != nil {
		return err
	}
	at := place{neighbourCase, contestant}
	samples[at] = append(samples[at], one)
	if contestant != nobody {
		if one.tally, err = tallied(ctx, t, instantsOf(asOf)); err != nil {
			return err
		}
		found[at] = one
	}
	s.print(neighbourCase, contestant, one)
	return nil
}
