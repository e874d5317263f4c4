package metrics_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"decayctl/internal/job"
	"decayctl/internal/metrics"
	"decayctl/internal/rule"
)

var ended = time.Date(2026, 11, 30, 3, 17, 5, 500e6, time.UTC)

// full is a run with a value in each field.
func full() metrics.Run {
	ttl := rule.TTL(90 * 86400)
	return metrics.Run{
		Command: "sweep", Version: "1.2.3", Kind: "sqlite", Ended: ended, Duration: 5 * time.Second, Success: true, Tenants: true,
		Job: &job.Job{ID: "3f2ab0c1", Rules: rule.Set{TTL: &ttl}, Counts: job.Counts{
			Examined: 20000, Selected: 9012, Decayed: 9000, ByRule: map[string]int64{rule.NameTTL: 9000}, Reduced: 7, ReducedOnly: 5,
			Kept:    map[rule.Protection]int64{rule.LegalHold: 400, rule.ChangedMeanwhile: 12},
			Tenants: map[string]int64{"acme\n\"\\": 12, "default": 9000}, FailedCount: 2, Restored: 3, Batches: 4, LongestLock: 25 * time.Millisecond,
		}},
		Waiting: map[string]time.Duration{"pace": 2 * time.Second, "lock": 0},
		Facts:   &metrics.Facts{Live: map[string]int64{"local": 12, "team": 3}, Expired: 4},
		Jobs:    &metrics.Jobs{ByState: map[job.State]int64{job.Done: 7, job.Paused: 1}, Dead: 1, Oldest: time.Hour},
	}
}

// write writes runs into one file, one after the other, and reads the file as Prometheus does.
func write(t *testing.T, path string, runs ...metrics.Run) map[string]*dto.MetricFamily {
	t.Helper()
	for _, run := range runs {
		if err := metrics.Write(path, run); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.New(bytes.NewReader(text)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return families
}

// values are the values of a metric, by its labels without name.
func values(families map[string]*dto.MetricFamily, name string) map[string]float64 {
	found := map[string]float64{}
	for _, m := range families["decayctl_"+name].GetMetric() {
		var labels []string
		for _, pair := range m.GetLabel() {
			if pair.GetName() != "name" && pair.GetName() != "store" {
				labels = append(labels, pair.GetName()+"="+pair.GetValue())
			}
		}
		found[strings.Join(labels, " ")] = m.GetGauge().GetValue()
	}
	return found
}

func want(t *testing.T, families map[string]*dto.MetricFamily, name string, wanted map[string]float64) {
	t.Helper()
	if got := values(families, name); fmt.Sprint(got) != fmt.Sprint(wanted) {
		t.Errorf("%s: got %v, want %v", name, got, wanted)
	}
}

func TestARunIsWrittenAsPrometheusReadsIt(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "main.prom")
	families := write(t, path, full())
	for name, wanted := range map[string]map[string]float64{
		"build_info":                       {"version=1.2.3": 1},
		"last_run_timestamp_seconds":       {"command=sweep": 1796008625.5},
		"last_success_timestamp_seconds":   {"command=sweep": 1796008625.5},
		"last_run_exit_code":               {"command=sweep": 0},
		"last_run_duration_seconds":        {"command=sweep": 5},
		"consecutive_failed_runs":          {"command=sweep": 0},
		"last_run_waiting_seconds":         {"command=sweep cause=pace": 2, "command=sweep cause=lock": 0},
		"last_run_examined_facts":          {"command=sweep scope=all": 20000},
		"last_run_selected_facts":          {"command=sweep scope=all rule=ttl": 9000},
		"last_run_expired_facts":           {"command=sweep scope=all": 8995},
		"last_run_reduced_facts":           {"command=sweep scope=all": 7},
		"last_run_kept_facts":              {"command=sweep scope=all reason=legal_hold": 400},
		"last_run_changed_meanwhile_facts": {"command=sweep scope=all": 12},
		"last_run_failed_facts":            {"command=sweep scope=all": 2},
		"last_run_restored_facts":          {"command=sweep scope=all": 3},
		"last_run_batches":                 {"command=sweep scope=all": 4},
		"last_run_longest_lock_seconds":    {"command=sweep scope=all": 0.025},
		"last_run_selected_tenant_facts":   {"command=sweep scope=all tenant=acme\n\"\\": 12, "command=sweep scope=all tenant=default": 9000},
		"jobs":                             {"state=done": 7, "state=paused": 1},
		"dead_jobs":                        {"": 1},
		"live_facts":                       {"scope=local": 12, "scope=team": 3},
		"expired_facts":                    {"": 4},

		"oldest_unfinished_job_age_seconds": {"": 3600},
	} {
		want(t, families, name, wanted)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("the file is %v, %v, want mode 0644", info.Mode(), err)
	}
	for _, m := range families["decayctl_build_info"].GetMetric() {
		if got := m.GetLabel()[0].GetValue(); got != "main" {
			t.Errorf("the label name is %q, want that of the file", got)
		}
	}
}

func TestADryRunCountsWhatWouldExpire(t *testing.T) {
	t.Parallel()
	run := full()
	run.Command, run.DryRun, run.Job.Counts.Decayed = "dry-run", true, 0
	families := write(t, filepath.Join(t.TempDir(), "main.prom"), run)
	want(t, families, "last_run_expired_facts", map[string]float64{"command=dry-run scope=all": 9012 - 12 - 5})
}

func TestTheLastSuccessStaysAfterFailures(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "main.prom")
	failed := metrics.Run{Command: "sweep", Version: "1.2.3", Ended: ended.Add(24 * time.Hour), Exit: 8}
	stopped := metrics.Run{Command: "sweep", Version: "1.2.3", Ended: ended.Add(48 * time.Hour), Exit: 3, Stopped: true}
	families := write(t, path, full(), failed, failed, stopped)
	want(t, families, "last_success_timestamp_seconds", map[string]float64{"command=sweep": 1796008625.5})
	want(t, families, "last_run_timestamp_seconds", map[string]float64{"command=sweep": 1796008625.5 + 48*3600})
	want(t, families, "last_run_exit_code", map[string]float64{"command=sweep": 3})
	want(t, families, "consecutive_failed_runs", map[string]float64{"command=sweep": 3})
	want(t, families, "consecutive_stopped_runs", map[string]float64{"command=sweep": 1})
	want(t, families, "last_run_examined_facts", map[string]float64{})
	want(t, write(t, path, full()), "consecutive_failed_runs", map[string]float64{"command=sweep": 0})
}

func TestMetricsOfOtherCommandsStay(t *testing.T) {
	t.Parallel()
	undone := full()
	undone.Command = "jobs undo"
	families := write(t, filepath.Join(t.TempDir(), "main.prom"), full(), undone, full())
	want(t, families, "last_run_examined_facts", map[string]float64{"command=sweep scope=all": 20000, "command=jobs undo scope=all": 20000})
	want(t, families, "jobs", map[string]float64{"state=done": 7, "state=paused": 1})
}

// TestJobsStayKnownAfterARunThatDidNotCountThem: an alert on them must not go away because the next run failed.
func TestJobsStayKnownAfterARunThatDidNotCountThem(t *testing.T) {
	t.Parallel()
	failed := metrics.Run{Command: "sweep", Version: "1.2.4", Ended: ended.Add(time.Hour), Exit: 8}
	families := write(t, filepath.Join(t.TempDir(), "main.prom"), full(), failed)
	want(t, families, "dead_jobs", map[string]float64{"": 1})
	want(t, families, "jobs", map[string]float64{"state=done": 7, "state=paused": 1})
	want(t, families, "live_facts", map[string]float64{"scope=local": 12, "scope=team": 3})
	want(t, families, "build_info", map[string]float64{"version=1.2.4": 1})
}

// TestACopiedFileDoesNotKeepTheOtherName: the same series in two files makes node_exporter refuse both.
func TestACopiedFileDoesNotKeepTheOtherName(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	write(t, filepath.Join(folder, "a.prom"), full())
	if err := os.Rename(filepath.Join(folder, "a.prom"), filepath.Join(folder, "b.prom")); err != nil {
		t.Fatal(err)
	}
	doctor := full()
	doctor.Command, doctor.Job = "doctor", nil
	families := write(t, filepath.Join(folder, "b.prom"), doctor)
	want(t, families, "last_run_exit_code", map[string]float64{"command=doctor": 0})
}

func TestTenantsAreNoLabelsUnlessAskedFor(t *testing.T) {
	t.Parallel()
	run := full()
	run.Tenants = false
	path := filepath.Join(t.TempDir(), "main.prom")
	write(t, path, run)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "acme") {
		t.Errorf("the file names a tenant:\n%s", text)
	}
}

func TestRulesBeyondFiftyAreOneLabel(t *testing.T) {
	t.Parallel()
	run := full()
	run.Job.Rules, run.Job.Counts.ByRule = rule.Set{}, map[string]int64{}
	for i := range 60 {
		p := rule.Policy{ID: fmt.Sprintf("p%02d", i)}
		run.Job.Rules.Policies = append(run.Job.Rules.Policies, p)
		run.Job.Counts.ByRule[p.Name()] = 2
	}
	got := values(write(t, filepath.Join(t.TempDir(), "main.prom"), run), "last_run_selected_facts")
	if len(got) != 51 || got["command=sweep scope=all rule=other"] != 20 {
		t.Errorf("got %d labels, other is %v, want 51 and 20", len(got), got["command=sweep scope=all rule=other"])
	}
}

func TestAFileOfAnotherProgramStays(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	for name, content := range map[string]string{
		"text":    "root:x:0:0:root:/root:/bin/bash\n",
		"foreign": "# TYPE backup_size_bytes gauge\nbackup_size_bytes 7\n",
		"a type":  "# TYPE decayctl_dead_jobs counter\ndecayctl_dead_jobs 7\n",
		"comment": "# STIGMEM_DB_PATH=/data/stigmem.db\n",
	} {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := metrics.Write(path, full()); err == nil {
			t.Errorf("%s: it was replaced", name)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != content {
			t.Errorf("%s: it has %q now, %v", name, got, err)
		}
	}
	if err := metrics.Write(folder, full()); err == nil {
		t.Error("a folder was replaced")
	}
	if err := metrics.Write(filepath.Join(folder, "missing", "main.prom"), full()); err == nil {
		t.Error("a folder was made")
	}
}

// TestAlertsAndDashboardUseMetricsThatExist: promtool does not check the names of metrics.
func TestAlertsAndDashboardUseMetricsThatExist(t *testing.T) {
	t.Parallel()
	families := write(t, filepath.Join(t.TempDir(), "main.prom"), full())
	for _, file := range []string{"monitoring/alerts.yaml", "monitoring/dashboard.json", "monitoring.md"} {
		text, err := os.ReadFile(filepath.Join("..", "..", "docs", file))
		if err != nil {
			t.Fatal(err)
		}
		used := regexp.MustCompile(`\bdecayctl_[a-z_]+`).FindAllString(string(text), -1)
		if len(used) == 0 {
			t.Errorf("%s uses no metric", file)
		}
		for _, name := range used {
			if families[name] == nil {
				t.Errorf("%s uses %s, which decayctl does not write", file, name)
			}
		}
		if file != "monitoring.md" {
			continue
		}
		for name := range families {
			if !strings.Contains(string(text), "`"+name+"`") {
				t.Errorf("%s does not explain %s", file, name)
			}
		}
	}
}
