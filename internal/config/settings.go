package config

import (
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// setting is one line of the table that flags, variables and file keys are made from.
type setting struct {
	key     string // in the config file
	short   string // of the flag
	initial string // the default; "" is none, or one that other settings decide
	usage   string
	toggle  bool  // on or off; the flag needs no value
	reach   reach // where besides the flag it may stand
}

// reach keeps what belongs to one run, such as --yes, out of places that outlive it.
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
		{key: "config", usage: "the config `FILE` (default: decayctl.yaml, where there is one)", reach: notInFile},
		{key: "env_file", usage: "the `FILE` with the node's settings (default: .env, where there is one)"},
		{key: "pg_schema", initial: "public", usage: "the `SCHEMA` with the node's tables, PostgreSQL only"},
		{key: "lock_timeout", initial: "30s", usage: "the `TIME` to wait for a lock that another process holds"},
		{key: "output", short: "o", initial: OutputText, usage: "the `FORM` of the report: text or json"},
		{key: "log_format", initial: OutputText, usage: "the `FORM` of log lines: text or json"},
		{key: "log_level", initial: "info", usage: "the least `LEVEL` to log: debug, info, warn or error"},
		{key: "quiet", short: "q", toggle: true, usage: "print the report only"},
		{key: "no_color", toggle: true, usage: "print without color"},
	}
}

func ruleSettings() []setting {
	return []setting{
		{key: "ttl", usage: "expire facts at least this `AGE`, as in 90d, 12h or 1d12h; off switches the rule off"},
		{key: "ttl_seconds", usage: "the same as a number of `SECONDS`", reach: flagOnly},
		{key: "min_confidence", usage: "expire facts whose confidence is below this `FLOOR`, 0 to 1; 0 switches the rule off"},
		{key: "scope", usage: "only facts in this `SCOPE`: local, team, company or public"},
		{key: "tenant", usage: "only facts of this `TENANT`"},
		{key: "as_of", usage: "judge as of this `TIME`, as in 2026-06-15T12:00:00Z (default: now)", reach: flagOnly},
	}
}

func sweepSettings() []setting {
	return []setting{
		{key: "max_expire", usage: "refuse to expire more than `N` facts, or N% of the live ones"},
		{key: "batch_size", initial: "0", usage: "`FACTS` per transaction; 0 adapts to the store"},
		{key: "pace", initial: "0.5", usage: "the `SHARE` of time to keep the store busy, above 0 and up to 1"},
		{key: "yes", toggle: true, usage: "answer yes to questions", reach: flagOnly},
	}
}

func dryRunSettings() []setting {
	return []setting{
		{key: "samples", initial: "3", usage: "show this `NUMBER` of facts as samples", reach: flagOnly},
		{key: "detailed_exitcode", toggle: true, usage: "exit 10 where there is something to decay", reach: flagOnly},
	}
}

func allSettings() []setting {
	return slices.Concat(globalSettings(), ruleSettings(), sweepSettings(), dryRunSettings())
}

// AddGlobalFlags adds the flags that every command has.
func AddGlobalFlags(fs *pflag.FlagSet) { addFlags(fs, globalSettings()) }

// AddRuleFlags adds the flags that say which facts are stale.
func AddRuleFlags(fs *pflag.FlagSet) { addFlags(fs, ruleSettings()) }

// AddSweepFlags adds the flags that say how to sweep.
func AddSweepFlags(fs *pflag.FlagSet) { addFlags(fs, sweepSettings()) }

// AddDryRunFlags adds the flags of a dry run.
func AddDryRunFlags(fs *pflag.FlagSet) { addFlags(fs, dryRunSettings()) }

// addFlags leaves all but switches as text: a value then gets the same reading and the same error
// wherever it stands.
func addFlags(fs *pflag.FlagSet, settings []setting) {
	for _, s := range settings {
		if s.toggle {
			fs.BoolP(s.flag(), s.short, false, s.usage)
		} else {
			fs.StringP(s.flag(), s.short, s.initial, s.usage)
		}
	}
}
