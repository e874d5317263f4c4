package main

import (
	"errors"
	"fmt"
	"os"
	"runtime/pprof"

	"github.com/google/pprof/profile"

	"decayctl/internal/cli"
)

// profiledChild is decayctl in a process of this program.
const profiledChild = "profiled"

// profiled runs decayctl with a CPU profile.
func profiled(path string, args []string) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := pprof.StartCPUProfile(file); err != nil {
		return errors.Join(err, file.Close())
	}
	p := cli.ThisProcess()
	p.Args = args
	code := cli.Main(p)
	pprof.StopCPUProfile()
	if err := file.Close(); err != nil || code == 0 {
		return err
	}
	return fmt.Errorf("decayctl ended with exit code %d", code)
}

// writeProfile merges the profiles of all runs into one file, without paths of this machine: the compiler finds functions
// by name and line.
func writeProfile(path string, parts []string) error {
	var all []*profile.Profile
	for _, part := range parts {
		one, err := parseProfile(part)
		if err != nil {
			return err
		}
		all = append(all, one)
	}
	merged, err := profile.Merge(all)
	if err != nil {
		return err
	}
	merged.TimeNanos, merged.DurationNanos = 0, 0
	for _, m := range merged.Mapping {
		m.File, m.BuildID = "", ""
	}
	for _, f := range merged.Function {
		f.Filename = ""
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(merged.Compact().Write(file), file.Close())
}

func parseProfile(path string) (*profile.Profile, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	return profile.Parse(file)
}
