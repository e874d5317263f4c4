package config

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

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
	seen := map[string][]string{}
	flags.VisitAll(func(flag *pflag.Flag) { seen[GroupOf(flag)] = append(seen[GroupOf(flag)], flag.Name) })
	for group, names := range seen {
		if !slices.Contains(Groups, group) {
			t.Errorf("%v: groups.go has them in the group %q, which no help text has", names, group)
		}
	}
	for _, group := range Groups {
		if len(seen[group]) == 0 {
			t.Errorf("the group %q is empty", group)
		}
	}
}

// TestShowOneTenantSetting: of tenant and all_tenants, the one of the stronger layer is in force, and the other one is not.
func TestShowOneTenantSetting(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		given given
		want  []Shown
	}{
		"a flag names one": {
			given{args: []string{"--tenant", "acme"}, env: []string{"DECAYCTL_ALL_TENANTS=1"}},
			[]Shown{{"tenant", "acme", "--tenant"}, {"all_tenants", "off", "--tenant"}},
		},
		"a flag names all": {
			given{args: []string{"--all-tenants"}, env: []string{"DECAYCTL_TENANT=acme"}},
			[]Shown{{"tenant", "", "--all-tenants"}, {"all_tenants", "on", "--all-tenants"}},
		},
		"neither is given": {
			given{},
			[]Shown{{"tenant", "default", DefaultOrigin}, {"all_tenants", "off", DefaultOrigin}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all, err := Show(c.given.source(t, t.TempDir()), time.Now())
			if err != nil {
				t.Fatal(err)
			}
			got := slices.DeleteFunc(all, func(s Shown) bool { return s.Key != "tenant" && s.Key != "all_tenants" })
			if !slices.Equal(got, c.want) {
				t.Errorf("got  %v\nwant %v", got, c.want)
			}
		})
	}
}
