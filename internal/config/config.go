// Package config reads the settings of a run: from flags, the environment, files and the node's settings. Load reads
// them once into a Config, which does not change. It is the only package that masks database passwords.
package config

import (
	"log/slog"
	"net/url"
	"time"

	"github.com/spf13/pflag"

	"decayctl/internal/job"
	"decayctl/internal/rule"
	"decayctl/internal/stats"
	"decayctl/internal/sweep"
)

// Source is where settings come from. Load reads nothing else but the files that they name.
type Source struct {
	Flags   *pflag.FlagSet // parsed; a flag that the command does not have is not set
	Environ []string       // as os.Environ returns it
	Dir     string         // the working directory
}

// Config is every setting of one run, in the groups in which the commands use them.
type Config struct {
	Store     Store
	Selection Selection
	Origins   Origins
	Run       Run

	Start    Start
	DryRun   DryRun
	Forecast Forecast
	Jobs     Jobs
	DDL      bool // doctor prints the statements that make decayctl's own tables
	Yes      bool // questions are answered with yes

	Output Output
	Ending Ending

	Files   []string // that settings were read from, with the policies
	Ignored []string // variables with names like settings that a container platform set
}

// Selection says which facts are judged, and by which rules. If Start names a plan, the plan says it, and all is empty.
type Selection struct {
	Rules  rule.Set  // may be empty, which commands refuse
	Scope  string    // "" is every scope
	Tenant string    // "" is every tenant
	AsOf   time.Time // UTC, in microseconds; zero is now
}

// Origins are the settings that decided on the rules. "" is none.
type Origins struct {
	TTL      string                  // switched the ttl rule on or off
	Floor    string                  // the same for the floor rule
	Policies string                  // named the policies
	Policy   map[string]PolicyOrigin // by the policy's id
}

// Run says how this process works. A job does not keep it: each resume may have other settings.
type Run struct {
	Work       sweep.Work
	NoFKChecks bool          // batches are written without checking foreign keys
	MaxRuntime time.Duration // 0 is no limit
	Lease      time.Duration // at least twice Store.LockTimeout
}

// Start says how a sweep starts its job.
type Start struct {
	Plan       string        // name of the file with the plan to apply; "" is none
	AllowDrift *rule.Limit   // from the plan; nil is none
	MaxExpire  *rule.Limit   // nil is no limit
	Wait       time.Duration // for an overlapping job to end; 0 is not at all
	Detach     bool          // leave a job with more facts than Threshold to a resume
	Threshold  int64         // facts; below 0 every job has more
}

// DryRun is what a dry run does besides its report.
type DryRun struct {
	Save             string // name of the file for a plan; "" is none
	Samples          int    // facts to show, at most
	DetailedExitCode bool
}

// Forecast is what a forecast shows.
type Forecast struct {
	Days int             // 1 to stats.MaxDays
	By   stats.Dimension // "" is none
}

// Jobs are settings of single commands on jobs.
type Jobs struct {
	States    []job.State   // to list; empty is every state
	Limit     int           // jobs to list; 0 is all
	Format    string        // of a job's facts; "" follows Output.Form
	OlderThan time.Duration // age of the jobs to prune; 0 is not given
	DryRun    bool          // an undo only counts
}

// Output is what a command prints besides its report, and in which form.
type Output struct {
	Form      string   // of the report on standard output
	Reports   []Report // files to which the report is written too
	LogFormat string   // OutputText or OutputJSON
	LogLevel  slog.Level
	Quiet     bool // no progress, and no log lines below warnings
	NoColor   bool
}

// Ending says who is told about the end of a run.
type Ending struct {
	MetricsFile    string   // "" is no file
	MetricsTenants bool     // tenants become labels
	OnSuccess      *url.URL // nil is no notification, here and below
	OnFailure      *url.URL
	Ping           *url.URL // uses the protocol of healthchecks
}

// The forms of output. Log lines have the first two.
const (
	OutputText     = "text"
	OutputJSON     = "json"
	OutputMarkdown = "markdown"
	OutputHTML     = "html"
)

// Report is a file to which a report is written.
type Report struct {
	Name string // as the operator gave it
	Path string // relative to the working directory
	Form string // one of the forms of output
}

// Error is a setting that cannot be used. Its text is one line: what is wrong, where the setting comes from, and what
// to do. It holds no part of a database address.
type Error struct{ Text string }

func (e *Error) Error() string { return e.Text }

// Load reads every setting. If it fails, the Config still has Ending, as far as that could be read: a wrong setting is
// an end of a run too. Errors are *Error, or *store.Error for a kind of store that is not supported.
func Load(src Source, now time.Time) (Config, error) {
	_, cfg, err := loadFrom(src, now)
	return cfg, err
}

// loadFrom also gives what the settings were read from.
func loadFrom(src Source, now time.Time) (*settings, Config, error) {
	s, err := collect(src)
	if err != nil {
		return nil, Config{Ending: endingAlone(src)}, err
	}
	s.planned()
	cfg := Config{
		Selection: Selection{
			Scope:  value(s, "scope", parseScope),
			Tenant: s.tenant(),
			AsOf:   value(s, "as_of", asOfParser(now)),
		},
		Run: Run{
			Work: sweep.Work{
				Workers:   value(s, "workers", parseWorkers),
				BatchSize: value(s, "batch_size", parseWhole),
				Pace:      value(s, "pace", parsePace),
				MaxRate:   value(s, "max_rate", parseRate),
				MaxLag:    value(s, "max_lag", parseLag),
			},
			NoFKChecks: value(s, "no_fk_checks", parseToggle),
			MaxRuntime: value(s, "max_runtime", parseTime),
			Lease:      value(s, "lease", parseLease),
		},
		Start: Start{
			Plan:       value(s, "plan", parseText),
			AllowDrift: value(s, "allow_drift", rule.ParseLimit),
			MaxExpire:  value(s, "max_expire", rule.ParseLimit),
			Wait:       value(s, "wait", parseTime),
			Detach:     value(s, "detach", parseToggle),
			Threshold:  value(s, "threshold", s.thresholdParser()),
		},
		DryRun: DryRun{
			Save:             value(s, "save", parseText),
			Samples:          value(s, "samples", parseWhole),
			DetailedExitCode: value(s, "detailed_exitcode", parseToggle),
		},
		Forecast: Forecast{
			Days: value(s, "days", parseDays),
			By:   value(s, "by", parseDimension),
		},
		Jobs: Jobs{
			States:    value(s, "state", parseStates),
			Limit:     value(s, "limit", parseWhole),
			Format:    value(s, "format", parseFormat),
			OlderThan: value(s, "older_than", parseTime),
			DryRun:    value(s, "dry_run", parseToggle),
		},
		DDL: value(s, "ddl", parseToggle),
		Yes: value(s, "yes", parseToggle),
		Output: Output{
			Form:      value(s, "output", parseOutput),
			Reports:   s.reports(src.Flags),
			LogFormat: value(s, "log_format", parseForm),
			LogLevel:  value(s, "log_level", parseLogLevel),
			Quiet:     value(s, "quiet", parseToggle),
			NoColor:   value(s, "no_color", parseToggle),
		},
		Ending:  s.ending(),
		Ignored: s.ignored,
	}
	cfg.Run.Work.Irreversible = cfg.Yes
	rules, origins := &cfg.Selection.Rules, &cfg.Origins
	rules.TTL, origins.TTL = s.ttl()
	rules.Floor, origins.Floor = s.floor()
	origins.Policies = s.origins["policies"].name
	rules.Policies, origins.Policy = s.policies(src.Flags.Lookup("policies") != nil)
	s.only(rules)
	lockTimeout := value(s, "lock_timeout", parseLockTimeout)
	// A worker that waits for a lock may not renew its lease meanwhile, and must not lose it.
	if least := 2 * lockTimeout; cfg.Run.Lease < least {
		if s.origins["lease"].layer != 0 {
			s.fail("a lease of %s does not fit a lock timeout of %s: give --lease at least twice --lock-timeout", cfg.Run.Lease, lockTimeout)
		}
		cfg.Run.Lease = least
	}
	if s.err != nil {
		return nil, Config{Ending: cfg.Ending}, s.err
	}
	if cfg.Store, err = s.store(); err != nil {
		return nil, Config{Ending: cfg.Ending}, err
	}
	cfg.Store.LockTimeout, cfg.Files = lockTimeout, s.files
	return s, cfg, nil
}
