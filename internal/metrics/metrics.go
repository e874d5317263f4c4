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
	Kind     string // of the store: sqlite or postgres; "" if the settings could not be read
	Ended    time.Time
	Duration time.Duration
	Exit     int  // exit code
	Success  bool // the command came to what was asked for
	Stopped  bool // it was stopped before its end, as by --max-runtime

	Job     *job.Job                 // the job as it was left, or a dry run's; nil if it came to none
	DryRun  bool                     // Job was not written
	Tenants bool                     // count by tenant too
	Waiting map[string]time.Duration // by cause; nil if the command does not wait

	Jobs  *Jobs  // nil if they are not known
	Facts *Facts // nil if they were not counted
}

// Facts are the facts of a store, of the tenants that a dry run looked at.
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

// Write writes the metrics of a run into a file, whole or not at all. What the file has of other commands stays, and so
// does the last success of this one. A new file has mode 0644. Errors: from the file system, or that the file is not
// decayctl's or belongs to another user; then the file stays as it is.
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

// nameOf is the file's name without its ending.
func nameOf(path string) string {
	return strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
}

// read reads a file that Write has written; nothing if there is none.
func read(path string) (map[string]*dto.MetricFamily, error) {
	info, err := os.Stat(path) // before it is opened: to open a pipe waits for its other end
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

// keep adds to new families what an old file has of other commands, the last success of the same command, and what is known of
// the store if the run did not count it. Metrics of another name come from a file that was copied.
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

// last is what a file says about the last run of a command; 0 if it says nothing.
func last(old map[string]*dto.MetricFamily, name, command string) float64 {
	for _, m := range old[prefix+name].GetMetric() {
		if of, _ := labelOf(m, labelRun); of == command {
			return m.GetGauge().GetValue()
		}
	}
	return 0
}

// labels are the names and values of a metric's labels, in turn.
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
