package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"decayctl/internal/config"
	"decayctl/internal/fact"
	"decayctl/internal/job"
	"decayctl/internal/plan"
	"decayctl/internal/report"
	"decayctl/internal/store"
	"decayctl/internal/wholefile"
)

// readPlan reads the plan to apply.
func (a *app) readPlan(name string) (*plan.Plan, error) {
	data, err := readUpTo(a.inDir(name), plan.MaxSize)
	if err != nil {
		return nil, planError(name, "cannot be read: "+reasonOf(err).Error())
	}
	p, err := plan.Parse(data)
	if err != nil {
		return nil, planError(name, err.Error())
	}
	if p.AsOf.After(a.Now()) {
		return nil, planError(name, "is as of "+fact.FormatInstant(p.AsOf)+", and a sweep judges by a time that has come; apply it then")
	}
	return &p, nil
}

func planError(name, text string) error {
	return usageError{"the plan " + report.Clean(name) + " " + text}
}

// forJob is what a job needs to apply a plan. It fails if the plan was made for another store.
func forJob(ctx context.Context, start config.Start, at config.Store, s store.Store, p *plan.Plan) (digest, check string, err error) {
	here, err := planStore(ctx, at, s)
	if err != nil {
		return "", "", err
	}
	if err := p.CheckStore(here); err != nil {
		return "", "", planError(start.Plan, err.Error())
	}
	of := plan.Check{Sum: p.Sum}
	if start.AllowDrift != nil {
		of.Allow = *start.AllowDrift
	}
	return p.Sum.Digest(), of.String(), nil
}

// readUpTo reads a file. It fails if the file has more than so many bytes.
func readUpTo(path string, most int64) ([]byte, error) {
	file, err := wholefile.Open(path, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	data, err := io.ReadAll(io.LimitReader(file, most+1))
	if err == nil && int64(len(data)) > most {
		err = errors.New("it is too large to be one")
	}
	return data, err
}

// checkPlanPlace fails if a plan cannot be written to a file, before the dry run begins.
func (a *app) checkPlanPlace(name string) error {
	path := a.inDir(name)
	if there, err := os.Stat(path); err == nil && there.IsDir() {
		return usageError{fmt.Sprintf("--save %s: it is a folder; name a file", report.Clean(name))}
	}
	folder, err := os.Stat(filepath.Dir(path))
	switch {
	case err != nil:
		return usageError{fmt.Sprintf("--save %s: its folder cannot be used: %s", report.Clean(name), reasonOf(err))}
	case !folder.IsDir():
		return usageError{fmt.Sprintf("--save %s: it is in no folder", report.Clean(name))}
	}
	return nil
}

// saveDryRun writes a dry run to a file as a plan.
func (a *app) saveDryRun(ctx context.Context, name string, at config.Store, s store.Store, j job.Job, sum *plan.Sum) error {
	here, err := planStore(ctx, at, s)
	if err != nil {
		return err
	}
	return a.savePlan(name, plan.Plan{
		Version: builtWith().Version, Created: j.Completed, Store: here,
		Rules: j.Rules, AsOf: j.AsOf, Scope: j.Scope, Tenant: j.Tenant, Sum: sum,
	})
}

// savePlan writes a plan to a file. Only the owner may read the file, which names tenants and relations.
func (a *app) savePlan(name string, p plan.Plan) error {
	data, err := p.Encode()
	if err != nil {
		return err
	}
	err = wholefile.Write(a.inDir(name), 0o600, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
	if err != nil {
		return fmt.Errorf("the dry run is done, but the plan %s could not be written: %w", report.Clean(name), reasonOf(err))
	}
	return nil
}

// planStore identifies the store of a plan.
func planStore(ctx context.Context, at config.Store, s store.Store) (plan.Store, error) {
	id, err := s.NodeID(ctx)
	return plan.Store{NodeID: id, Kind: at.Kind, Address: at.Address()}, err
}

// reasonOf is an error of the file system without the file's name, which the message already has.
func reasonOf(err error) error {
	var of *fs.PathError
	if errors.As(err, &of) {
		return of.Err
	}
	return err
}
