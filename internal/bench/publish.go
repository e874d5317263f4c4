package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// publish writes the page, the plot and the results. What this run has not measured is taken from earlier runs.
func (r *run) publish() error {
	if r.out == "" {
		return nil
	}
	beside := strings.TrimSuffix(r.out, ".md")
	var rec record
	if err := load(beside+".json", &rec); err != nil {
		return err
	}
	if len(r.results) > 0 {
		rec.add(r.session, r.results)
	}
	text, err := json.MarshalIndent(rec, "", "  ")
	if err != nil {
		return err
	}
	old, err := os.ReadFile(r.out)
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	return errors.Join(
		os.MkdirAll(filepath.Dir(r.out), 0o755),
		os.WriteFile(beside+".json", append(text, '\n'), 0o644),
		os.WriteFile(beside+".svg", []byte(plot(rec.Results)), 0o644),
		os.WriteFile(r.out, []byte(page(rec, string(old), filepath.Base(beside)+".json", filepath.Base(beside)+".svg")), 0o644))
}

// version is the version of a build of decayctl.
func version(ctx context.Context, program string) (string, error) {
	out, err := exec.CommandContext(ctx, program, "version").Output()
	if err != nil {
		return "", fmt.Errorf("%s version: %w", program, err)
	}
	first, _, _ := strings.Cut(string(out), "\n")
	return strings.TrimPrefix(first, "decayctl "), nil
}

// load reads the results of earlier runs. A file that does not exist has none.
func load(path string, rec *record) error {
	text, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return nil
	}
	if err == nil {
		err = json.Unmarshal(text, rec)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// add adds a run to the record, and removes the runs of which no result is left.
func (rec *record) add(s session, fresh results) {
	rec.Results = rec.Results.merged(fresh)
	rec.Runs = slices.DeleteFunc(rec.Runs, func(old session) bool { return old.At.Equal(s.At) })
	rec.Runs = slices.DeleteFunc(append(rec.Runs, s), func(s session) bool {
		return !slices.ContainsFunc(rec.Results, func(r result) bool { return r.Run.Equal(s.At) })
	})
}
