package config

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode"

	"decayctl/internal/store"
)

func arg(args ...string) given  { return given{args: args} }
func env(lines ...string) given { return given{env: lines} }
func yml(text string) given     { return given{file: text} }

// Every class of error, with its whole text: operators read these in a cron mail.
func TestErrors(t *testing.T) {
	t.Parallel()
	const noUnit = "a duration needs a unit: y, w, d, h, m or s, as in 90d or 1d12h"
	const zero = "every fact would expire; write off to switch the rule off, only the flag --ttl can say 0"
	const floor = "a floor is a number from 0 to 1"
	const empty = " is empty; give it a value or leave it out"
	const whole = "not a whole number from 0 to 2147483647"
	const rate = "write a number of facts per second, as in 500/s"
	const pace = "write a number above 0 and up to 1, as in 0.5"
	const noUTF8 = "it is not UTF-8 text, and all text in a store is"
	const zeroByte = "it has a zero byte in it, and no text in a store has"
	const limit = "write a number of facts, or a percentage of them as in 5%"
	for _, test := range []struct {
		given given
		want  string
	}{
		// Empty, wherever it stands: a variable that was not set must not mean everything.
		{arg("--store="), "--store" + empty},
		{arg("--scope="), "--scope" + empty},
		{arg("--tenant="), "--tenant" + empty},
		{arg("--tenant= "), "--tenant" + empty},
		{env("DECAYCTL_TENANT=\n"), "DECAYCTL_TENANT" + empty},
		{arg("--tenant", "a\xff"), `--tenant is "a\xff": ` + noUTF8},
		{env("DECAYCTL_TENANT=a\xff"), `DECAYCTL_TENANT is "a\xff": ` + noUTF8},
		{yml(`tenant: "a\0b"`), `tenant in decayctl.yaml:1 is "a\x00b": ` + zeroByte},
		{arg("--policy", "a\xff"), `--policy is "a\xff": ` + noUTF8},
		{yml(`policies: [{id: "a\0b"}]`), `decayctl.yaml:1: id is "a\x00b": ` + zeroByte},
		{yml(`policies: [{exempt_relations: ["a\0b"]}]`), `decayctl.yaml:1: exempt_relations is no plain value: ` + zeroByte},
		{env("STIGMEM_DECAY_POLICIES=[{\"id\": \"a\\u0000b\"}]"), `STIGMEM_DECAY_POLICIES: id is "a\x00b": ` + zeroByte},
		{env("STIGMEM_DECAY_POLICIES=[{\"id\": \"\xff\"}]"), "STIGMEM_DECAY_POLICIES is not UTF-8 text; write an array of policies"},
		{arg("--tenant", "acme", "--all-tenants"), "--tenant and --all-tenants are both given; give one"},
		{env("DECAYCTL_TENANT=acme", "DECAYCTL_ALL_TENANTS=1"), "DECAYCTL_TENANT and DECAYCTL_ALL_TENANTS are both given; give one"},
		{yml("tenant: acme\nall_tenants: true"), "tenant in decayctl.yaml:1 and all_tenants in decayctl.yaml:2 are both given; give one"},
		{env("DECAYCTL_ALL_TENANTS=some"), `DECAYCTL_ALL_TENANTS is "some": write true or false`},
		{arg("--ttl="), "--ttl" + empty},
		{arg("--ttl-seconds="), "--ttl-seconds" + empty},
		{arg("--min-confidence="), "--min-confidence" + empty},
		{arg("--as-of="), "--as-of" + empty},
		{arg("--config="), "--config" + empty},
		{arg("--env-file="), "--env-file" + empty},
		{arg("--samples="), "--samples" + empty},
		{given{args: []string{"--scope="}, env: []string{"DECAYCTL_SCOPE=team"}}, "--scope" + empty},
		{env("DECAYCTL_STORE="), "DECAYCTL_STORE" + empty},
		{env("DECAYCTL_SCOPE="), "DECAYCTL_SCOPE" + empty},
		{env("DECAYCTL_CONFIG="), "DECAYCTL_CONFIG" + empty},
		{env("DECAYCTL_QUIET="), "DECAYCTL_QUIET" + empty},
		{env("STIGMEM_DECAY_TTL_SECONDS="), "STIGMEM_DECAY_TTL_SECONDS" + empty},
		{env("STIGMEM_DECAY_MIN_CONFIDENCE="), "STIGMEM_DECAY_MIN_CONFIDENCE" + empty},
		{given{dotenv: "STIGMEM_DECAY_TTL_SECONDS="}, "STIGMEM_DECAY_TTL_SECONDS in .env" + empty},
		{yml("scope:"), "scope in decayctl.yaml:1" + empty},
		{yml("scope: ''"), "scope in decayctl.yaml:1" + empty},
		{yml("\n\nscope: ~"), "scope in decayctl.yaml:3" + empty},

		// The rules.
		{arg("--ttl", "90"), `--ttl is "90": ` + noUnit},
		{env("DECAYCTL_TTL=90"), `DECAYCTL_TTL is "90": ` + noUnit},
		{yml("ttl: 90"), `ttl in decayctl.yaml:1 is "90": ` + noUnit},
		{arg("--ttl", "-1d"), `--ttl is "-1d": a duration cannot be negative`},
		{arg("--ttl", "1d", "--ttl-seconds", "60"), "--ttl and --ttl-seconds are both given; give one"},
		{arg("--ttl-seconds", "-1"), `--ttl-seconds is "-1": a ttl cannot be negative`},
		{arg("--ttl-seconds", "1d"), `--ttl-seconds is "1d": not a whole number of seconds`},
		{env("DECAYCTL_TTL=0"), `DECAYCTL_TTL is "0": ` + zero},
		{env("DECAYCTL_TTL=0s"), `DECAYCTL_TTL is "0s": ` + zero},
		{yml("ttl: 0"), `ttl in decayctl.yaml:1 is "0": ` + zero},
		{yml("ttl: 0d0h"), `ttl in decayctl.yaml:1 is "0d0h": ` + zero},
		{arg("--min-confidence", "NaN"), `--min-confidence is "NaN": ` + floor},
		{arg("--min-confidence", "1.5"), `--min-confidence is "1.5": ` + floor},
		{arg("--min-confidence", "-0.1"), `--min-confidence is "-0.1": ` + floor},
		{arg("--min-confidence", "high"), `--min-confidence is "high": not a number from 0 to 1`},
		{yml("min_confidence: 80%"), `min_confidence in decayctl.yaml:1 is "80%": not a number from 0 to 1`},
		{env("STIGMEM_DECAY_TTL_SECONDS=90d"), `STIGMEM_DECAY_TTL_SECONDS is "90d": not a whole number of seconds; the node would not start with it`},
		{env("STIGMEM_DECAY_MIN_CONFIDENCE=high"), `STIGMEM_DECAY_MIN_CONFIDENCE is "high": not a number; the node would not start with it`},
		{env("STIGMEM_DECAY_MIN_CONFIDENCE=1.5"), `STIGMEM_DECAY_MIN_CONFIDENCE is "1.5": a floor is a number from 0 to 1; above 1 every fact would expire`},
		{env("STIGMEM_DECAY_MIN_CONFIDENCE=inf"), `STIGMEM_DECAY_MIN_CONFIDENCE is "inf": a floor is a number from 0 to 1; above 1 every fact would expire`},
		{arg("--scope", "galaxy"), `--scope is "galaxy": write one of local, team, company, public`},
		{arg("--scope", "Team"), `--scope is "Team": write one of local, team, company, public`},
		{arg("--as-of", "yesterday"), `--as-of is "yesterday": not a point in time; write it as in 2026-06-15T12:00:00Z`},
		{arg("--as-of", "9999-12-31T23:00:00-05:00"), `--as-of is "9999-12-31T23:00:00-05:00": not a point in time; write it as in 2026-06-15T12:00:00Z`},

		{arg("--as-of", "0001-01-01"), `--as-of is "0001-01-01": too early; write it as in 2026-06-15T12:00:00Z`},

		// Numbers and words.
		{arg("--max-expire", "some"), `--max-expire is "some": ` + limit},
		{arg("--max-expire", "-1"), `--max-expire is "-1": ` + limit},
		{arg("--max-expire", "1.5"), `--max-expire is "1.5": ` + limit},
		{arg("--max-expire", "101%"), `--max-expire is "101%": write a percentage from 0% to 100%, as in 5%`},
		{arg("--max-expire", "-1%"), `--max-expire is "-1%": write a percentage from 0% to 100%, as in 5%`},
		{arg("--max-expire", "NaN%"), `--max-expire is "NaN%": write a percentage from 0% to 100%, as in 5%`},
		{arg("--batch-size", "-1"), `--batch-size is "-1": ` + whole},
		{yml("batch_size: 0x10"), `batch_size in decayctl.yaml:1 is "0x10": ` + whole},
		{arg("--samples", "99999999999"), `--samples is "99999999999": ` + whole},
		{arg("--max-rate", "500"), `--max-rate is "500": ` + rate},
		{arg("--max-rate", "0/s"), `--max-rate is "0/s": ` + rate},
		{arg("--max-rate", "nan/s"), `--max-rate is "nan/s": ` + rate},
		{arg("--max-rate", "5/m"), `--max-rate is "5/m": ` + rate},
		{arg("--max-lag", "5"), `--max-lag is "5": a duration needs a unit: y, w, d, h, m or s, as in 90d or 1d12h; off never waits for replicas`},
		{arg("--max-lag", "0"), `--max-lag is "0": write a time of 1s or more, or leave it out; off never waits for replicas`},
		{arg("--pace", "0"), `--pace is "0": ` + pace},
		{arg("--pace", "1.01"), `--pace is "1.01": ` + pace},
		{arg("--pace", "nan"), `--pace is "nan": ` + pace},
		{yml("pace: true"), `pace in decayctl.yaml:1 is "true": ` + pace},
		{arg("--lease", "59s"), "a lease of 59s does not fit a lock timeout of 30s: give --lease at least twice --lock-timeout"},
		{arg("--lease", "49h"), `--lease is "49h": write a time up to 48h`},
		{yml("lease: 60"), `lease in decayctl.yaml:1 is "60": ` + noUnit},
		{arg("--wait", "0"), `--wait is "0": write a time of 1s or more, or leave it out`},
		{arg("--workers", "0"), `--workers is "0": write a number from 1 to 64`},
		{arg("--workers", "65"), `--workers is "65": write a number from 1 to 64`},
		{arg("--threshold", "-1"), `--threshold is "-1": not a whole number of facts, 0 or more`},
		{env("STIGMEM_ASYNC_JOB_THRESHOLD=many"), `STIGMEM_ASYNC_JOB_THRESHOLD is "many": not a whole number of facts; the node would not start with it`},
		{arg("--state", "paused,dead"), `--state is "paused,dead": write one of pending, running, paused, done, failed, cancelled, undoing, undone`},
		{arg("--format", "xml"), `--format is "xml": write one of text, csv, ndjson`},
		{env("DECAYCTL_DETACH=1"), "DECAYCTL_DETACH is set, but this can only be said with the flag --detach; unset it"},
		{yml("lock_timeout: 30"), `lock_timeout in decayctl.yaml:1 is "30": a time needs a unit, as in 30s or 500ms`},
		{arg("--lock-timeout", "0"), `--lock-timeout is "0": a time needs a unit, as in 30s or 500ms`},
		{arg("--lock-timeout", "soon"), `--lock-timeout is "soon": write a time as in 30s or 500ms`},
		{arg("--lock-timeout", "1us"), `--lock-timeout is "1us": write a time from 1ms to 24h`},
		{arg("--lock-timeout", "-5s"), `--lock-timeout is "-5s": write a time from 1ms to 24h`},
		{arg("-o", "xml"), `--output is "xml": write one of text, json, markdown, html`},
		{env("DECAYCTL_LOG_LEVEL=loud"), `DECAYCTL_LOG_LEVEL is "loud": write one of debug, info, warn, error`},
		{yml("quiet: maybe"), `quiet in decayctl.yaml:1 is "maybe": write true or false`},

		// Names that are not known.
		{env("DECAYCTL_TLL=1d"), "DECAYCTL_TLL is set, but there is no such setting; did you mean DECAYCTL_TTL?"},
		{env("DECAYCTL_ttl=1d"), "DECAYCTL_ttl is set, but there is no such setting; did you mean DECAYCTL_TTL?"},
		{env("DECAYCTL_SERVICES=x"), "DECAYCTL_SERVICES is set, but there is no such setting; did you mean DECAYCTL_POLICIES?"},
		{env("DECAYCTL_PORTS=tcp://10.0.0.1:80"), "DECAYCTL_PORTS is set, but there is no such setting; did you mean DECAYCTL_STORE?"},
		{env("DECAYCTL_PORT_80=1"), "DECAYCTL_PORT_80 is set, but there is no such setting; did you mean DECAYCTL_OUTPUT?"},
		{env("DECAYCTL_YES=1"), "DECAYCTL_YES is set, but this can only be said with the flag --yes; unset it"},
		{env("DECAYCTL_TTL_SECONDS=0"), "DECAYCTL_TTL_SECONDS is set, but this can only be said with the flag --ttl-seconds; unset it"},
		{yml("tll: 1d"), "decayctl.yaml:1: no such setting: tll; did you mean ttl?"},
		{yml("a.b: 1d"), "decayctl.yaml:1: no such setting: a.b; did you mean ttl?"},
		{yml("min-confidence: 0.5"), "decayctl.yaml:1: no such setting: min-confidence; did you mean min_confidence?"},
		{yml("TTL: 1d"), "decayctl.yaml:1: no such setting: TTL; did you mean ttl?"},
		{yml("yes: true"), "decayctl.yaml:1: yes cannot stand in the config file; use --yes"},
		{yml("config: a.yaml"), "decayctl.yaml:1: config cannot stand in the config file; use --config"},

		// The config file.
		{yml("ttl: 1d\npace: 1\nttl: 2d"), "decayctl.yaml:3: ttl is set twice; keep one"},
		{yml("ttl: [1d]"), "decayctl.yaml:1: ttl takes one plain value, not a list, a group or an alias"},
		{yml("pace:\n  share: 1"), "decayctl.yaml:1: pace takes one plain value, not a list, a group or an alias"},
		{yml("- ttl: 1d"), "decayctl.yaml:1: not a list of settings; write one per line, as in  ttl: 90d"},
		{yml("ttl"), "decayctl.yaml:1: not a list of settings; write one per line, as in  ttl: 90d"},
		{yml("ttl: 1d\n---\npace: 1"), "decayctl.yaml holds more than one YAML document; keep one"},
		{yml("ttl: 'x\npace: 1"), "decayctl.yaml is not valid YAML: line 2: found unexpected end of stream"},
		{arg("--config", "none.yaml"), `--config is "none.yaml": no such file or directory`},
		{env("DECAYCTL_CONFIG=none.yaml"), `DECAYCTL_CONFIG is "none.yaml": no such file or directory`},
		{arg("--config", "."), `--config is ".": is a directory`},
		{arg("--env-file", "none"), `--env-file is "none": no such file or directory`},
		{yml("env_file: none"), `env_file in decayctl.yaml:1 is "none": no such file or directory`},

		// The node's own settings.
		{env("STIGMEM_DB_PATH="), "STIGMEM_DB_PATH is empty; give it the path of the store's file or leave it out"},
		{env("STIGMEM_DB_PATH=postgres://h/d"), "STIGMEM_DB_PATH looks like a database address, but it takes a file's path; for PostgreSQL set STIGMEM_STORAGE_BACKEND=postgres and STIGMEM_PG_DSN"},
		{env("STIGMEM_AT_REST_ENCRYPTION=ON"), "STIGMEM_AT_REST_ENCRYPTION is neither on nor off; the node would not start with it"},
		{env("STIGMEM_DB_PATH=a.db", "stigmem_db_path=b.db"), "the environment has both STIGMEM_DB_PATH and stigmem_db_path, with different values; keep one"},
		{given{dotenv: "STIGMEM_DB_PATH=a\nStigmem_DB_Path=b"}, ".env has both STIGMEM_DB_PATH and Stigmem_DB_Path, with different values; keep one"},
		{given{dotenv: "A=1\nSTIGMEM_DB_PATH='a\n"}, ".env:2 cannot be read, so the node ignores it; look for a missing quote or text after one"},
		{given{dotenv: "A=\xff"}, ".env is not UTF-8 text; save it as such"},

		// The store.
		{arg("--store", "sqlite:"), "--store names no file behind sqlite:"},
		{arg("--store", "sqlite://a.db"), "--store: sqlite:// takes an absolute path, as in sqlite:///data/stigmem.db; for others write sqlite:PATH"},
		{arg("--store", "postgres:d"), "--store: write the address as postgres://user@host:5432/database"},
		{arg("--store", "my_user:pw@host/d"), "--store looks like a database address without its beginning; write postgres://… (if it is a file's name, write ./ before it)"},
		{arg("--store", "postgres://h:x/d"), "--store is not a PostgreSQL address: its port is not a number; in a password, write / as %2F and @ as %40"},
		{given{args: []string{"--store", "postgres://h/d"}, env: []string{"PGPORT=x"}}, `PGPORT is "x": write the number of a port, as in 5432`},
		{given{args: []string{"--store", "host=h"}, env: []string{"PGPORT=u:hunter2@h"}}, "PGPORT is a text that is not shown, as it may hold a password: write the number of a port, as in 5432"},
		{given{args: []string{"--store", "postgres://h/d"}, env: []string{"PGPORT=1,2"}}, "PGPORT has not as many ports as there are hosts; write one for each, or one for all"},
		{given{args: []string{"--store", "postgres://h"}, env: []string{"PGDATABASE=postgres://u:hunter2@h/d"}}, "PGDATABASE is an address; write a database's name, or give the address as the store"},
		{given{args: []string{"--store", "postgres://h:x/d"}, env: []string{"PGPORT=x"}}, "--store is not a PostgreSQL address: its port is not a number; in a password, write / as %2F and @ as %40"},
		{arg("--store", "postgres://h/d", "--pg-schema", "Bad"), `--pg-schema is "Bad": write lower-case letters, digits and _, a letter first, 63 at most`},
		{arg("--store", "postgres://h/d", "--pg-schema="), "--pg-schema" + empty},
		{arg("--pg-schema", "a"), "--pg-schema is for PostgreSQL, but the store is sqlite:stigmem.db (default); name the database with --store"},
	} {
		_, _, err := load(t, test.given)
		var own *Error
		if !errors.As(err, &own) {
			t.Errorf("%+v: got %T %v, want %s", test.given, err, err, test.want)
			continue
		}
		if err.Error() != test.want {
			t.Errorf("%+v:\ngot  %s\nwant %s", test.given, err, test.want)
		}
		checkError(t, err)
	}
}

// What an error repeats is short, on one line, and no address.
func TestErrorsRepeatWithCare(t *testing.T) {
	t.Parallel()
	_, _, err := load(t, arg("--ttl", "x\ny"+strings.Repeat("z", 500)))
	if text := err.Error(); strings.Contains(text, "\n") || len(text) > 300 {
		t.Errorf("got %q", text)
	}
	for _, g := range []given{
		arg("--config", "postgres://u:hunter2@h/d"),
		arg("--ttl", "u:hunter2@h"),
		arg("--tenant", "a", "--scope", "host=h password=hunter2"),
		env("STIGMEM_STORAGE_BACKEND=postgres://u:hunter2@h/d"),
		env("STIGMEM_AT_REST_ENCRYPTION=hunter2"),
		yml("{? 'store:postgres://u:hunter2@h/d' : x}"),
		yml("ttl: 1d\nstore:postgres://u:hunter2@h/d"),
	} {
		if _, _, err := load(t, g); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%+v: got %v", g, err)
		}
	}
}

// Values that look odd and are fine.
func TestAccepted(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		given given
		want  string
	}{
		{arg("--ttl", "0"), "ttl 0s"},
		{arg("--ttl-seconds", "99999999999999999999"), "ttl 106751991167300d15h30m7s"},
		{arg("--min-confidence", " 1 "), "min_confidence 1"},
		{yml("# nothing\n"), ""},
		{yml("---\n"), ""},
		{yml("\uFEFFttl: \"1d\" # why\r\n"), "ttl 1d"},
		{yml("{ttl: 1d, quiet: Yes}"), "ttl 1d"},
		{env("stigmem_decay_ttl_seconds=60"), "ttl 1m"},
		{env("STIGMEM_DB_PATH=a", "stigmem_db_path=a", "decayctl_ttl=x", "DECAYCTLX=1"), ""},
		{given{dotenv: "DECAYCTL_TTL=1d\nNO_COLOR=1\nwhat is this\n"}, ""},
	} {
		if got := mustLoad(t, test.given).Selection.Rules.String(); got != test.want {
			t.Errorf("%+v: got %q, want %q", test.given, got, test.want)
		}
	}
}

// TestServiceLinks: the variables that Kubernetes and Docker make beside a service are no misspelt settings.
func TestServiceLinks(t *testing.T) {
	t.Parallel()
	links := []string{
		"DECAYCTL_SERVICE_HOST", "DECAYCTL_SERVICE_PORT", "DECAYCTL_SERVICE_PORT_HTTP", "DECAYCTL_PORT", "DECAYCTL_PORT_80_TCP",
		"DECAYCTL_PORT_80_TCP_PROTO", "DECAYCTL_PORT_80_TCP_PORT", "DECAYCTL_PORT_53_UDP_ADDR",
		"DECAYCTL_STORE_SERVICE_HOST", "DECAYCTL_STORE_PORT", "DECAYCTL_STORE_PORT_5432_TCP_ADDR", // of a service decayctl-store
	}
	environ := []string{"DECAYCTL_TTL=1d"}
	for _, name := range links {
		environ = append(environ, name+"=tcp://10.0.0.1:80")
	}
	for _, link := range []string{"DECAYCTL_NAME=/web/decayctl", "DECAYCTL_ENV_PGDATA=/data", "DECAYCTL_STORE_NAME=/web/store", "DECAYCTL_STORE_ENV_LANG=C"} {
		name, _, _ := strings.Cut(link, "=")
		links, environ = append(links, name), append(environ, link)
	}
	for _, wrong := range []string{"DECAYCTL_NAME=x", "DECAYCTL_ENV_FOO=x", "DECAYCTL_STORE_ENV_LANG=C"} { // no link
		if _, _, err := load(t, env(wrong)); err == nil || !strings.Contains(err.Error(), "there is no such setting") {
			t.Errorf("%s: %v", wrong, err)
		}
	}
	got := mustLoad(t, env(environ...))
	if got.Selection.Rules.String() != "ttl 1d" || !slices.Equal(got.Ignored, links) {
		t.Errorf("got %s and %q", got.Selection.Rules, got.Ignored)
	}
}

// checkError tells whether an error is of a kind that Load promises, in one line.
func checkError(t testingT, err error) {
	t.Helper()
	var own *Error
	if !errors.As(err, &own) && !store.Is(err, store.Unusable) {
		t.Fatalf("%T: %v", err, err)
	}
	if text := err.Error(); text == "" || strings.ContainsFunc(text, unicode.IsControl) {
		t.Fatalf("%q", text)
	}
}
