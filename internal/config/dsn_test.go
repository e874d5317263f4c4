package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestDisplay(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"postgres://u:p@h:5432/d":                          "postgres://u@h:5432/d",
		"postgresql://h":                                   "postgres://h/",
		"postgres://":                                      "postgres:///",
		"postgres://:p@h/d":                                "postgres://h/d",
		"postgres://u:p#?&w@h/d":                           "postgres://u@h/d",
		"postgres://u@h1:1,h2:2/d":                         "postgres://u@h1:1,h2:2/d",
		"postgres://h1,h2/d?port=5433":                     "postgres://h1:5433,h2:5433/d",
		"postgres://[::1]:5433/d":                          "postgres://[::1]:5433/d",
		"postgres://[fe80::1],h/d":                         "postgres://[fe80::1],h/d",
		"postgres://%2Frun%2Fpg:5433/d":                    "postgres:///d?host=/run/pg&port=5433",
		"postgres:///d?host=/run/pg":                       "postgres:///d?host=/run/pg",
		"postgres:///d?service=live&sslmode=require&":      "postgres:///d?service=live",
		"postgres://h/d?user=me%40az&password=p&dbname=e":  "postgres://me%40az@h/e",
		"postgres://a%2Fb:p@h/d%20e":                       "postgres://a%2Fb@h/d%20e",
		"postgres://h%0a/d":                                `"postgres://h\n/d"`,
		"host=h dbname=d":                                  "postgres://h/d",
		" host = h  user='a b' password = 'it\\'s x=y' ":   "postgres://a%20b@h/",
		`host=h password=a\ b\'c user=u`:                   "postgres://u@h/",
		`password='a host=evil' host=h`:                    "postgres://h/",
		"host=h1,h2 port=1,2 dbname=d passfile=/p":         "postgres://h1:1,h2:2/d",
		"host=/run/pg dbname=d user=me@az sslpassword=pwd": "postgres://me%40az@/d?host=/run/pg",
		"host='' user='' dbname=d":                         "postgres:///d",
	} {
		s := mustLoad(t, arg("--store", text)).Store
		if got := s.DSN.String(); got != want || s.Display != want+" (schema public)" {
			t.Errorf("%s: got %s, %s, want %s", text, got, s.Display, want)
		}
		if revealed := s.DSN.Reveal(); revealed != text {
			t.Errorf("%s: the driver gets %s", text, revealed)
		}
	}
	if s := mustLoad(t, arg("--store", "postgres://u:p@h/d")).Store; s.DSN.GoString() != "postgres://u@h/d" {
		t.Errorf("GoString is %s", s.DSN.GoString())
	}
	if got := (DSN{}).Reveal() + (DSN{}).String(); got != "" {
		t.Errorf("the zero DSN is %s", got)
	}
}

// What the driver takes from the environment is shown, unless a service comes before it.
func TestDisplayEnvironment(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		text string
		env  []string
		want string
	}{
		{"postgres://", []string{"PGHOST=h", "PGUSER=u", "PGPASSWORD=hunter2"}, "postgres://u@h/"},
		{"postgres://a@b:1/c", []string{"PGHOST=h", "PGPORT=2", "PGUSER=u", "PGDATABASE=d", "PGSERVICE=s"}, "postgres://a@b:1/c?service=s"},
		{"postgres:///d?service=live", []string{"PGHOST=h", "PGSERVICE=s"}, "postgres:///d?service=live"},
		{"user=u", []string{"PGHOST=/run/pg", "PGPORT=1"}, "postgres://u@/?host=/run/pg&port=1"},
	} {
		s := mustLoad(t, given{args: []string{"--store", test.text}, env: test.env}).Store
		if s.DSN.String() != test.want {
			t.Errorf("%s: got %s, want %s", test.text, s.DSN, test.want)
		}
	}
}

func TestUnreadableDSN(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"postgres://u:p%zz@h/d", "postgres://u:p%00@h/d", "postgres://u:p w@h/d", "postgres://u:p@w@h/d", "postgres://u:p/w@h/d",
		"postgres://u:12/34@h/d", "postgres://u:p@a/w@h/d", "postgres://u:p@h:x/d", "postgres://u:p@[::1/d", "postgres://u:p@[::1]x/d", "postgres://u:p@[]/d",
		"postgres://h:1:2/d", "postgres://h:123456/d", "postgres://h1,h2:1,h3/d?port=1,2", "postgres://h/d?p", "postgres://h/d?a=b=c", "postgres://h/d?a=1&&b=2",
		"postgres://h/d?%=1", "postgres://h/d?a=%1", "postgres://h/d%g", "postgres://h/postgres:%2F%2Fu:p%40h%2Fd",
		"host=h password='p", "host=h p", "host=h =p", "host=h a b=p", "host=h\x00 user=u", "dbname='host=x password=p'", "host=h port=p",
	} {
		_, _, err := load(t, arg("--store", text))
		var own *Error
		if !errors.As(err, &own) || !strings.HasPrefix(err.Error(), "--store is not a PostgreSQL address: ") {
			t.Errorf("%q: got %v", text, err)
		}
	}
	for _, text := range []string{"", " ", "/run/x", "just words"} {
		_, err := parseKeywords(text)
		if err == nil {
			t.Errorf("%q: no error", text)
		}
	}
}

// drawPassword makes passwords of every sort, each with a core that nothing else contains.
func drawPassword(t *rapid.T) string {
	piece := rapid.StringOf(rapid.OneOf(
		rapid.SampledFrom([]rune(`@:/?#%&='"\ ,[]+$.{}~!`)),
		rapid.RuneFrom([]rune("abcXYZ0123456789äß€")),
	))
	return piece.Draw(t, "before") + secretCore + piece.Draw(t, "after")
}

const secretCore = "QzSecretZq"

// drawAddress puts the password into every place where one may stand, well written or not.
func drawAddress(t *rapid.T, password string) string {
	escaped := strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(password)
	return rapid.SampledFrom([]string{
		"postgres://u:" + url.QueryEscape(password) + "@h:5432/d",
		"postgresql://u:" + url.PathEscape(password) + "@h1:1,h2:2/d?sslmode=disable",
		"postgres://u:" + password + "@h/d",
		"postgres://h/d?user=u&password=" + url.QueryEscape(password),
		"postgres://h/d?sslpassword=" + url.QueryEscape(password) + "&application_name=x",
		"postgres://h/d?password=" + password,
		"host=h dbname=d password='" + escaped + "'",
		"password='" + escaped + "' host=h sslpassword = '" + escaped + "' user=u",
		"host=h password=" + strings.ReplaceAll(escaped, " ", `\ `) + " user=u",
		"user=u password='" + escaped,
		"mysql://u:" + password + "@h/d",
		"postgres:u:" + password + "@h/d",
		"user:" + password + "@h/d",
		"u_v:" + password + "@h/d",
		"//u:" + password + "@h/d",
	}).Draw(t, "address")
}

// The password shows nowhere: not in the parts that may be printed, not in any encoding of the
// whole, not in any error.
func TestPasswordNeverShows(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		address := drawAddress(t, drawPassword(t))
		g := rapid.SampledFrom([]given{
			arg("--store", address),
			env("DECAYCTL_STORE=" + address),
			env("STIGMEM_STORAGE_BACKEND=postgres", "STIGMEM_PG_DSN="+address),
			env("STIGMEM_STORAGE_BACKEND=postgres", "DATABASE_URL="+address),
			env("STIGMEM_DB_PATH=" + address),
			env("STIGMEM_STORAGE_BACKEND=" + address),
			arg("--config", address),
			arg("--env-file", address),
			arg("--scope", address),
			arg("--store", "postgres://h/d", "--pg-schema", address),
		}).Draw(t, "given")
		cfg, err := Load(g.source(t, dir), testNow)
		shown := printouts(t, cfg, err)
		if before, _, found := strings.Cut(shown, secretCore); found {
			t.Fatalf("%q shows behind %s", address, before[max(0, len(before)-100):])
		}
		if strings.ContainsAny(cfg.Store.Display, "\n\r\x1b") {
			t.Fatalf("%q: more than a line: %q", address, cfg.Store.Display)
		}
	})
}

// printouts is a configuration and an error in all the ways that Go programs print things.
func printouts(t *rapid.T, cfg Config, err error) string {
	var out bytes.Buffer
	type nested struct{ hidden Config } // fmt calls no methods in here
	verbs := "%v %+v %#v %s %q %x %d\n"
	for _, v := range []any{cfg, cfg.Store, cfg.Store.DSN, &cfg.Store.DSN, nested{cfg}, &nested{cfg}, err} {
		fmt.Fprintf(&out, verbs, v, v, v, v, v, v, v)
	}
	text, asJSON := slog.New(slog.NewTextHandler(&out, nil)), slog.New(slog.NewJSONHandler(&out, nil))
	for _, log := range []*slog.Logger{text, asJSON} {
		log.Info("x", "config", cfg, "store", cfg.Store, "dsn", cfg.Store.DSN, "err", err)
	}
	encoded, jsonErr := json.Marshal(cfg)
	if jsonErr != nil {
		t.Fatalf("%v", jsonErr)
	}
	out.Write(encoded)
	return out.String()
}

// Whatever the settings hold, Load answers, and its errors are one line of a known kind.
func TestLoadNeverPanics(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	text := rapid.OneOf(
		rapid.String(),
		rapid.StringMatching(`[-+]?[0-9_.]{0,25}[a-z%]{0,3}`),
		rapid.StringMatching(`(postgres|postgresql|sqlite|x):(//)?([a-z]{0,3}(:[^ ]{0,5})?@)?\[?[a-z:0-9,]{0,9}\]?(/[a-z]{0,3})?(\?[a-z=&%]{0,9})?`),
		rapid.StringMatching(`([a-z]{1,8} ?= ?('?[a-z\\' ]{0,6}'?) ){0,4}`),
		rapid.StringMatching(`((export )?(STIGMEM_DB_PATH|STIGMEM_PG_DSN|ttl|store)[ =:]{1,3}['"]?[^\n]{0,9}['"]?[\n#]){0,4}`),
	)
	rapid.Check(t, func(t *rapid.T) {
		var g given
		for _, s := range allSettings() {
			value := strings.ReplaceAll(text.Draw(t, s.key), "\x00", "")
			switch rapid.IntRange(0, 40).Draw(t, "place") {
			case 0:
				if !s.toggle {
					g.args = append(g.args, "--"+s.flag()+"="+value)
				}
			case 1:
				g.env = append(g.env, s.variable()+"="+value)
			}
		}
		for _, name := range []string{nodeBackend, nodePath, nodeDSN, nodeSchema, nodeEncryption, nodeTTL, nodeFloor} {
			if rapid.IntRange(0, 9).Draw(t, "place") == 0 {
				g.env = append(g.env, name+"="+text.Draw(t, name))
			}
		}
		g.more = map[string]string{"decayctl.yaml": text.Draw(t, "file") + "\n", ".env": text.Draw(t, "dotenv") + "\n"}
		cfg, err := Load(g.source(t, dir), testNow)
		if err == nil {
			if cfg.Store.Kind != SQLite && cfg.Store.Kind != Postgres || cfg.Run.Work.Pace <= 0 || cfg.Store.LockTimeout <= 0 {
				t.Fatalf("%+v", cfg)
			}
			return
		}
		checkError(t, err)
	})
}
