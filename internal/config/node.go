package config

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"

	"decayctl/internal/rule"
	"decayctl/internal/store"
)

const nodePrefix = "STIGMEM_"

// The variables of the node that decayctl uses.
const (
	nodeBackend     = "STIGMEM_STORAGE_BACKEND"
	nodePath        = "STIGMEM_DB_PATH"
	nodeDSN         = "STIGMEM_PG_DSN"
	nodeDatabaseURL = "STIGMEM_DATABASE_URL"
	nodeSchema      = "STIGMEM_PG_SCHEMA"
	nodeEncryption  = "STIGMEM_AT_REST_ENCRYPTION"
	nodeTTL         = "STIGMEM_DECAY_TTL_SECONDS"
	nodeFloor       = "STIGMEM_DECAY_MIN_CONFIDENCE"
	nodePolicies    = "STIGMEM_DECAY_POLICIES"
	nodeThreshold   = "STIGMEM_ASYNC_JOB_THRESHOLD"
	bareDatabaseURL = "DATABASE_URL" // the node reads it from its environment only, not from .env
)

// node is the node's settings by upper-case name: those of its environment, which win, and those of its .env file.
type node struct {
	environ    map[string]string
	dotenv     map[string]string
	dotenvName string
}

// lookup finds one of the node's settings, and its name for errors.
func (n node) lookup(name string) (text, from string, ok bool) {
	if text, ok := n.environ[name]; ok {
		return text, name, true
	}
	text, ok = n.dotenv[name]
	return text, inFile(name, n.dotenvName), ok
}

// namesStore tells whether a place chooses a store. A DSN without a backend does not: the node would use its SQLite
// file.
func namesStore(variables map[string]string) bool {
	_, backend := variables[nodeBackend]
	_, path := variables[nodePath]
	return backend || path
}

func inFile(name, file string) string {
	if file == "" {
		return name
	}
	return name + " in " + file
}

// foldNames picks the node's variables. The node ignores their case. If two differ in case only, the last one in the
// environment wins.
func foldNames(lines []string, place string) (map[string]string, error) {
	spelt := map[string]string{}
	folded := map[string]string{}
	for _, line := range lines {
		name, text, _ := strings.Cut(line, "=")
		upper := strings.ToUpper(name)
		if !strings.HasPrefix(upper, nodePrefix) {
			continue
		}
		if before, again := spelt[upper]; again && before != name && folded[upper] != text {
			return nil, errorf("%s has both %s and %s, with different values; keep one", place, plainName(before), plainName(name))
		}
		spelt[upper], folded[upper] = name, text
	}
	return folded, nil
}

// nodeEntries are the node's variables that are settings of decayctl. Those that choose the store are not among them,
// since they count together.
func nodeEntries(variables map[string]string, file string) map[string]entry {
	entries := map[string]entry{}
	for name, key := range map[string]string{nodeSchema: "pg_schema", nodeTTL: "ttl", nodeFloor: "min_confidence", nodePolicies: "policies", nodeThreshold: "threshold"} {
		if text, ok := variables[name]; ok {
			entries[key] = entry{text, inFile(name, file)}
		}
	}
	// For the node, an empty schema is the default schema.
	if e, ok := entries["pg_schema"]; ok && e.text == "" {
		entries["pg_schema"] = entry{"public", e.name}
	}
	return entries
}

var nodeWhole = regexp.MustCompile(`^([+-]?)([0-9]+(?:_[0-9]+)*)(?:\.0+)?$`)

// nodeDigits parses a whole number as the node does, which accepts surrounding blanks, a sign, 1_000 and 60.0.
func nodeDigits(text string) (digits string, negative, ok bool) {
	parts := nodeWhole.FindStringSubmatch(strings.TrimSpace(text))
	if parts == nil {
		return "", false, false
	}
	return strings.ReplaceAll(parts[2], "_", ""), parts[1] == "-", true
}

// parseNodeTTL parses seconds as the node does. 0 or less is off.
func parseNodeTTL(text string) (*rule.TTL, error) {
	digits, negative, ok := nodeDigits(text)
	if !ok {
		return nil, errors.New("not a whole number of seconds; the node would not start with it")
	}
	ttl, err := rule.ParseTTLSeconds(digits)
	if err != nil || ttl == 0 || negative {
		return nil, err
	}
	return &ttl, nil
}

// parseNodeThreshold parses a number of facts as the node does. A number below 0 makes every sweep a job.
func parseNodeThreshold(text string) (int64, error) {
	digits, negative, ok := nodeDigits(text)
	switch {
	case !ok:
		return 0, errors.New("not a whole number of facts; the node would not start with it")
	case negative:
		return -1, nil
	case len(digits) > len("1000000000000000000"): // more facts than a store can have
		return math.MaxInt64, nil
	}
	return strconv.ParseInt(digits, 10, 64)
}

// parseNodeFloor parses a floor as the node does, but refuses one above 1, with which the node would retract every
// fact. 0 or less, and nan, is off.
func parseNodeFloor(text string) (*rule.Floor, error) {
	text = strings.TrimSpace(text)
	if strings.EqualFold(strings.TrimLeft(text, "+-"), "nan") {
		return nil, nil
	}
	// Go also parses hexadecimal numbers, and the node does not.
	value, err := strconv.ParseFloat(text, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) || strings.ContainsAny(text, "xX") {
		return nil, errors.New("not a number; the node would not start with it")
	}
	if value <= 0 {
		return nil, nil
	}
	if value > 1 {
		return nil, errors.New("a floor is a number from 0 to 1; above 1 every fact would expire")
	}
	return rule.ParseFloor(text)
}

// nodeStore chooses the store as the node does.
func (s *settings) nodeStore() (Store, error) {
	backend, backendFrom, named := s.node.lookup(nodeBackend)
	encryption, encryptionFrom, ok := s.node.lookup(nodeEncryption)
	if ok && encryption != "on" && encryption != "off" {
		return Store{}, errorf("%s is neither on nor off; the node would not start with it", encryptionFrom)
	}
	switch {
	case !named || backend == "sqlite":
		if encryption == "on" {
			return Store{}, unusable("%s is on: decayctl cannot read an encrypted store; use the node's own decay sweep", encryptionFrom)
		}
		return s.nodeSQLite(backendFrom, named)
	case backend == "postgres":
		return s.nodePostgres(backendFrom)
	case backend == "libsql":
		return Store{}, unusable("%s is libsql: decayctl does not support libSQL and never writes a replica; use the node's own decay sweep, or name another store with --store", backendFrom)
	}
	return Store{}, unusable("%s is neither sqlite nor postgres: the node would silently use SQLite, decayctl does not guess; set it to one of the two", backendFrom)
}

func (s *settings) nodeSQLite(from string, named bool) (Store, error) {
	path, pathFrom, ok := s.node.lookup(nodePath)
	switch {
	case ok:
		from = pathFrom
	case named:
		path = defaultStore
	default:
		path, from = defaultStore, DefaultOrigin
	}
	if strings.TrimSpace(path) == "" {
		return Store{}, errorf("%s is empty; give it the path of the store's file or leave it out", from)
	}
	// The node takes this for a file's name too.
	if looksLikeAddress(path) {
		return Store{}, errorf("%s looks like a database address, but it takes a file's path; for PostgreSQL set %s=postgres and %s", from, nodeBackend, nodeDSN)
	}
	return s.sqlite(path, from), nil
}

// nodePostgres uses the first variable that is not empty, as the node does.
func (s *settings) nodePostgres(backendFrom string) (Store, error) {
	for _, name := range []string{nodeDSN, nodeDatabaseURL} {
		if text, from, _ := s.node.lookup(name); text != "" {
			return s.postgres(text, from)
		}
	}
	if text := s.environ[bareDatabaseURL]; text != "" {
		return s.postgres(text, bareDatabaseURL)
	}
	return Store{}, unusable("%s is postgres, but no database is named; set %s to postgres://user@host:5432/database", backendFrom, nodeDSN)
}

func unusable(format string, args ...any) error {
	return &store.Error{Kind: store.Unusable, Text: fmt.Sprintf(format, args...)}
}
