package postgres

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
)

// setting is a run-time parameter that every transaction begins with.
type setting struct{ name, value string }

// transactionSettings removes run-time parameters from the start of a connection, where poolers refuse most of them, and a
// pooled session would not keep them. They are set at the begin of every transaction instead: first decayctl's, then the
// operator's, which win, and then pinned, which win over both.
func (s *Store) transactionSettings(config *pgx.ConnConfig) []setting {
	settings := []setting{
		{"statement_timeout", fmt.Sprint((s.params.LockTimeout + 5*time.Minute).Milliseconds())},
		{"jit", "off"}, // compiling takes longer than a batch gains by it
	}
	ours := len(settings)
	for name, value := range config.RuntimeParams {
		if connectionOnly[name] {
			delete(config.RuntimeParams, name)
			continue
		}
		switch name {
		case "application_name":
			continue
		case "options":
			settings = append(settings, parseOptions(value)...)
		default:
			settings = append(settings, setting{name, value})
		}
		delete(config.RuntimeParams, name)
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "decayctl"
	}
	// For errors outside of transactions, and for names in the first statement of one. Poolers allow this parameter.
	config.RuntimeParams["client_encoding"] = "UTF8"
	for _, each := range settings[ours:] {
		s.given = append(s.given, oneLine(each.name))
	}
	slices.Sort(s.given)
	return append(settings, pinned...)
}

// pinned are settings that would change what a statement means, or what its result looks like. A role, a database or an
// address may set any of them. TestSettingsDecided has a decision for every setting of the server.
var pinned = []setting{
	{"array_nulls", "on"},            // NULL in an array is not the text "NULL"
	{"DateStyle", "ISO, MDY"},        // the only one that the driver reads
	{"extra_float_digits", "1"},      // float4 as its shortest decimal
	{"quote_all_identifiers", "off"}, // names of types are compared
	{"row_security", "off"},          // an error is better than a policy that hides a legal hold
	{"standard_conforming_strings", "on"},
	{"transform_null_equals", "off"},
	{"gin_fuzzy_search_limit", "0"},         // a GIN index must not leave out facts or holds
	{"exit_on_error", "off"},                // decayctl goes on after a duplicate key
	{"default_table_access_method", "heap"}, // decayctl updates rows of its own tables
}

// pins are settings that depend on the present value. Names are qualified, since search_path may have other functions first.
//   - search_path: PostgreSQL's own operators and functions come first; triggers find their functions as before.
//   - client_encoding: UTF-8, or SQL_ASCII for a database of that encoding, whose bytes have no known meaning.
//   - synchronous_commit: at least local, so that a batch reported as written is on the server's disk.
const pins = `pg_catalog.set_config('search_path', pg_catalog.concat_ws(', ', 'pg_catalog', pg_catalog.substring(pg_catalog.current_setting('search_path'), '.+')), true), ` +
	`pg_catalog.set_config('client_encoding', coalesce(pg_catalog.substring(pg_catalog.current_setting('server_encoding'), '^` + bytesOnly + `$'), 'UTF8'), true), ` +
	`pg_catalog.set_config('synchronous_commit', pg_catalog.replace(pg_catalog.current_setting('synchronous_commit'), 'off', 'local'), true)`

// connectionOnly are parameters of libpq that the driver does not know and would send to the server as settings. They tune a
// connection, and do not change its destination.
var connectionOnly = map[string]bool{
	"channel_binding": true, "fallback_application_name": true, "gssdelegation": true, "gssencmode": true,
	"gsslib": true, "requiressl": true, "sslcompression": true,
}

// parseOptions parses libpq's parameter options: -c name=value and --name=value.
func parseOptions(options string) []setting {
	var settings []setting
	for _, word := range strings.Fields(options) {
		word = strings.TrimPrefix(strings.TrimPrefix(word, "-c"), "--")
		if name, value, ok := strings.Cut(word, "="); ok {
			settings = append(settings, setting{strings.ReplaceAll(name, "-", "_"), value})
		}
	}
	return settings
}

// silence is how long the server waits for this process, within a transaction, before it ends the session and frees its locks.
// The process may hang, or its host may be cut off, which tells the server nothing. A session that writes has to end before
// other processes give up waiting for its locks. A session that only reads gets longer: its process may be at work on the rows.
func (s *Store) silence(access pgx.TxAccessMode) time.Duration {
	if access == writing {
		return min(time.Minute, max(time.Second, s.params.LockTimeout/2))
	}
	return time.Minute
}

// begin begins a transaction with the settings for silence. They are in the same message: a host that is cut off after it would
// leave the transaction open for hours. The first setting counts while the server waits for the next statement. The second counts
// while the server sends rows that the host does not receive. Servers on other systems than Linux log that they do not have it.
func (s *Store) begin(t transaction) string {
	wait := s.silence(t.access).Milliseconds()
	text := fmt.Sprintf("BEGIN ISOLATION LEVEL %s %s; SET LOCAL idle_in_transaction_session_timeout = %d", t.level, t.access, wait)
	if s.onLinux {
		text += fmt.Sprintf("; SET LOCAL tcp_user_timeout = %d", wait)
	}
	return text
}

// beforeLocks are the settings that must count while LOCK TABLE waits. SET takes no snapshot, but set_config would.
var beforeLocks = map[string]bool{"role": true, "statement_timeout": true, "exit_on_error": true}

// preamble is the first message after begin: the other settings, and locks. A transaction with one snapshot locks its tables
// before the snapshot. If another session rewrites a table (ALTER TABLE … TYPE, TRUNCATE) and commits while the transaction
// waits for the lock, an older snapshot would see the table empty. At READ COMMITTED each statement locks before its snapshot.
// wait is how long to wait for one lock. lock_timeout in an address is ignored: retryLocked applies --lock-timeout.
func (s *Store) preamble(t transaction, wait time.Duration) string {
	var b strings.Builder
	var calls []string
	fmt.Fprintf(&b, "SET LOCAL lock_timeout = %d; ", max(1, wait.Milliseconds())) // 0 would wait for ever
	for _, each := range s.settings {
		if strings.EqualFold(each.name, "lock_timeout") {
			continue
		}
		if beforeLocks[strings.ToLower(each.name)] {
			fmt.Fprintf(&b, "SET LOCAL %s = %s; ", pgx.Identifier{each.name}.Sanitize(), literal(each.value))
			continue
		}
		calls = append(calls, fmt.Sprintf("pg_catalog.set_config(%s, %s, true)", literal(each.name), literal(each.value)))
	}
	if t.batch && s.skipKeys.Load() {
		calls = append(calls, skipKeys)
	}
	if t.batch && s.cluster != nil {
		calls = append(calls, besideOthers)
	}
	if len(t.locks) > 0 {
		b.WriteString("LOCK TABLE " + strings.Join(t.locks, ", ") + " IN ACCESS SHARE MODE; ")
	}
	return b.String() + "SELECT " + strings.Join(calls, ", ") + "; SELECT " + pins
}

// literal is a text as an SQL literal, with any value of standard_conforming_strings: the server parses all statements of a
// message before it runs the first one.
func literal(text string) string {
	return "E'" + strings.NewReplacer(`\`, `\\`, `'`, `''`).Replace(text) + "'"
}

// encodable escapes the text of rules, counts or results, so that every encoding can store it. In these texts, characters
// beyond ASCII occur in JSON strings only.
func (s *Store) encodable(kept string) string {
	if !s.notUTF8 {
		return kept
	}
	var b strings.Builder
	for _, unit := range utf16.Encode([]rune(kept)) {
		if unit < utf8.RuneSelf {
			b.WriteByte(byte(unit))
			continue
		}
		fmt.Fprintf(&b, `\u%04x`, unit)
	}
	return b.String()
}
