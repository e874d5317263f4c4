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

	"decayctl/internal/interop/nodeproc"
)

// measure runs the plan, prints each result at once, and writes the page.
func (p plan) measure(ctx context.Context, w io.Writer) error {
	r := run{plan: p, w: w}
	var err error
	if r.program, err = filepath.Abs(p.decayctl); err != nil {
		return err
	}
	folder, err := filepath.Abs(string(p.node))
	if err != nil {
		return err
	}
	r.node = nodeproc.Installation(folder)
	if _, err := os.Stat(r.program); err != nil {
		return fmt.Errorf("there is no decayctl to measure; make build makes it: %w", err)
	}
	if r.folder, err = os.MkdirTemp("", "bench-"); err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(r.folder) }()
	r.session = session{At: time.Now().UTC().Truncate(time.Second), Command: p.command, Machine: machine(r.folder)}
	if r.session.Decayctl, err = version(ctx, r.program); err != nil {
		return err
	}
	if p.against != "" {
		if r.former, err = filepath.Abs(p.against); err != nil {
			return err
		}
		if r.session.Against, err = version(ctx, r.former); err != nil {
			return err
		}
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
	if len(p.stores) == 0 { // else publish was called after each measurement
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
	former  string // the decayctl of -against, absolute; "" is none
	folder  string // removed at the end
	session session
	results results

	profiles []string // files with a profile of each run of decayctl so far
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
	nodes := r.nodeStores(name, db)
	for _, facts := range r.facts {
		started := time.Now()
		if err := db.fill(ctx, facts); err != nil {
			return fmt.Errorf("fill a store: %w", err)
		}
		if nodes != nil {
			if err := nodes.fill(ctx, facts); err != nil {
				return fmt.Errorf("fill a node's store: %w", err)
			}
		}
		fmt.Fprintf(r.w, "\n%s, %d facts (filled in %.0f s)\n", name, facts, time.Since(started).Seconds())
		if busy := busyShare(ctx); busy > quiet {
			r.session.Busy = max(r.session.Busy, busy)
			fmt.Fprintf(r.w, "other processes keep %.0f %% of the processors busy: the figures will not be those of a quiet machine\n", 100*busy)
		}
		fmt.Fprintln(r.w, heading)
		s := series{run: r, db: db, nodes: nodes, store: name, facts: facts}
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
	return newSQLite(folder, templates), os.MkdirAll(folder, 0o755)
}

// nodeStores are stores that a node made; nil if the case node is not to be measured. If no node is installed, the case is
// left out.
func (r *run) nodeStores(name string, db database) database {
	plain, ok := db.(*sqliteDatabase)
	if !ok || !slices.Contains(r.cases, nodeCase) {
		return nil
	}
	if !r.node.Complete() {
		fmt.Fprintf(r.w, "\nthe case %s is left out: there is no node in %s (bash internal/interop/install %s installs it)\n", nodeCase, r.node, r.node)
		r.cases = slices.DeleteFunc(slices.Clone(r.cases), func(of string) bool { return of == nodeCase })
		return nil
	}
	r.session.Versions = append(r.session.Versions, "stigmem-node "+nodeproc.Newest+".")
	return newNodeStores(r.node, plain)
}

// quiet is the share of the processors, 0 to 1, that other processes may use without a warning.
const quiet = 0.1
