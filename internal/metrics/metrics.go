// Package metrics writes the numbers of a run as a Prometheus text file, for node_exporter's textfile collector.
package metrics

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"decayctl/internal/job"
	"decayctl/internal/wholefile"
)

// Run is one run of a command that has ended.
type Run struct {
	Command  string // as typed, without the program: "sweep", "jobs undo"
	Version  string // of decayctl
	Kind     string // of store: sqlite or postgres; "" if the settings could not be read
	Ended    time.Time
	Duration time.Duration
	Exit     int  // exit code
	Success  bool // the command did what was asked for
	Stopped  bool // it was stopped before its end, as by --max-runtime

	Job     *job.Job                 // the job at the end, or that of a dry run; nil if there is none
	DryRun  bool                     // Job was not written
	Tenants bool                     // count by tenant too
	Waiting map[string]time.Duration // by cause; nil if the command does not wait

	Jobs  *Jobs  // nil if they are not known
	Facts *Facts // nil if they were not counted
}

// Facts are numbers of facts in a store, of the tenants of a dry run.
type Facts struct {
	Live    map[string]int64 // by scope
	Expired int64            // before as-of, in every scope
}

// Jobs are the jobs of a store.
type Jobs struct {
	ByState map[job.State]int64
	Dead    int64         // unfinished jobs that no process works on, except paused and pending ones
	Oldest  time.Duration // age of the oldest unfinished job; 0 if there is none
}

const (
	prefix   = "decayctl_"
	fileMode = 0o644 // node_exporter runs as another user

	lastSuccess = "last_success_timestamp_seconds"
	failedRuns  = "consecutive_failed_runs"
	stoppedRuns = "consecutive_stopped_runs"
	labelRun    = "command" // of metrics about the last run of a command
	labelName   = "name"    // the file's name: two files may hold the same metrics otherwise, and node_exporter refuses both

	maxRules = 50 // rule ids that are labels; the rest counts as otherRule
)

// otherRule is the label of the rules beyond the first fifty.
const otherRule = "other"

// Write replaces a file by one with the metrics of a run. It keeps the metrics of other commands, and the last success of
// this one. A new file has mode 0644. Write fails if the file is not decayctl's, if it belongs to another user, or with an
// error of the file system. Then the file stays as it is.
func Write(path string, run Run) error {
	old, err := read(path)
	if err != nil {
		return err
	}
	failures, stops := 0.0, 0.0
	if !run.Success {
		failures = last(old, failedRuns, run.Command) + 1
	}
	if run.Stopped {
		stops = last(old, stoppedRuns, run.Command) + 1
	}
	families := run.families(nameOf(path), failures, stops)
	keep(families, old, run, nameOf(path))
	names := slices.Sorted(maps.Keys(families))
	for _, name := range names {
		slices.SortFunc(families[name].Metric, func(a, b *dto.Metric) int { return slices.Compare(labels(a), labels(b)) })
	}
	return wholefile.Write(path, fileMode, func(w io.Writer) error {
		for _, name := range names {
			if _, err := expfmt.MetricFamilyToText(w, families[name]); err != nil {
				return err
			}
		}
		return nil
	})
}

// nameOf is the file's name without its extension.
func nameOf(path string) string {
	return strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
}

// read reads a file of Write. It returns nothing if there is no file.
func read(path string) (map[string]*dto.MetricFamily, error) {
	info, err := os.Stat(path) // before opening it: opening a pipe waits for its other end
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is no regular file", path)
	case !ownedByMe(info):
		return nil, fmt.Errorf("%s belongs to another user", path)
	}
	file, err := os.Open(path) //nolint:gosec // the operator names it
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(file)
	if err != nil || len(families) == 0 && info.Size() > 0 {
		return nil, fmt.Errorf("%s is no metrics file of decayctl; remove it, or name another file", path)
	}
	for name, family := range families {
		if !strings.HasPrefix(name, prefix) || family.GetType() != dto.MetricType_GAUGE {
			return nil, fmt.Errorf("%s has metrics of another program, such as %s; remove it, or name another file", path, name)
		}
	}
	return families, nil
}

// keep copies metrics of the old file into new families: those of other commands, the last success of this command, and
// the numbers of the store that the run did not count. Metrics with another name are left out: the file was copied.
func keep(families, old map[string]*dto.MetricFamily, run Run, fileName string) {
	counted := maps.Clone(families)
	for name, family := range old {
		for _, m := range family.GetMetric() {
			command, about := labelOf(m, labelRun)
			of, _ := labelOf(m, labelName)
			same := about && command == run.Command
			switch {
			case of != fileName,
				same && (name != prefix+lastSuccess || run.Success),
				!about && counted[name] != nil:
				continue
			}
			if families[name] == nil {
				families[name] = &dto.MetricFamily{Name: family.Name, Help: family.Help, Type: family.Type}
			}
			families[name].Metric = append(families[name].Metric, m)
		}
	}
}

// last is the value of a metric for the last run of a command; 0 if there is none.
func last(old map[string]*dto.MetricFamily, name, command string) float64 {
	for _, m := range old[prefix+name].GetMetric() {
		if of, _ := labelOf(m, labelRun); of == command {
			return m.GetGauge().GetValue()
		}
	}
	return 0
}

// labels are a metric's labels: name, value, name, value.
func labels(m *dto.Metric) (all []string) {
	for _, pair := range m.GetLabel() {
		all = append(all, pair.GetName(), pair.GetValue())
	}
	return all
}

func labelOf(m *dto.Metric, name string) (value string, found bool) {
	for _, pair := range m.GetLabel() {
		if pair.GetName() == name {
			return pair.GetValue(), true
		}
	}
	return "", false
}
