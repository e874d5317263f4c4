package config

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"decayctl/internal/fact"
	"decayctl/internal/job"
	"decayctl/internal/rule"
	"decayctl/internal/stats"
)

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

// parseLastingTTL parses a ttl of a place that outlives the run. It refuses 0 there as a mistake: for the node it means
// off, here it would expire every fact.
func parseLastingTTL(text string) (*rule.TTL, error) {
	ttl, err := rule.ParseTTL(text)
	if err == nil && ttl != nil && *ttl == 0 {
		return nil, errors.New("every fact would expire; write off to switch the rule off, only the flag --ttl can say 0")
	}
	return ttl, err
}
