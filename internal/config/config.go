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
)

// Source is where settings come from. Load reads nothing else but the files that they name.
type Source struct {
	Flags   *pflag.FlagSet // parsed; a flag that the command does not have is not set
	Environ []string       // as os.Environ returns it
	Dir     string         // the working directory
}

// Config is every setting of one run.
type Config struct {
	Store Store

	Rules       rule.Set // may be empty, which commands refuse
	TTLOrigin   string   // the setting that switched the ttl rule on or off; "" is none
	FloorOrigin string   // the same for the floor rule

	PoliciesOrigin string                  // the setting that named the policies; "" is none
	PolicyOrigins  map[string]PolicyOrigin // origins of the values of policies, by id

	Scope     string    // "" is every scope
	Tenant    string    // "" is every tenant
	AsOf      time.Time // UTC, in microseconds; zero is now
	AsOfAhead bool      // AsOf is later than the time given to Load

	Plan       string      // name of the file with a plan to apply; then rules, scope, tenant and as-of are not set
	AllowDrift *rule.Limit // nil is none

	MaxExpire *rule.Limit   // nil is no limit
	Wait      time.Duration // 0 is not at all
	Detach    bool
	Threshold int64
	Yes       bool

	BatchSize  int // facts in a transaction; 0 adapts to the store
	Pace       float64
	MaxRate    float64       // facts per second; 0 is no limit
	MaxLag     time.Duration // 0 is no limit
	Workers    int
	MaxRuntime time.Duration // 0 is no limit
	Lease      time.Duration // at least twice LockTimeout

	LockTimeout time.Duration

	States    []job.State   // empty is every state
	Limit     int           // 0 is all
	Format    string        // of a job's facts; "" follows Output
	OlderThan time.Duration // 0 is not given
	DryRun    bool
	DDL       bool

	Save             string // name of the file for a plan; "" is none
	Samples          int
	DetailedExitCode bool

	Days int             // of a forecast, 1 to stats.MaxDays
	By   stats.Dimension // "" is none

	Output    string   // one of the forms of output
	Reports   []Report // files to which the report is written too
	LogFormat string   // OutputText or OutputJSON
	Ending    Ending

	LogLevel slog.Level
	Quiet    bool
	NoColor  bool

	Files   []string // that settings were read from, with the policies
	Ignored []string // variables with names like settings that a container platform set
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
		Plan:             value(s, "plan", parseText),
		AllowDrift:       value(s, "allow_drift", rule.ParseLimit),
		Scope:            value(s, "scope", parseScope),
		Tenant:           s.tenant(),
		AsOf:             value(s, "as_of", asOfParser(now)),
		MaxExpire:        value(s, "max_expire", rule.ParseLimit),
		Wait:             value(s, "wait", parseTime),
		Detach:           value(s, "detach", parseToggle),
		Threshold:        value(s, "threshold", s.thresholdParser()),
		Yes:              value(s, "yes", parseToggle),
		BatchSize:        value(s, "batch_size", parseWhole),
		Pace:             value(s, "pace", parsePace),
		MaxRate:          value(s, "max_rate", parseRate),
		MaxLag:           value(s, "max_lag", parseLag),
		Workers:          value(s, "workers", parseWorkers),
		MaxRuntime:       value(s, "max_runtime", parseTime),
		Lease:            value(s, "lease", parseLease),
		States:           value(s, "state", parseStates),
		Limit:            value(s, "limit", parseWhole),
		Format:           value(s, "format", parseFormat),
		OlderThan:        value(s, "older_than", parseTime),
		DryRun:           value(s, "dry_run", parseToggle),
		DDL:              value(s, "ddl", parseToggle),
		LockTimeout:      value(s, "lock_timeout", parseLockTimeout),
		Save:             value(s, "save", parseText),
		Samples:          value(s, "samples", parseWhole),
		DetailedExitCode: value(s, "detailed_exitcode", parseToggle),
		Days:             value(s, "days", parseDays),
		By:               value(s, "by", parseDimension),
		Output:           value(s, "output", parseOutput),
		Reports:          s.reports(src.Flags),
		LogFormat:        value(s, "log_format", parseForm),
		LogLevel:         value(s, "log_level", parseLogLevel),
		Quiet:            value(s, "quiet", parseToggle),
		NoColor:          value(s, "no_color", parseToggle),
		Ignored:          s.ignored,
	}
	cfg.Ending = s.ending()
	cfg.AsOfAhead = cfg.AsOf.After(now)
	cfg.Rules.TTL, cfg.TTLOrigin = s.ttl()
	cfg.Rules.Floor, cfg.FloorOrigin = s.floor()
	cfg.PoliciesOrigin = s.origins["policies"].name
	cfg.Rules.Policies, cfg.PolicyOrigins = s.policies(src.Flags.Lookup("policies") != nil)
	s.only(&cfg.Rules)
	// A worker that waits for a lock may not renew its lease meanwhile, and must not lose it.
	if least := 2 * cfg.LockTimeout; cfg.Lease < least {
		if s.origins["lease"].layer != 0 {
			s.fail("a lease of %s does not fit a lock timeout of %s: give --lease at least twice --lock-timeout", cfg.Lease, cfg.LockTimeout)
		}
		cfg.Lease = least
	}
	if s.err != nil {
		return nil, Config{Ending: cfg.Ending}, s.err
	}
	if cfg.Store, err = s.store(); err != nil {
		return nil, Config{Ending: cfg.Ending}, err
	}
	cfg.Files = s.files
	return s, cfg, nil
}
