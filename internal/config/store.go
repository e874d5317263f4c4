package config

import (
	"regexp"
	"strings"
	"time"
)

// The kinds of store.
const (
	SQLite   = "sqlite"
	Postgres = "postgres"
)

// The node's default store, in the working directory.
const defaultStore = "stigmem.db"

// DefaultOrigin is the Origin of a store that no setting chose.
const DefaultOrigin = "default"

// Store is the fact store of a run.
type Store struct {
	Kind    string
	Path    string // of SQLite's file, absolute
	DSN     DSN    // of PostgreSQL
	Schema  string // of PostgreSQL, safe as a name in SQL
	Display string // the name for output, on one line and without a password
	Origin  string // the setting that chose the store, or DefaultOrigin

	LockTimeout time.Duration // how long to wait for a lock that another process holds
}

// Address tells the store from others, whoever opens it from wherever: the file's whole path, or the database without a
// user. It is one line.
func (s Store) Address() string {
	if s.Kind == Postgres {
		return s.DSN.place + " (schema " + s.Schema + ")"
	}
	return "sqlite:" + clean(s.Path)
}

// store chooses the store. If the node's environment names one, it wins over the config file as a whole: backend, path
// and address belong together.
func (s *settings) store() (Store, error) {
	text := value(s, "store", parseText)
	if s.err != nil {
		return Store{}, s.err
	}
	from := s.origins["store"]
	var chosen Store
	var err error
	switch {
	case from.layer == byFlag, from.layer == byVariable, from.layer == byFile && !namesStore(s.node.environ):
		chosen, err = s.namedStore(text, from.name)
	default:
		chosen, err = s.nodeStore()
	}
	// An operator who names a schema means a PostgreSQL database, and must not sweep a file.
	if err == nil && chosen.Kind == SQLite && s.origins["pg_schema"].layer == byFlag {
		return Store{}, errorf("--pg-schema is for PostgreSQL, but the store is %s (%s); name the database with --store", chosen.Display, chosen.Origin)
	}
	return chosen, err
}

// namedStore parses a store as decayctl's own settings name it.
func (s *settings) namedStore(text, from string) (Store, error) {
	if isPostgresURL(text) || isKeywordDSN(text) {
		return s.postgres(text, from)
	}
	if path, ok := strings.CutPrefix(text, "sqlite:"); ok {
		if absolute, ok := strings.CutPrefix(path, "//"); ok {
			path = absolute
			if !strings.HasPrefix(path, "/") {
				return Store{}, errorf("%s: sqlite:// takes an absolute path, as in sqlite:///data/stigmem.db; for others write sqlite:PATH", from)
			}
		}
		if strings.TrimSpace(path) == "" {
			return Store{}, errorf("%s names no file behind sqlite:", from)
		}
		return s.sqlite(path, from), nil
	}
	if err := s.refuse(text, from); err != nil {
		return Store{}, err
	}
	return s.sqlite(text, from), nil
}

// refuse fails for a text that is not a plain path. Its errors repeat only the scheme, since the rest may hold a
// password.
func (s *settings) refuse(text, from string) error {
	switch scheme := schemeOf(text); {
	case scheme == "postgres" || scheme == "postgresql":
		return errorf("%s: write the address as postgres://user@host:5432/database", from)
	case scheme != "":
		return unusable("%s: stores of the kind %s: are not supported; write a SQLite file or postgres://… (if it is a file's name, write ./ before it)", from, scheme)
	}
	if looksLikeAddress(text) {
		return errorf("%s looks like a database address without its beginning; write postgres://… (if it is a file's name, write ./ before it)", from)
	}
	return nil
}

// looksLikeAddress tells whether a file's name may be a database address. File names are printed, and an address may
// hold a password.
func looksLikeAddress(text string) bool {
	if isRooted(text) {
		return false
	}
	_, behind, _ := strings.Cut(text, ":")
	return isKeywordDSN(text) || schemeOf(text) != "" && strings.HasPrefix(behind, "//") || strings.Contains(behind, "@")
}

// schemeOf is the scheme of a URL, and "" for a drive letter.
func schemeOf(text string) string {
	parts := regexp.MustCompile(`^([A-Za-z][A-Za-z0-9+.-]+):`).FindStringSubmatch(text)
	if parts == nil {
		return ""
	}
	return parts[1]
}

// isRooted tells whether a text is surely a path: /x, ./x, ../x or a drive, but not //x.
func isRooted(text string) bool {
	return regexp.MustCompile(`^(/[^/]|\.\.?[/\\]|[A-Za-z]:[/\\])`).MatchString(text)
}

func (s *settings) sqlite(path, from string) Store {
	return Store{Kind: SQLite, Path: s.path(path), Display: "sqlite:" + clean(path), Origin: from}
}

func (s *settings) postgres(text, from string) (Store, error) {
	parse := parseKeywords
	if isPostgresURL(text) {
		text, parse = strings.TrimSpace(text), parseURL
	} else if scheme := schemeOf(text); scheme != "" {
		return Store{}, unusable("%s: addresses of the kind %s: are not supported; write postgres://user@host:5432/database", from, scheme)
	}
	parts, err := parse(text)
	if err != nil {
		return Store{}, errorf("%s is not a PostgreSQL address: %s", from, err)
	}
	if err := parts.complete(s.environ, from); err != nil {
		return Store{}, err
	}
	schema := value(s, "pg_schema", parseSchema)
	if s.err != nil {
		return Store{}, s.err
	}
	dsn := newDSN(text, parts)
	return Store{
		Kind: Postgres, DSN: dsn, Schema: schema, Origin: from,
		Display: dsn.String() + " (schema " + schema + ")",
	}, nil
}
