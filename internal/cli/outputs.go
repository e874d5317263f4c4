package cli

import (
	"fmt"
	"os"
	"path/filepath"

	"decayctl/internal/config"
	"decayctl/internal/report"
	"decayctl/internal/wholefile"
)

// place is a file that a command reads or writes, by what it is to the operator.
type place struct{ what, path string }

// checkOutputs fails if a command would write over a file that it reads, or two outputs to one file. A file is replaced whole: a
// store, or a config file, would be gone.
func (a *app) checkOutputs(c config.Config) error {
	var outputs []place
	if c.DryRun.Save != "" {
		outputs = append(outputs, place{"--save", a.inDir(c.DryRun.Save)})
	}
	for _, r := range c.Output.Reports {
		outputs = append(outputs, place{"--report", r.Path})
	}
	if c.Ending.MetricsFile != "" {
		outputs = append(outputs, place{"--metrics-file", c.Ending.MetricsFile})
	}
	if len(outputs) == 0 {
		return nil
	}
	var inputs []place
	if c.Store.Kind == config.SQLite {
		for _, suffix := range []string{"", "-wal", "-shm", "-journal"} {
			inputs = append(inputs, place{"the store", realPath(c.Store.Path) + suffix})
		}
	}
	for _, path := range c.Files {
		inputs = append(inputs, place{"a file with settings", path})
	}
	if c.Start.Plan != "" {
		inputs = append(inputs, place{"the plan", a.inDir(c.Start.Plan)})
	}
	for i, out := range outputs {
		for _, in := range inputs {
			if sameFile(out.path, in.path) {
				return usageError{fmt.Sprintf("%s %s would replace %s; name another file", out.what, report.Clean(out.path), in.what)}
			}
		}
		for _, other := range outputs[:i] {
			if sameFile(out.path, other.path) && out.path != os.DevNull {
				return usageError{fmt.Sprintf("%s and %s both name %s; name another file", other.what, out.what, report.Clean(out.path))}
			}
		}
	}
	return nil
}

// sameFile tells whether two names lead to one file, which need not be there yet.
func sameFile(a, b string) bool {
	if realPath(a) == realPath(b) {
		return true
	}
	one, err := os.Stat(a)
	if err != nil {
		return false
	}
	other, err := os.Stat(b)
	return err == nil && os.SameFile(one, other)
}

// realPath is a path without symbolic links. Its file need not be there.
func realPath(path string) string {
	path = wholefile.Target(path)
	if folder, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
		return filepath.Join(folder, filepath.Base(path))
	}
	return filepath.Clean(path)
}
