package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/pprof/profile"
)

// TestProfile: several runs become one profile, which has the functions and no path of this machine.
func TestProfile(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	part := func(name string, samples int64) string {
		f := &profile.Function{ID: 1, Name: "decayctl/internal/sweep.read", SystemName: "decayctl/internal/sweep.read", Filename: "/home/ada/read.go", StartLine: 7}
		m := &profile.Mapping{ID: 1, File: "/tmp/bench", BuildID: "x", HasFunctions: true}
		l := &profile.Location{ID: 1, Mapping: m, Line: []profile.Line{{Function: f, Line: 9}}}
		p := &profile.Profile{
			SampleType: []*profile.ValueType{{Type: "cpu", Unit: "nanoseconds"}},
			Sample:     []*profile.Sample{{Location: []*profile.Location{l}, Value: []int64{samples}}},
			Mapping:    []*profile.Mapping{m}, Location: []*profile.Location{l}, Function: []*profile.Function{f},
		}
		path := filepath.Join(folder, name)
		file, err := os.Create(path)
		if err == nil {
			err = errors.Join(p.Write(file), file.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
		return path
	}
	out := filepath.Join(folder, "out")
	if err := writeProfile(out, []string{part("a", 3), part("b", 4)}); err != nil {
		t.Fatal(err)
	}
	p, err := parseProfile(out)
	if err != nil || len(p.Sample) != 1 || p.Sample[0].Value[0] != 7 {
		t.Fatalf("%v, %v", p, err)
	}
	f := p.Function[0]
	if f.Name != "decayctl/internal/sweep.read" || f.StartLine != 7 || p.Sample[0].Location[0].Line[0].Line != 9 {
		t.Errorf("%+v", f)
	}
	for _, m := range p.Mapping {
		if m.File != "" {
			t.Errorf("%+v", m)
		}
	}
	if f.Filename != "" {
		t.Errorf("%+v", f)
	}
}
