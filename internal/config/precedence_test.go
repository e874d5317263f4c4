package config

import (
	"fmt"
	"slices"
	"testing"
)

// A level is one way to give a setting, and what the setting then is.
type level struct {
	given given
	want  string
}

func byArg(arg, want string) level     { return level{given{args: []string{arg}}, want} }
func byEnv(line, want string) level    { return level{given{env: []string{line}}, want} }
func byYAML(line, want string) level   { return level{given{file: line + "\n"}, want} }
func byDotEnv(line, want string) level { return level{given{dotenv: line + "\n"}, want} }
func byNothing(want string) level      { return level{given{}, want} }

// onePolicy is the text of a set with one policy, as the levels below give it.
func onePolicy(id, ttl string) string {
	return `policy {"id":"` + id + `","relation":"*","mode":"retract","ttl":"` + ttl + `"}`
}

func merge(levels []level) given {
	var all given
	for _, l := range levels {
		all.args = append(all.args, l.given.args...)
		all.env = append(all.env, l.given.env...)
		all.file += l.given.file
		all.dotenv += l.given.dotenv
	}
	return all
}

// Every setting with all its levels, the strongest first. Each level has a value of its own.
type precedence struct {
	key    string
	get    func(Config) any
	levels []level
}

func precedences() []precedence {
	return []precedence{
		{"store", func(c Config) any { return c.Store.Display + " " + c.Store.Origin }, []level{
			byArg("--store=a.db", "sqlite:a.db --store"),
			byEnv("DECAYCTL_STORE=b.db", "sqlite:b.db DECAYCTL_STORE"),
			byEnv("STIGMEM_DB_PATH=c.db", "sqlite:c.db STIGMEM_DB_PATH"),
			byYAML("store: d.db", "sqlite:d.db store in decayctl.yaml:1"),
			byDotEnv("STIGMEM_DB_PATH=e.db", "sqlite:e.db STIGMEM_DB_PATH in .env"),
			byNothing("sqlite:stigmem.db default"),
		}},
		{"ttl", func(c Config) any { return c.Selection.Rules.String() + " " + c.Origins.TTL }, []level{
			byArg("--ttl=1d", "ttl 1d --ttl"),
			byEnv("DECAYCTL_TTL=2d", "ttl 2d DECAYCTL_TTL"),
			byEnv("STIGMEM_DECAY_TTL_SECONDS=3", "ttl 3s STIGMEM_DECAY_TTL_SECONDS"),
			byYAML("ttl: 4d", "ttl 4d ttl in decayctl.yaml:1"),
			byDotEnv("STIGMEM_DECAY_TTL_SECONDS=5", "ttl 5s STIGMEM_DECAY_TTL_SECONDS in .env"),
			byNothing(" "),
		}},
		{"ttl_seconds", func(c Config) any { return c.Selection.Rules.String() + " " + c.Origins.TTL }, []level{
			byArg("--ttl-seconds=0", "ttl 0s --ttl-seconds"),
			byEnv("DECAYCTL_TTL=2d", "ttl 2d DECAYCTL_TTL"),
		}},
		{"min_confidence", func(c Config) any { return c.Selection.Rules.String() + " " + c.Origins.Floor }, []level{
			byArg("--min-confidence=0.1", "min_confidence 0.1 --min-confidence"),
			byEnv("DECAYCTL_MIN_CONFIDENCE=0.2", "min_confidence 0.2 DECAYCTL_MIN_CONFIDENCE"),
			byEnv("STIGMEM_DECAY_MIN_CONFIDENCE=0.3", "min_confidence 0.3 STIGMEM_DECAY_MIN_CONFIDENCE"),
			byYAML("min_confidence: 0.4", "min_confidence 0.4 min_confidence in decayctl.yaml:1"),
			byDotEnv("STIGMEM_DECAY_MIN_CONFIDENCE=0.5", "min_confidence 0.5 STIGMEM_DECAY_MIN_CONFIDENCE in .env"),
			byNothing(" "),
		}},
		{"pg_schema", func(c Config) any { return c.Store.Schema }, []level{
			byArg("--pg-schema=a", "a"),
			byEnv("DECAYCTL_PG_SCHEMA=b", "b"),
			byEnv("STIGMEM_PG_SCHEMA=c", "c"),
			byYAML("pg_schema: d", "d"),
			byDotEnv("STIGMEM_PG_SCHEMA=e", "e"),
			byNothing("public"),
		}},
		{"no_color", func(c Config) any { return c.Output.NoColor }, []level{
			byArg("--no-color", "true"),
			byEnv("DECAYCTL_NO_COLOR=no", "false"),
			byEnv("NO_COLOR=1", "true"),
			byYAML("no_color: off", "false"),
			byNothing("false"),
		}},
		{"threshold", func(c Config) any { return c.Start.Threshold }, []level{
			byArg("--threshold=1", "1"),
			byEnv("DECAYCTL_THRESHOLD=2", "2"),
			byEnv("STIGMEM_ASYNC_JOB_THRESHOLD=-3", "-1"),
			byYAML("threshold: 4", "4"),
			byDotEnv("STIGMEM_ASYNC_JOB_THRESHOLD=5_000", "5000"),
			byNothing("100000"),
		}},
		{"policies", func(c Config) any { return c.Selection.Rules.String() + " " + c.Origins.Policies }, []level{
			byArg("--policies=a.yaml", onePolicy("a", "1d")+" --policies"),
			byEnv("DECAYCTL_POLICIES=b.json", onePolicy("b", "2d")+" DECAYCTL_POLICIES"),
			byEnv(`STIGMEM_DECAY_POLICIES=[{"id": "c", "relation": "*", "mode": "retract", "ttl_s": 259200}]`, onePolicy("c", "3d")+" STIGMEM_DECAY_POLICIES"),
			byYAML(`policies: [{id: d, relation: "*", mode: retract, ttl: 4d}]`, onePolicy("d", "4d")+" policies in decayctl.yaml:1"),
			byDotEnv(`STIGMEM_DECAY_POLICIES='[{"id": "e", "relation": "*", "mode": "retract", "ttl_s": 432000}]'`, onePolicy("e", "5d")+" STIGMEM_DECAY_POLICIES in .env"),
			byNothing(" "),
		}},
		plain("env_file", func(c Config) any { return c.Selection.Rules.String() }, [4]string{"a.env", "b.env", "c.env", ".env"},
			[4]string{"ttl 1s", "ttl 2s", "ttl 3s", "ttl 4s"}),
		plain("scope", func(c Config) any { return c.Selection.Scope }, [4]string{"local", "team", "public", ""}, [4]string{}),
		plain("tenant", func(c Config) any { return c.Selection.Tenant }, [4]string{"a", "b", "007", "default"}, [4]string{}),
		plain("all_tenants", func(c Config) any { return c.Selection.Tenant == "" }, [4]string{"true", "no", "on", ""}, [4]string{"true", "false", "true", "false"}),
		plain("max_expire", func(c Config) any { return c.Start.MaxExpire }, [4]string{"1", "2%", "3.5%", "<nil>"}, [4]string{}),
		plain("batch_size", func(c Config) any { return c.Run.Work.BatchSize }, [4]string{"1", "2", "3", "0"}, [4]string{}),
		plain("max_rate", func(c Config) any { return c.Run.Work.MaxRate }, [4]string{"1/s", "2/s", "3/s", ""}, [4]string{"1", "2", "3", "0"}),
		plain("max_lag", func(c Config) any { return c.Run.Work.MaxLag }, [4]string{"1s", "2m", "off", "5s"}, [4]string{"1s", "2m0s", "0s", "5s"}),
		plain("pace", func(c Config) any { return c.Run.Work.Pace }, [4]string{"0.1", "0.2", "1", "0.5"}, [4]string{}),
		plain("workers", func(c Config) any { return c.Run.Work.Workers }, [4]string{"2", "3", "4", "1"}, [4]string{}),
		plain("no_fk_checks", func(c Config) any { return c.Run.NoFKChecks }, [4]string{"true", "no", "on", ""}, [4]string{"true", "false", "true", "false"}),
		plain("max_runtime", func(c Config) any { return c.Run.MaxRuntime }, [4]string{"1h", "2h", "3h", ""}, [4]string{"1h0m0s", "2h0m0s", "3h0m0s", "0s"}),
		plain("lease", func(c Config) any { return c.Run.Lease }, [4]string{"2m", "3m", "4m", "1m"}, [4]string{"2m0s", "3m0s", "4m0s", "1m0s"}),
		plain("lock_timeout", func(c Config) any { return c.Store.LockTimeout }, [4]string{"1s", "2ms", "3m0s", "30s"}, [4]string{}),
		plain("output", func(c Config) any { return c.Output.Form }, [4]string{"json", "text", "json", "text"}, [4]string{}),
		plain("log_format", func(c Config) any { return c.Output.LogFormat }, [4]string{"json", "text", "json", "text"}, [4]string{}),
		plain("log_level", func(c Config) any { return c.Output.LogLevel }, [4]string{"debug", "warn", "error", "INFO"},
			[4]string{"DEBUG", "WARN", "ERROR", "INFO"}),
		plain("metrics_file", func(c Config) any { return c.Ending.MetricsFile }, [4]string{"/a", "/b", "/c", ""}, [4]string{}),
		plain("metrics_tenants", func(c Config) any { return c.Ending.MetricsTenants }, [4]string{"true", "no", "on", ""}, [4]string{"true", "false", "true", "false"}),
		plain("on_success", func(c Config) any { return c.Ending.OnSuccess }, [4]string{"http://a", "http://b", "http://c", ""}, [4]string{"http://a", "http://b", "http://c", "<nil>"}),
		plain("on_failure", func(c Config) any { return c.Ending.OnFailure }, [4]string{"http://a", "http://b", "http://c", ""}, [4]string{"http://a", "http://b", "http://c", "<nil>"}),
		plain("ping", func(c Config) any { return c.Ending.Ping }, [4]string{"http://a", "http://b", "http://c", ""}, [4]string{"http://a", "http://b", "http://c", "<nil>"}),
		plain("quiet", func(c Config) any { return c.Output.Quiet }, [4]string{"false", "true", "false", "false"}, [4]string{}),
	}
}

func TestPrecedence(t *testing.T) {
	t.Parallel()
	for _, test := range precedences() {
		t.Run(test.key, func(t *testing.T) {
			t.Parallel()
			for i, l := range test.levels {
				cases := [][]level{test.levels[i:]}
				if i+1 < len(test.levels) {
					cases = append(cases, test.levels[i:i+1], test.levels[i:i+2])
				}
				for _, levels := range cases {
					g := merge(levels)
					g.more = map[string]string{
						"a.env": "STIGMEM_DECAY_TTL_SECONDS=1", "b.env": "STIGMEM_DECAY_TTL_SECONDS=2", "c.env": "STIGMEM_DECAY_TTL_SECONDS=3",
						"a.yaml": `policies: [{id: a, relation: "*", mode: retract, ttl: 1d}]`,
						"b.json": "[\n\t{\"id\": \"b\", \"relation\": \"*\", \"mode\": \"retract\", \"ttl_s\": 172800}]",
					}
					switch test.key {
					case "env_file":
						g.dotenv = "STIGMEM_DECAY_TTL_SECONDS=4"
					case "pg_schema":
						g.env = append(slices.Clone(g.env), "STIGMEM_STORAGE_BACKEND=postgres", "STIGMEM_PG_DSN=postgres://h/d")
					}
					if got := fmt.Sprint(test.get(mustLoad(t, g))); got != l.want {
						t.Errorf("%+v: got %q, want %q", merge(levels), got, l.want)
					}
				}
			}
		})
	}
}

// plain is a setting of decayctl's own: flag, variable, file and default. Where wants are missing,
// the texts are what is wanted.
func plain(key string, get func(Config) any, texts, wants [4]string) precedence {
	if wants == [4]string{} {
		wants = texts
	}
	s := setting{key: key}
	return precedence{key, get, []level{
		byArg("--"+s.flag()+"="+texts[0], wants[0]),
		byEnv(s.variable()+"="+texts[1], wants[1]),
		byYAML(key+": "+texts[2], wants[2]),
		byNothing(wants[3]),
	}}
}

// Which tenant: the stronger of two settings decides, and a place that says both is a mistake.
func TestTenant(t *testing.T) {
	t.Parallel()
	const all = ""
	for _, test := range []struct {
		given given
		want  string
	}{
		{given{}, "default"},
		{arg("--tenant", "acme"), "acme"},
		{arg("--all-tenants"), all},
		{arg("--all-tenants=false"), "default"},
		{given{args: []string{"--tenant", "acme"}, env: []string{"DECAYCTL_ALL_TENANTS=1"}}, "acme"},
		{given{args: []string{"--tenant", "acme"}, file: "all_tenants: true"}, "acme"},
		{given{args: []string{"--all-tenants"}, env: []string{"DECAYCTL_TENANT=acme"}}, all},
		{given{args: []string{"--all-tenants=false"}, env: []string{"DECAYCTL_ALL_TENANTS=1"}}, "default"},
		{given{args: []string{"--all-tenants=false"}, env: []string{"DECAYCTL_TENANT=acme"}}, "acme"},
		{given{args: []string{"--tenant", "acme", "--all-tenants=false"}}, "acme"},
		{given{env: []string{"DECAYCTL_TENANT=acme"}, file: "all_tenants: true"}, "acme"},
		{given{env: []string{"DECAYCTL_ALL_TENANTS=yes"}, file: "tenant: acme"}, all},
		{env("DECAYCTL_TENANT= \tacme\n"), "acme"},
		{yml("tenant: \" acme\\n\""), "acme"},
		{arg("--tenant", " acme\n"), " acme\n"}, // typed so
		{env("DECAYCTL_TENANT=acme", "DECAYCTL_ALL_TENANTS=no"), "acme"},
	} {
		if got := mustLoad(t, test.given).Selection.Tenant; got != test.want {
			t.Errorf("%+v: got %q, want %q", test.given, got, test.want)
		}
	}
}

// The config file's own place has two levels and a default name.
func TestConfigFilePlace(t *testing.T) {
	t.Parallel()
	more := map[string]string{"a.yaml": "ttl: 1d", "b.yaml": "ttl: 2d"}
	for _, test := range []struct {
		args, env []string
		want      string
	}{
		{[]string{"--config", "a.yaml"}, []string{"DECAYCTL_CONFIG=b.yaml"}, "ttl 1d"},
		{nil, []string{"DECAYCTL_CONFIG=b.yaml"}, "ttl 2d"},
		{nil, nil, "ttl 3d"},
	} {
		cfg := mustLoad(t, given{args: test.args, env: test.env, file: "ttl: 3d", more: more})
		if got := cfg.Selection.Rules.String(); got != test.want {
			t.Errorf("%v %v: got %s, want %s", test.args, test.env, got, test.want)
		}
	}
}

// Every setting that may stand in the environment and in the file is in the table above.
func TestPrecedenceIsComplete(t *testing.T) {
	t.Parallel()
	for _, s := range allSettings() {
		tested := slices.ContainsFunc(precedences(), func(p precedence) bool { return p.key == s.key })
		if s.reach == everywhere && !tested {
			t.Errorf("%s has no precedence test", s.key)
		}
	}
}

// NO_COLOR counts only where it is not empty, as its users agreed.
func TestNoColorEmpty(t *testing.T) {
	t.Parallel()
	if cfg := mustLoad(t, given{env: []string{"NO_COLOR="}}); cfg.Output.NoColor {
		t.Error("an empty NO_COLOR switched color off")
	}
}

// What switches a rule off counts as a value: it hides the levels below.
func TestRulesOff(t *testing.T) {
	t.Parallel()
	for _, g := range []given{
		{args: []string{"--ttl", "off"}, env: []string{"DECAYCTL_TTL=1d"}},
		{env: []string{"DECAYCTL_TTL=off", "STIGMEM_DECAY_TTL_SECONDS=60"}},
		{env: []string{"STIGMEM_DECAY_TTL_SECONDS=0"}, file: "ttl: 1d"},
		{env: []string{"STIGMEM_DECAY_TTL_SECONDS=-1"}, file: "ttl: 1d"},
		{file: "ttl: off", dotenv: "STIGMEM_DECAY_TTL_SECONDS=60"},
		{args: []string{"--min-confidence", "0"}, env: []string{"DECAYCTL_MIN_CONFIDENCE=0.5"}},
		{env: []string{"DECAYCTL_MIN_CONFIDENCE=0", "STIGMEM_DECAY_MIN_CONFIDENCE=0.5"}},
		{env: []string{"STIGMEM_DECAY_MIN_CONFIDENCE=nan"}, file: "min_confidence: 0.5"},
		{args: []string{"--policies=off", "--ttl=off"}, file: "policies: none.yaml"},
		{env: []string{"STIGMEM_DECAY_POLICIES=[]", "DECAYCTL_TTL=off"}, file: "policies: none.yaml"},
		{file: "min_confidence: 0.0", dotenv: "STIGMEM_DECAY_MIN_CONFIDENCE=0.5"},
	} {
		cfg := mustLoad(t, g)
		if !cfg.Selection.Rules.Empty() || cfg.Origins.TTL+cfg.Origins.Floor == "" {
			t.Errorf("%+v: rules %s from %q and %q", g, cfg.Selection.Rules, cfg.Origins.TTL, cfg.Origins.Floor)
		}
	}
}
