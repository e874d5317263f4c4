package config

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// TestEachLineOfTheTemplateCanBeUsed: with its # taken away. The two that exclude each other are tried apart.
func TestEachLineOfTheTemplateCanBeUsed(t *testing.T) {
	t.Parallel()
	lines := regexp.MustCompile(`(?m)^#([a-z_]+: .+)$`).FindAllStringSubmatch(Template(), -1)
	var keys []string
	var all []string
	for _, line := range lines {
		key, _, _ := strings.Cut(line[1], ":")
		keys = append(keys, key)
		if key != "all_tenants" {
			all = append(all, line[1])
		}
	}
	for _, s := range lastingSettings() {
		if s.reach == everywhere && !slices.Contains(keys, s.key) {
			t.Errorf("the template does not have %s", s.key)
		}
	}
	policies := map[string]string{"policies.yaml": `policies: [{id: a, relation: "*", mode: retract, ttl: 1d}]`, ".env": "A=b"}
	for _, file := range []string{strings.Join(all, "\n"), "all_tenants: true"} {
		mustLoad(t, given{file: file, more: policies})
	}
	if empty := mustLoad(t, given{file: Template()}); !empty.Selection.Rules.Empty() {
		t.Errorf("the template switches rules on: %s", empty.Selection.Rules.Words())
	}
}

// TestEachFlagHasAGroup that the help texts know.
func TestEachFlagHasAGroup(t *testing.T) {
	t.Parallel()
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	addFlags(flags, allSettings())
	seen := map[string]int{}
	flags.VisitAll(func(flag *pflag.Flag) { seen[GroupOf(flag)]++ })
	for group, n := range seen {
		if !slices.Contains(Groups, group) {
			t.Errorf("%d flags are in the group %q, which no help text has", n, group)
		}
	}
	for _, group := range Groups {
		if seen[group] == 0 {
			t.Errorf("the group %q is empty", group)
		}
	}
}
