package config

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"decayctl/internal/job"
	"decayctl/internal/rule"
	"decayctl/internal/stats"
	"decayctl/internal/sweep"
)

var testNow = time.Date(2026, 6, 15, 12, 0, 0, 0, time.UTC)

// given is everything that Load looks at. Files are written to a new working directory.
type given struct {
	args   []string
	env    []string
	file   string // decayctl.yaml
	dotenv string // .env
	more   map[string]string
}

type testingT interface {
	Helper()
	Fatalf(format string, args ...any)
}

func (g given) source(t testingT, dir string) Source {
	t.Helper()
	files := map[string]string{"decayctl.yaml": g.file, ".env": g.dotenv}
	for name, text := range g.more {
		files[name] = text
	}
	for name, text := range files {
		if text == "" {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatalf("%v", err)
		}
	}
	flags := pflag.NewFlagSet("decayctl", pflag.ContinueOnError)
	AddGlobalFlags(flags)
	AddRuleFlags(flags)
	AddSweepFlags(flags)
	AddDryRunFlags(flags)
	AddListFlags(flags)
	AddFactsFlags(flags)
	AddPruneFlags(flags)
	AddDoctorFlags(flags)
	AddForecastFlags(flags)
	AddReportFlags(flags)
	AddEndingFlags(flags)
	if err := flags.Parse(g.args); err != nil {
		t.Fatalf("%v", err)
	}
	return Source{Flags: flags, Environ: g.env, Dir: dir}
}

func load(t *testing.T, g given) (Config, string, error) {
	t.Helper()
	dir := t.TempDir()
	cfg, err := Load(g.source(t, dir), testNow)
	return cfg, dir, err
}

func mustLoad(t *testing.T, g given) Config {
	t.Helper()
	cfg, _, err := load(t, g)
	if err != nil {
		t.Fatalf("Load: %v", err)
	}
	return cfg
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	cfg, dir, err := load(t, given{})
	if err != nil {
		t.Fatal(err)
	}
	want := Config{
		Store:     Store{Kind: SQLite, Path: filepath.Join(dir, "stigmem.db"), Display: "sqlite:stigmem.db", Origin: "default", LockTimeout: 30 * time.Second},
		Selection: Selection{Tenant: "default"},
		Run:       Run{Work: sweep.Work{Workers: 1, Pace: 0.5, MaxLag: 5 * time.Second}, Lease: time.Minute},
		Start:     Start{Threshold: 100_000},
		DryRun:    DryRun{Samples: 3},
		Forecast:  Forecast{Days: 30},
		Jobs:      Jobs{Limit: 20},
		Output:    Output{Form: "text", LogFormat: "text"},
	}
	if !reflect.DeepEqual(cfg, want) {
		t.Errorf("got  %+v\nwant %+v", cfg, want)
	}
}

// A command without the flags of others still has their settings from elsewhere.
func TestFewFlags(t *testing.T) {
	t.Parallel()
	flags := pflag.NewFlagSet("decayctl", pflag.ContinueOnError)
	AddGlobalFlags(flags)
	cfg, err := Load(Source{Flags: flags, Environ: []string{"DECAYCTL_TTL=90d", "DECAYCTL_PACE=1"}, Dir: t.TempDir()}, testNow)
	if err != nil || cfg.Selection.Rules.String() != "ttl 90d" || cfg.Run.Work.Pace != 1 {
		t.Errorf("got %+v, %v", cfg, err)
	}
}

func TestFlagsPerRun(t *testing.T) {
	t.Parallel()
	cfg := mustLoad(t, given{args: []string{"--yes", "--detailed-exitcode", "--samples", "3", "--ttl-seconds", "90",
		"--as-of", "2026-06-15T14:00:00.1234567+02:00", "-q", "-o", "json"}})
	if !cfg.Yes || !cfg.DryRun.DetailedExitCode || cfg.DryRun.Samples != 3 || !cfg.Output.Quiet || cfg.Output.Form != "json" {
		t.Errorf("got %+v", cfg)
	}
	if cfg.Selection.Rules.String() != "ttl 1m30s" || cfg.Origins.TTL != "--ttl-seconds" {
		t.Errorf("rules %s from %s", cfg.Selection.Rules, cfg.Origins.TTL)
	}
	if want := time.Date(2026, 6, 15, 12, 0, 0, 123456000, time.UTC); cfg.Selection.AsOf != want {
		t.Errorf("as-of %v, want %v", cfg.Selection.AsOf, want)
	}
}

func TestJobFlags(t *testing.T) {
	t.Parallel()
	cfg := mustLoad(t, given{args: []string{"--detach", "--wait", "5m", "--max-runtime", "2h", "--workers", "3",
		"--state", "paused, failed", "--limit", "0", "--format", "csv", "--older-than", "90d", "--ddl", "--days", "3660", "--by", "tenant"}})
	if !cfg.Start.Detach || cfg.Start.Wait != 5*time.Minute || cfg.Run.MaxRuntime != 2*time.Hour || cfg.Run.Work.Workers != 3 {
		t.Errorf("got %+v", cfg)
	}
	if !slices.Equal(cfg.Jobs.States, []job.State{job.Paused, job.Failed}) || cfg.Jobs.Limit != 0 || cfg.Jobs.Format != "csv" || cfg.Jobs.OlderThan != 90*24*time.Hour || !cfg.DDL || cfg.Forecast.Days != 3660 || cfg.Forecast.By != stats.ByTenant {
		t.Errorf("got %+v", cfg)
	}
}

// A worker that waits for a lock must not lose its lease by that.
func TestLeaseFitsTheLockTimeout(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		args []string
		want time.Duration
	}{
		{nil, time.Minute}, {[]string{"--lock-timeout", "1s"}, time.Minute}, {[]string{"--lock-timeout", "5m"}, 10 * time.Minute},
		{[]string{"--lock-timeout", "1s", "--lease", "2s"}, 2 * time.Second},
	} {
		if cfg := mustLoad(t, given{args: test.args}); cfg.Run.Lease != test.want {
			t.Errorf("%v: a lease of %s, want %s", test.args, cfg.Run.Lease, test.want)
		}
	}
}

// The process must neither be read nor changed: only Source counts.
func TestLeavesProcessAlone(t *testing.T) {
	t.Setenv("DECAYCTL_TTL", "1d")
	t.Setenv("STIGMEM_DB_PATH", "/process.db")
	t.Setenv("NO_COLOR", "1")
	before := os.Environ()
	cfg := mustLoad(t, given{dotenv: "STIGMEM_DECAY_TTL_SECONDS=60\nOTHER=x\n"})
	if cfg.Selection.Rules.String() != "ttl 1m" || cfg.Store.Origin != "default" || cfg.Output.NoColor {
		t.Errorf("got %+v", cfg)
	}
	if after := os.Environ(); !slices.Equal(before, after) {
		t.Errorf("the environment changed: %s", strings.Join(after, " "))
	}
}

// A flag that repeats the default is given all the same.
func TestFlagRepeatsDefault(t *testing.T) {
	t.Parallel()
	cfg := mustLoad(t, given{args: []string{"--pace", "0.5", "--output", "text", "--quiet=false"},
		env: []string{"DECAYCTL_PACE=0.7", "DECAYCTL_OUTPUT=json", "DECAYCTL_QUIET=1"}})
	if cfg.Run.Work.Pace != 0.5 || cfg.Output.Form != "text" || cfg.Output.Quiet {
		t.Errorf("got %+v", cfg)
	}
}

// The page for operators names every setting in every form it has.
func TestDocumented(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range allSettings() {
		row := "| `--" + s.flag() + "` | `" + s.variable() + "` | `" + s.key + "` |"
		switch s.reach {
		case notInFile:
			row = "| `--" + s.flag() + "` | `" + s.variable() + "` | |"
		case flagOnly:
			row = "| `--" + s.flag() + "` | | |"
		}
		if !strings.Contains(string(page), row) {
			t.Errorf("no row that begins with %s", row)
		}
	}
}

// TestPlanHasTheRules: next to a plan no rule is read that holds for every run, and one of this run is a mistake.
func TestPlanHasTheRules(t *testing.T) {
	t.Parallel()
	everywhere := given{
		args:   []string{"--plan", "plan.json", "--allow-drift", "2.5%"},
		env:    []string{"DECAYCTL_TTL=soon", "DECAYCTL_SCOPE=all", "DECAYCTL_POLICIES=gone.yaml", "STIGMEM_DECAY_MIN_CONFIDENCE=x", "DECAYCTL_TENANT=", "DECAYCTL_MAX_EXPIRE=5%"},
		file:   "min_confidence: 7\nall_tenants: true\n",
		dotenv: "STIGMEM_DECAY_POLICIES=nothing\n",
	}
	cfg := mustLoad(t, everywhere)
	if !cfg.Selection.Rules.Empty() || cfg.Selection.Scope != "" || cfg.Selection.Tenant != "default" || cfg.Start.Plan != "plan.json" || *cfg.Start.AllowDrift != (rule.Limit{Percent: 2.5}) || *cfg.Start.MaxExpire != (rule.Limit{Percent: 5}) {
		t.Errorf("got %+v", cfg)
	}
	for _, of := range []string{"--ttl=90d", "--ttl=off", "--ttl-seconds=1", "--min-confidence=0", "--policies=off", "--policy=a", "--scope=team", "--tenant=default", "--all-tenants=false", "--as-of=2026-06-15"} {
		name, _, _ := strings.Cut(of, "=")
		if _, _, err := load(t, given{args: []string{"--plan=plan.json", of}}); err == nil || !strings.HasPrefix(err.Error(), name+" is given next to --plan, ") {
			t.Errorf("%s: %v", of, err)
		}
	}
	if _, _, err := load(t, given{args: []string{"--allow-drift=5"}}); err == nil || !strings.HasPrefix(err.Error(), "--allow-drift is given without --plan") {
		t.Errorf("drift of no plan: %v", err)
	}
}

func TestLimit(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]rule.Limit{
		"0": {}, "500": {Facts: 500}, "0%": {}, "5%": {Percent: 5}, "12.5%": {Percent: 12.5}, "100%": {Percent: 100},
	} {
		cfg := mustLoad(t, given{args: []string{"--max-expire", text}})
		if cfg.Start.MaxExpire == nil || *cfg.Start.MaxExpire != want {
			t.Errorf("%s: got %v", text, cfg.Start.MaxExpire)
		} else if got := cfg.Start.MaxExpire.String(); got != text && text != "0%" {
			t.Errorf("%s: String %s", text, got)
		}
	}
	if cfg := mustLoad(t, given{}); cfg.Start.MaxExpire != nil {
		t.Errorf("a limit by default: %v", cfg.Start.MaxExpire)
	}
}
