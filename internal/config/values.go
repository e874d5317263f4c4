package config

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/pflag"

	"decayctl/internal/fact"
	"decayctl/internal/job"
	"decayctl/internal/rule"
	"decayctl/internal/stats"
)

// ttl is the ttl rule and the setting that decided on it. The meaning of 0 depends on the layer.
func (s *settings) ttl() (*rule.TTL, string) {
	from, bySeconds := s.origins["ttl"], s.origins["ttl_seconds"]
	if bySeconds.layer == byFlag {
		if from.layer == byFlag {
			s.fail("--ttl and --ttl-seconds are both given; give one")
		}
		ttl := value(s, "ttl_seconds", rule.ParseTTLSeconds)
		return &ttl, bySeconds.name
	}
	parse := parseLastingTTL
	switch from.layer {
	case byFlag:
		parse = rule.ParseTTL
	case byNode, byDotenv:
		parse = parseNodeTTL
	}
	return value(s, "ttl", parse), from.name
}

// parseLastingTTL parses a ttl of a place that outlives the run. It refuses 0 there as a mistake: for the node it means
// off, here it would expire every fact.
func parseLastingTTL(text string) (*rule.TTL, error) {
	ttl, err := rule.ParseTTL(text)
	if err == nil && ttl != nil && *ttl == 0 {
		return nil, errors.New("every fact would expire; write off to switch the rule off, only the flag --ttl can say 0")
	}
	return ttl, err
}

func (s *settings) floor() (*rule.Floor, string) {
	from := s.origins["min_confidence"]
	parse := rule.ParseFloor
	if from.layer == byNode || from.layer == byDotenv {
		parse = parseNodeFloor
	}
	return value(s, "min_confidence", parse), from.name
}

// only makes one policy the only rule that acts.
func (s *settings) only(rules *rule.Set) {
	id := value(s, "policy", parseStored)
	if id == "" || s.err != nil {
		return
	}
	if rules.Policy(id) == nil {
		known := "there are no policies; name their file with --policies"
		if len(rules.Policies) > 0 {
			var ids []string
			for _, p := range rules.Policies {
				ids = append(ids, p.ID)
			}
			known = "the policies are " + strings.Join(ids, ", ")
		}
		s.fail("--policy is %s, and there is no such policy; %s", quote(id), clean(known))
		return
	}
	rules.Only, rules.TTL, rules.Floor = id, nil, nil
}

// planned leaves the rules to the plan, if one is to be applied. Those of a flag contradict it; those that hold for every
// run are not meant, and need not even be readable.
func (s *settings) planned() {
	plan, drift := s.origins["plan"], s.origins["allow_drift"]
	if plan.layer == 0 {
		if drift.layer != 0 {
			s.fail("%s is given without --plan: it says how far a plan may be from what it was", drift.name)
		}
		return
	}
	for _, each := range ruleSettings() {
		if from := s.origins[each.key]; from.layer == byFlag {
			s.fail("%s is given next to %s, and a plan has its own rules, scope, tenant and as-of; leave %[1]s out, or save a new plan with it", from.name, plan.name)
		}
		delete(s.origins, each.key)
		s.viper.SetDefault(each.key, each.initial)
	}
}

// tenant is the one tenant to sweep, or "" for all. Two settings decide on it: the one of the stronger layer wins.
// White space around a name is removed, since a file of secrets ends with a line break, but not for a flag.
func (s *settings) tenant() string {
	one, all := s.origins["tenant"], s.origins["all_tenants"]
	name := value(s, "tenant", func(text string) (string, error) {
		if one.layer != byFlag {
			text = strings.TrimSpace(text)
		}
		return parseStored(text)
	})
	switch every := value(s, "all_tenants", parseToggle); {
	case every && one.layer == all.layer:
		s.fail("%s and %s are both given; give one", one.name, all.name)
	case every && (one.layer == 0 || all.layer < one.layer):
		return ""
	}
	return name
}

func parseText(text string) (string, error) { return text, nil }

// parseStored parses text that is compared with text of the store. PostgreSQL would fail for text that it cannot store,
// and only after the work has begun.
func parseStored(text string) (string, error) {
	switch {
	case !utf8.ValidString(text):
		return "", errors.New("it is not UTF-8 text, and all text in a store is")
	case strings.Contains(text, "\x00"):
		return "", errors.New("it has a zero byte in it, and no text in a store has")
	}
	return text, nil
}

func parseScope(text string) (string, error) { return oneOf(text, fact.Scopes...) }

var (
	outputs  = []string{OutputText, OutputJSON, OutputMarkdown, OutputHTML}
	logForms = outputs[:2]
)

func parseForm(text string) (string, error) { return oneOf(text, logForms...) }

func parseOutput(text string) (string, error) { return oneOf(text, outputs...) }

// reportForms are the forms of report files, by extension.
var reportForms = map[string]string{".html": OutputHTML, ".md": OutputMarkdown, ".json": OutputJSON, ".txt": OutputText}

// reports parses the names of report files. A name with another extension is refused before the run begins.
func (s *settings) reports(flags *pflag.FlagSet) (all []Report) {
	flag := flags.Lookup("report")
	if flag == nil {
		return nil
	}
	names, ok := flag.Value.(pflag.SliceValue) // GetStringArray drops an empty name
	if !ok {
		return nil
	}
	for _, name := range names.GetSlice() {
		r := Report{Name: name, Path: s.path(name), Form: reportForms[strings.ToLower(filepath.Ext(name))]}
		switch {
		case strings.TrimSpace(name) == "":
			s.fail("--report is empty; give it a value or leave it out")
		case r.Form == "":
			s.fail("--report is %s: the ending of its name says the form; write .html, .md, .json or .txt", quote(name))
		case slices.ContainsFunc(all, func(other Report) bool { return other.Path == r.Path }):
			s.fail("--report names %s twice", quote(name))
		}
		all = append(all, r)
	}
	return all
}

func oneOf(text string, words ...string) (string, error) {
	if !slices.Contains(words, text) {
		return "", errors.New("write one of " + strings.Join(words, ", "))
	}
	return text, nil
}

var logLevels = []string{"debug", "info", "warn", "error"}

func parseLogLevel(text string) (slog.Level, error) {
	levels := []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError}
	_, err := oneOf(text, logLevels...)
	if err != nil {
		return 0, err
	}
	return levels[slices.Index(logLevels, text)], nil
}

func parseToggle(text string) (bool, error) {
	switch strings.ToLower(text) {
	case "true", "yes", "on", "1":
		return true, nil
	case "false", "no", "off", "0":
		return false, nil
	}
	return false, errors.New("write true or false")
}

func parseWhole(text string) (int, error) {
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return 0, errors.New("not a whole number from 0 to 2147483647")
	}
	return int(n), nil
}

// thresholdParser parses a number of facts. For the node, a number below 0 means always.
func (s *settings) thresholdParser() func(string) (int64, error) {
	from := s.origins["threshold"].layer
	return func(text string) (int64, error) {
		if from == byNode || from == byDotenv {
			return parseNodeThreshold(text)
		}
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < 0 {
			return 0, errors.New("not a whole number of facts, 0 or more")
		}
		return n, nil
	}
}

const mostWorkers = 64

func parseWorkers(text string) (int, error) {
	n, err := parseWhole(text)
	if err != nil || n < 1 || n > mostWorkers {
		return 0, fmt.Errorf("write a number from 1 to %d", mostWorkers)
	}
	return n, nil
}

const longestTime = 100 * 365 * 24 * time.Hour

// parseTime parses a duration of whole seconds, 1 or more.
func parseTime(text string) (time.Duration, error) {
	seconds, err := rule.ParseSeconds(text)
	switch {
	case err != nil:
		return 0, err
	case seconds == 0:
		return 0, errors.New("write a time of 1s or more, or leave it out")
	case seconds > int64(longestTime/time.Second):
		return longestTime, nil
	}
	return time.Duration(seconds) * time.Second, nil
}

const longestLease = 48 * time.Hour // twice the longest lock timeout

// parseLease limits how long a job seems to have a live worker after its host is gone.
func parseLease(text string) (time.Duration, error) {
	lease, err := parseTime(text)
	if err == nil && lease > longestLease {
		err = errors.New("write a time up to 48h")
	}
	return lease, err
}

func stateNames() (names []string) {
	for _, state := range job.States {
		names = append(names, string(state))
	}
	return names
}

func parseStates(text string) ([]job.State, error) {
	var states []job.State
	for word := range strings.SplitSeq(text, ",") {
		state, err := oneOf(strings.TrimSpace(word), stateNames()...)
		if err != nil {
			return nil, err
		}
		states = append(states, job.State(state))
	}
	return states, nil
}

var factForms = []string{OutputText, "csv", "ndjson"}

func parseFormat(text string) (string, error) { return oneOf(text, factForms...) }

func parseDays(text string) (int, error) {
	days, err := parseWhole(text)
	if err != nil || days < 1 || days > stats.MaxDays {
		return 0, fmt.Errorf("write a number of days from 1 to %d", stats.MaxDays)
	}
	return days, nil
}

func parseDimension(text string) (stats.Dimension, error) {
	word, err := oneOf(text, dimensions()...)
	return stats.Dimension(word), err
}

func dimensions() (words []string) {
	for _, d := range stats.Dimensions() {
		words = append(words, string(d))
	}
	return words
}

func parsePace(text string) (float64, error) {
	share, err := strconv.ParseFloat(text, 64)
	if err != nil || !(share > 0 && share <= 1) { // written so that NaN fails
		return 0, errors.New("write a number above 0 and up to 1, as in 0.5")
	}
	return share, nil
}

// parseRate parses a number of facts per second. It refuses a number without a unit.
func parseRate(text string) (float64, error) {
	number, perSecond := strings.CutSuffix(text, "/s")
	rate, err := strconv.ParseFloat(number, 64)
	if !perSecond || err != nil || !(rate > 0 && rate <= 1e9) || strings.ContainsAny(number, "xX_") { // NaN fails
		return 0, errors.New("write a number of facts per second, as in 500/s")
	}
	return rate, nil
}

func parseLag(text string) (time.Duration, error) {
	if text == "off" {
		return 0, nil
	}
	lag, err := parseTime(text)
	if err != nil {
		return 0, fmt.Errorf("%w; off never waits for replicas", err)
	}
	return lag, nil
}

// parseLockTimeout parses whole milliseconds, 1 or more, as the databases take them. For PostgreSQL, 0 would mean to
// wait for ever.
func parseLockTimeout(text string) (time.Duration, error) {
	if strings.Trim(text, "0123456789.") == "" {
		return 0, errors.New("a time needs a unit, as in 30s or 500ms")
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, errors.New("write a time as in 30s or 500ms")
	}
	if d < time.Millisecond || d > 24*time.Hour {
		return 0, errors.New("write a time from 1ms to 24h")
	}
	return d.Truncate(time.Millisecond), nil
}

// asOfParser parses stamps as the store has them. It refuses those that the store cannot hold, and the zero time, which
// stands for now.
func asOfParser(now time.Time) func(string) (time.Time, error) {
	return func(text string) (time.Time, error) {
		example := "; write it as in " + now.UTC().Format(time.RFC3339)
		t, err := fact.ParseInstant(text)
		t = t.Truncate(time.Microsecond)
		switch {
		case err != nil, t.Year() < 1, t.Year() > 9999:
			return time.Time{}, errors.New("not a point in time" + example)
		case t.IsZero():
			return time.Time{}, errors.New("too early" + example)
		}
		return t, nil
	}
}

// parseSchema checks the name of a schema, which becomes part of SQL.
func parseSchema(text string) (string, error) {
	if text == "" || len(text) > 63 || text[0] < 'a' || text[0] > 'z' ||
		strings.Trim(text, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" {
		return "", errors.New("write lower-case letters, digits and _, a letter first, 63 at most")
	}
	return text, nil
}
