package config

import (
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"decayctl/internal/fact"
	"decayctl/internal/job"
	"decayctl/internal/stats"
)

// setting is one line of the table from which flags, variables and keys of files are made.
type setting struct {
	key     string // in the config file
	short   string // of the flag
	initial string // the default; "" is none, or one that depends on other settings
	usage   string
	words   []string // all possible values; nil if there are too many
	toggle  bool     // on or off; the flag needs no value
	many    bool     // may be given several times, as a flag only
	reach   reach    // where it may be set, besides the flag
}

// reach keeps settings of one run, such as --yes, out of places that outlive the run.
type reach int

const (
	everywhere reach = iota
	notInFile
	flagOnly
)

func (s setting) flag() string { return strings.ReplaceAll(s.key, "_", "-") }

func (s setting) variable() string { return variablePrefix + strings.ToUpper(s.key) }

const variablePrefix = "DECAYCTL_"

func globalSettings() []setting {
	return []setting{
		{key: "store", usage: "the fact `STORE`: a SQLite file, sqlite:PATH or postgres://… (default: the node's own)"},
		{key: "config", usage: "the config `FILE` (default: decayctl.yaml, if there is one)", reach: notInFile},
		{key: "env_file", usage: "the `FILE` with the node's settings (default: .env, if there is one)"},
		{key: "pg_schema", initial: "public", usage: "the `SCHEMA` with the node's tables, PostgreSQL only"},
		{key: "lock_timeout", initial: "30s", usage: "the `TIME` to wait for a lock that another process holds"},
		{key: "output", short: "o", initial: OutputText, words: outputs, usage: "the `FORM` of the report: text or json; of some commands also markdown or html"},
		{key: "log_format", initial: OutputText, words: logForms, usage: "the `FORM` of log lines: text or json"},
		{key: "log_level", initial: "info", words: logLevels, usage: "the least `LEVEL` to log: debug, info, warn or error"},
		{key: "quiet", short: "q", toggle: true, usage: "print the report, warnings and errors only"},
		{key: "no_color", toggle: true, usage: "print without color"},
	}
}

func ruleSettings() []setting {
	return []setting{
		{key: "ttl", usage: "expire facts at least this `AGE`, as in 90d, 12h or 1d12h; off switches the rule off"},
		{key: "ttl_seconds", usage: "the same as a number of `SECONDS`", reach: flagOnly},
		{key: "min_confidence", usage: "expire facts whose confidence is below this `FLOOR`, 0 to 1; 0 switches the rule off"},
		{key: "policies", usage: "the `FILE` with policies for some facts, YAML or JSON; off for none (default: the node's own)"},
		{key: "policy", usage: "let only the policy with this `ID` act", reach: flagOnly},
		{key: "scope", words: fact.Scopes, usage: "only facts in this `SCOPE`: local, team, company or public"},
		{key: "tenant", initial: job.DefaultTenant, usage: "only facts of this `TENANT`"},
		{key: "all_tenants", toggle: true, usage: "facts of every tenant"},
		{key: "as_of", usage: "judge as of this `TIME`, as in 2026-06-15T12:00:00Z (default: now)", reach: flagOnly},
	}
}

// workSettings are settings of the process that works on a job. They are not stored in the job.
func workSettings() []setting {
	return []setting{
		{key: "batch_size", initial: "0", usage: "`FACTS` per transaction; 0 adapts to the store"},
		{key: "pace", initial: "0.5", usage: "the `SHARE` of time to keep the store busy, above 0 and up to 1"},
		{key: "max_rate", usage: "change no more facts than this `RATE`, as in 500/s"},
		{key: "max_lag", initial: "5s", usage: "wait while a replica is this `TIME` behind, PostgreSQL only; off never waits"},
		{key: "workers", initial: "1", usage: "the `NUMBER` of batches to write at once, PostgreSQL only"},
		{key: "no_fk_checks", toggle: true, usage: "write without checking foreign keys, PostgreSQL only; faster, and risks overrides of facts deleted meanwhile"},
		{key: "max_runtime", usage: "stop after this `TIME`, as in 2h; the job can be gone on with"},
		{key: "lease", initial: "60s", usage: "the `TIME` of silence after which another process may take over"},
	}
}

func sweepSettings() []setting {
	return []setting{
		{key: "plan", usage: "apply the plan in this `FILE`, with its rules, scope, tenant and as-of, or nothing", reach: flagOnly},
		{key: "allow_drift", usage: "apply a plan from which up to `N` facts differ, or N% of its facts", reach: flagOnly},
		{key: "max_expire", usage: "refuse to expire more than `N` facts, or N% of the live ones"},
		{key: "wait", usage: "wait up to this `TIME`, as in 5m, for an overlapping sweep to end", reach: flagOnly},
		{key: "detach", toggle: true, usage: "leave a large sweep to 'jobs resume': write it down only", reach: flagOnly},
		{key: "threshold", initial: "100000", usage: "the most `FACTS` in scope that --detach sweeps at once"},
	}
}

// endingSettings say who is told about the end of a run.
func endingSettings() []setting {
	return []setting{
		{key: "metrics_file", usage: "write the run's numbers into this Prometheus text `FILE` (*.prom)"},
		{key: "metrics_tenants", toggle: true, usage: "count by tenant in the metrics file too"},
		{key: "on_success", usage: "POST a short text to this `URL` after a run that succeeds"},
		{key: "on_failure", usage: "POST a short text to this `URL` after a run that fails"},
		{key: "ping", usage: "POST to this `URL` as healthchecks do: URL/start, then URL or URL/fail"},
	}
}

func yesSettings() []setting {
	return []setting{{key: "yes", toggle: true, usage: "answer yes to questions", reach: flagOnly}}
}

func rehearseSettings() []setting {
	return []setting{{key: "dry_run", toggle: true, usage: "only count; write nothing", reach: flagOnly}}
}

func listSettings() []setting {
	return []setting{
		{key: "state", words: stateNames(), usage: "only jobs in this `STATE`, or in these, separated by commas", reach: flagOnly},
		{key: "limit", initial: "20", usage: "the most `JOBS` to list; 0 is all", reach: flagOnly},
	}
}

func factsSettings() []setting {
	return []setting{{key: "format", words: factForms, usage: "the `FORM` of a fact: text, csv or ndjson (default: text, or ndjson with -o json)", reach: flagOnly}}
}

func pruneSettings() []setting {
	return []setting{{key: "older_than", usage: "remove jobs that ended at least this `TIME` ago, as in 90d", reach: flagOnly}}
}

func doctorSettings() []setting {
	return []setting{{key: "ddl", toggle: true, usage: "print the statements that make decayctl's own tables, and nothing else", reach: flagOnly}}
}

func dryRunSettings() []setting {
	return []setting{
		{key: "samples", initial: "3", usage: "show this `NUMBER` of facts as samples", reach: flagOnly},
		{key: "save", usage: "write the plan to this `FILE`, for 'sweep --plan'", reach: flagOnly},
		{key: "detailed_exitcode", toggle: true, usage: "exit 10 if there is something to decay", reach: flagOnly},
	}
}

func forecastSettings() []setting {
	return []setting{
		{key: "days", initial: strconv.Itoa(stats.DefaultDays), usage: "the `DAYS` to look ahead, 1 to " + strconv.Itoa(stats.MaxDays), reach: flagOnly},
		{key: "by", words: dimensions(), usage: "break the forecast down by `WHAT`: relation, scope or tenant", reach: flagOnly},
	}
}

func reportSettings() []setting {
	return []setting{{key: "report", many: true, usage: "also write the report to this `FILE`; its ending says the form: .html, .md, .json or .txt", reach: flagOnly}}
}

func allSettings() []setting {
	return slices.Concat(globalSettings(), ruleSettings(), workSettings(), sweepSettings(), dryRunSettings(), yesSettings(),
		rehearseSettings(), listSettings(), factsSettings(), pruneSettings(), doctorSettings(), forecastSettings(), reportSettings(), endingSettings())
}

// Words are all values that a flag takes, in the order to show them; nil if there are too many to list. Only --state takes several,
// separated by commas.
func Words(flag string) []string {
	for _, s := range allSettings() {
		if s.flag() == flag {
			return s.words
		}
	}
	return nil
}

// AddGlobalFlags adds the flags that every command has.
func AddGlobalFlags(fs *pflag.FlagSet) { addFlags(fs, globalSettings()) }

// AddRuleFlags adds the flags of rules.
func AddRuleFlags(fs *pflag.FlagSet) { addFlags(fs, ruleSettings()) }

// AddSweepFlags adds the flags of a sweep.
func AddSweepFlags(fs *pflag.FlagSet) {
	addFlags(fs, slices.Concat(sweepSettings(), workSettings(), yesSettings()))
}

// AddDryRunFlags adds the flags of a dry run.
func AddDryRunFlags(fs *pflag.FlagSet) { addFlags(fs, dryRunSettings()) }

// AddForecastFlags adds the flags of a forecast.
func AddForecastFlags(fs *pflag.FlagSet) { addFlags(fs, forecastSettings()) }

// AddResumeFlags adds the flags of a resume.
func AddResumeFlags(fs *pflag.FlagSet) { addFlags(fs, workSettings()) }

// AddUndoFlags adds the flags of an undo.
func AddUndoFlags(fs *pflag.FlagSet) {
	work := slices.DeleteFunc(workSettings(), func(s setting) bool { return s.key == "workers" }) // an undo has one worker
	addFlags(fs, slices.Concat(rehearseSettings(), work, yesSettings()))
}

// AddListFlags adds the flags of a list of jobs.
func AddListFlags(fs *pflag.FlagSet) { addFlags(fs, listSettings()) }

// AddFactsFlags adds the flags of a list of a job's facts.
func AddFactsFlags(fs *pflag.FlagSet) { addFlags(fs, factsSettings()) }

// AddPruneFlags adds the flags of a removal of old jobs.
func AddPruneFlags(fs *pflag.FlagSet) { addFlags(fs, pruneSettings()) }

// AddDoctorFlags adds the flags of a check of the store.
func AddDoctorFlags(fs *pflag.FlagSet) { addFlags(fs, doctorSettings()) }

// AddReportFlags adds the flags of report files.
func AddReportFlags(fs *pflag.FlagSet) { addFlags(fs, reportSettings()) }

// AddEndingFlags adds the flags that say who is told about the end of a run.
func AddEndingFlags(fs *pflag.FlagSet) { addFlags(fs, endingSettings()) }

// addFlags adds all flags but switches as text, so that a value is parsed in the same way, with the same error,
// wherever it was set.
func addFlags(fs *pflag.FlagSet, settings []setting) {
	for _, s := range settings {
		switch {
		case s.toggle:
			fs.BoolP(s.flag(), s.short, false, s.usage)
		case s.many:
			fs.StringArrayP(s.flag(), s.short, nil, s.usage)
		default:
			fs.StringP(s.flag(), s.short, s.initial, s.usage)
		}
		fs.Lookup(s.flag()).Annotations = map[string][]string{groupAnnotation: {groupOf(s.key)}}
	}
}
