package config

import (
	"path/filepath"
	"strings"
	"testing"

	"decayctl/internal/store"
)

func TestStorePath(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ text, path, display string }{
		{"a.db", "a.db", "sqlite:a.db"},
		{"./a.db", "a.db", "sqlite:./a.db"},
		{"data/a b.db", "data/a b.db", "sqlite:data/a b.db"},
		{"/data/a.db", "/data/a.db", "sqlite:/data/a.db"},
		{"sqlite:a.db", "a.db", "sqlite:a.db"},
		{"sqlite:/data/a.db", "/data/a.db", "sqlite:/data/a.db"},
		{"sqlite:///data/a.db", "/data/a.db", "sqlite:/data/a.db"},
		{"sqlite:host=x", "host=x", "sqlite:host=x"},
		{"./host=x", "host=x", "sqlite:./host=x"},
		{"sqlite:mysql://x", "mysql:/x", "sqlite:mysql://x"},
		{"./mysql:x", "mysql:x", "sqlite:./mysql:x"},
		{"a=b.db", "a=b.db", "sqlite:a=b.db"},
		{`C:\data\a@b.db`, `C:\data\a@b.db`, `sqlite:C:\data\a@b.db`},
		{"/a/b:c@d.db", "/a/b:c@d.db", "sqlite:/a/b:c@d.db"},
		{"2026-01-01T12:00.db", "2026-01-01T12:00.db", "sqlite:2026-01-01T12:00.db"},
		{"a\nb\x1b[31m.db", "a\nb\x1b[31m.db", `sqlite:"a\nb\x1b[31m.db"`},
		{"a\u202eb.db", "a\u202eb.db", `sqlite:"a\u202eb.db"`},
		{"a\xff.db", "a\xff.db", `sqlite:"a\xff.db"`},
		{"größe.db", "größe.db", "sqlite:größe.db"},
	} {
		cfg, dir, err := load(t, arg("--store", test.text))
		want := test.path
		if !filepath.IsAbs(want) {
			want = filepath.Join(dir, want)
		}
		if err != nil || cfg.Store.Kind != SQLite || cfg.Store.Path != want || cfg.Store.Display != test.display {
			t.Errorf("%q: got %+v, %v", test.text, cfg.Store, err)
		}
	}
}

func TestStoreChoice(t *testing.T) {
	t.Parallel()
	const pg = "STIGMEM_STORAGE_BACKEND=postgres"
	for _, test := range []struct {
		name  string
		given given
		want  string // display and origin
	}{
		{"backend alone chooses", given{env: []string{"STIGMEM_STORAGE_BACKEND=sqlite"}, file: "store: d.db"},
			"sqlite:stigmem.db STIGMEM_STORAGE_BACKEND"},
		{"DSN alone does not", given{env: []string{"STIGMEM_PG_DSN=postgres://h/d", "DATABASE_URL=postgres://h/e"}, file: "store: d.db"},
			"sqlite:d.db store in decayctl.yaml:1"},
		{"DSN in .env alone does not", given{dotenv: "STIGMEM_PG_DSN=postgres://h/d"}, "sqlite:stigmem.db default"},
		{"environment and .env count together", given{env: []string{"STIGMEM_DB_PATH=a.db"}, dotenv: pg + "\nSTIGMEM_PG_DSN=postgres://h/d"},
			"postgres://h/d (schema public) STIGMEM_PG_DSN in .env"},
		{"environment before .env", given{env: []string{pg, "STIGMEM_PG_DSN=postgres://h/a"}, dotenv: "STIGMEM_STORAGE_BACKEND=sqlite\nSTIGMEM_PG_DSN=postgres://h/b"},
			"postgres://h/a (schema public) STIGMEM_PG_DSN"},
		{"file before .env", given{file: "store: d.db", dotenv: pg}, "sqlite:d.db store in decayctl.yaml:1"},
		{"DSN order", env(pg, "STIGMEM_PG_DSN=postgres://h/a", "STIGMEM_DATABASE_URL=postgres://h/b", "DATABASE_URL=postgres://h/c"),
			"postgres://h/a (schema public) STIGMEM_PG_DSN"},
		{"an empty DSN is none", env(pg, "STIGMEM_PG_DSN=", "STIGMEM_DATABASE_URL=postgres://h/b", "DATABASE_URL=postgres://h/c"),
			"postgres://h/b (schema public) STIGMEM_DATABASE_URL"},
		{"bare variable", env(pg, "DATABASE_URL=postgresql://h/c"), "postgres://h/c (schema public) DATABASE_URL"},
		{"key=value", env(pg, "STIGMEM_PG_DSN=dbname=d user=u host=h password=p"), "postgres://u@h/d (schema public) STIGMEM_PG_DSN"},
		{"key=value, no telling key", env(pg, "STIGMEM_PG_DSN=sslmode=disable"), "postgres:/// (schema public) STIGMEM_PG_DSN"},
		{"names in any case", env("stigmem_storage_backend=postgres", "Stigmem_Pg_Dsn=postgres://h/d"), "postgres://h/d (schema public) STIGMEM_PG_DSN"},
		{"empty schema", env(pg, "STIGMEM_PG_DSN=postgres://h/d", "STIGMEM_PG_SCHEMA="), "postgres://h/d (schema public) STIGMEM_PG_DSN"},
		{"schema", given{args: []string{"--store", "postgres://h/d"}, dotenv: "STIGMEM_PG_SCHEMA=mem_1"}, "postgres://h/d (schema mem_1) --store"},
		{"flag with blanks", arg("--store", " postgres://h/d\n"), "postgres://h/d (schema public) --store"},
		{"encryption is the node's", given{args: []string{"--store", "a.db"}, env: []string{"STIGMEM_AT_REST_ENCRYPTION=on"}}, "sqlite:a.db --store"},
		{"encryption off", env("STIGMEM_AT_REST_ENCRYPTION=off"), "sqlite:stigmem.db default"},
		{"encryption is for files", env("STIGMEM_AT_REST_ENCRYPTION=on", pg, "STIGMEM_PG_DSN=postgres://h/d"), "postgres://h/d (schema public) STIGMEM_PG_DSN"},
		{"schema of the environment with a file", given{env: []string{"STIGMEM_PG_SCHEMA=x"}}, "sqlite:stigmem.db default"},
		{"the environment's host", given{args: []string{"--store", "postgres:///d"}, env: []string{"PGHOST=h", "PGPORT=5433", "PGUSER=u", "PGDATABASE=e"}},
			"postgres://u@h:5433/d (schema public) --store"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := mustLoad(t, test.given).Store
			if got := s.Display + " " + s.Origin; got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func TestUnusable(t *testing.T) {
	t.Parallel()
	const pg = "STIGMEM_STORAGE_BACKEND=postgres"
	kind := func(from, scheme string) string {
		return from + ": stores of the kind " + scheme + ": are not supported; write a SQLite file or postgres://… (if it is a file's name, write ./ before it)"
	}
	const guess = " is neither sqlite nor postgres: the node would silently use SQLite, decayctl does not guess; set it to one of the two"
	for _, test := range []struct {
		given given
		want  string
	}{
		{arg("--store", "libsql://h/d"), kind("--store", "libsql")},
		{arg("--store", "http://h"), kind("--store", "http")},
		{arg("--store", "file:a.db"), kind("--store", "file")},
		{arg("--store", "ab:c"), kind("--store", "ab")},
		{arg("--store", "POSTGRES://h/d"), kind("--store", "POSTGRES")},
		{env("DECAYCTL_STORE=postgresql+psycopg2://u:p@h/d"), kind("DECAYCTL_STORE", "postgresql+psycopg2")},
		{yml("store: mysql://u:p@h/d"), kind("store in decayctl.yaml:1", "mysql")},
		{env("STIGMEM_STORAGE_BACKEND=libsql"), "STIGMEM_STORAGE_BACKEND is libsql: decayctl does not support libSQL and never writes a replica; use the node's own decay sweep, or name another store with --store"},
		{env("STIGMEM_STORAGE_BACKEND=Postgres"), "STIGMEM_STORAGE_BACKEND" + guess},
		{env("STIGMEM_STORAGE_BACKEND="), "STIGMEM_STORAGE_BACKEND" + guess},
		{given{dotenv: "STIGMEM_STORAGE_BACKEND=mysql"}, "STIGMEM_STORAGE_BACKEND in .env" + guess},
		{env(pg), "STIGMEM_STORAGE_BACKEND is postgres, but no database is named; set STIGMEM_PG_DSN to postgres://user@host:5432/database"},
		{given{env: []string{pg}, dotenv: "DATABASE_URL=postgres://h/d"}, "STIGMEM_STORAGE_BACKEND is postgres, but no database is named; set STIGMEM_PG_DSN to postgres://user@host:5432/database"},
		{env(pg, "DATABASE_URL=postgresql+psycopg2://u:p@h/d"), "DATABASE_URL: addresses of the kind postgresql+psycopg2: are not supported; write postgres://user@host:5432/database"},
		{env("STIGMEM_AT_REST_ENCRYPTION=on"), "STIGMEM_AT_REST_ENCRYPTION is on: decayctl cannot read an encrypted store; use the node's own decay sweep"},
		{env("STIGMEM_AT_REST_ENCRYPTION=on", "STIGMEM_DB_PATH=a.db"), "STIGMEM_AT_REST_ENCRYPTION is on: decayctl cannot read an encrypted store; use the node's own decay sweep"},
		{given{dotenv: "STIGMEM_AT_REST_ENCRYPTION=on"}, "STIGMEM_AT_REST_ENCRYPTION in .env is on: decayctl cannot read an encrypted store; use the node's own decay sweep"},
	} {
		_, _, err := load(t, test.given)
		if !store.Is(err, store.Unusable) || err.Error() != test.want {
			t.Errorf("%+v:\ngot  %T %v\nwant %s", test.given, err, err, test.want)
		}
	}
}

func TestPath(t *testing.T) {
	t.Parallel()
	s := settings{dir: "/data dir"}
	for name, want := range map[string]string{"a": "/data dir/a", "../a": "/a", "/b/../a": "/a"} {
		if got := s.path(name); got != want {
			t.Errorf("%s: got %s", name, got)
		}
	}
}

func TestSchema(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"public": true, "a": true, "a_1": true, "a" + strings.Repeat("b", 62): true,
		"a" + strings.Repeat("b", 63): false, "1a": false, "_a": false, "A": false, "a-b": false, "a b": false, `a"b`: false, "ä": false,
	} {
		if _, err := parseSchema(text); (err == nil) != want {
			t.Errorf("%q: %v", text, err)
		}
	}
}
