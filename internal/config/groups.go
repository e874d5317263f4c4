package config

import "github.com/spf13/pflag"

// The groups of flags in a help text, in their order.
const (
	GroupRules  = "Rules"
	GroupFacts  = "Which facts"
	GroupPace   = "Pace and limits"
	GroupGuards = "Guards"
	GroupOutput = "Output"
	GroupStore  = "Store and settings"
)

// Groups are the groups of flags, in their order.
var Groups = []string{GroupRules, GroupFacts, GroupPace, GroupGuards, GroupOutput, GroupStore}

const groupAnnotation = "decayctl_group"

// groupOf is the group of a setting; "" if it has none yet, and then a test fails. What a command shows or counts is its output.
func groupOf(key string) string {
	switch key {
	case "ttl", "ttl_seconds", "min_confidence", "policies", "policy", "as_of":
		return GroupRules
	case "scope", "tenant", "all_tenants":
		return GroupFacts
	case "batch_size", "pace", "max_rate", "max_lag", "workers", "max_runtime", "lease", "lock_timeout", "wait", "detach", "threshold":
		return GroupPace
	case "max_expire", "plan", "allow_drift", "yes", "dry_run", "older_than", "no_fk_checks":
		return GroupGuards
	case "store", "config", "env_file", "pg_schema":
		return GroupStore
	case "output", "report", "save", "format", "log_format", "log_level", "quiet", "no_color", "samples", "detailed_exitcode",
		"state", "limit", "ddl", "days", "by", "metrics_file", "metrics_tenants", "on_success", "on_failure", "ping":
		return GroupOutput
	}
	return ""
}

// GroupOf is the group of a flag. Flags that are no setting, such as --help, are output.
func GroupOf(flag *pflag.Flag) string {
	if group := flag.Annotations[groupAnnotation]; len(group) == 1 {
		return group[0]
	}
	return GroupOutput
}
