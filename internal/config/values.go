package config

import (
	"errors"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"decayctl/internal/rule"
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
