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

// transactionSettings takes run-time parameters out of what is sent at the start of a connection:
// poolers refuse most of them there, and a pooled session would not keep them. They begin every
// transaction instead, after our own, so that an operator's word wins. Only what pinned names wins over that.
func (s *Store) transactionSettings(config *pgx.ConnConfig) []setting {
	settings := []setting{
		{"statement_timeout", fmt.Sprint((s.params.LockTimeout + 5*time.Minute).Milliseconds())},
		{"idle_in_transaction_session_timeout", "60000"}, // a client that hangs must not hold locks
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
	// What is said outside of transactions, and the names in the first statement of one. Poolers know this parameter.
	config.RuntimeParams["client_encoding"] = "UTF8"
	for _, each := range settings[ours:] {
		s.given = append(s.given, oneLine(each.name))
	}
	slices.Sort(s.given)
	return append(settings, pinned...)
}

// pinned are the settings that would change what a statement means, or what is read of its result. A role, a
// database or an address may carry any of them. TestSettingsDecided has a decision for each setting that there is.
var pinned = []setting{
	{"array_nulls", "on"},            // NULL in an array is no text
	{"DateStyle", "ISO, MDY"},        // the only one that the driver reads
	{"extra_float_digits", "1"},      // float4 as its shortest decimal
	{"quote_all_identifiers", "off"}, // names of types are compared
	{"row_security", "off"},          // a policy must not hide a legal hold: rather an error
	{"standard_conforming_strings", "on"},
	{"transform_null_equals", "off"},
	{"gin_fuzzy_search_limit", "0"},         // a GIN index must not leave out facts or holds
	{"exit_on_error", "off"},                // a duplicate key is gone on from
	{"default_table_access_method", "heap"}, // decayctl's own tables are updated
}

// pins are computed from what is there. The names are qualified: search_path may put others before PostgreSQL's own.
//   - search_path: operators and functions are PostgreSQL's own; what triggers find by it, they still find.
//   - client_encoding: UTF-8 as Go has it. SQL_ASCII tells nothing of its bytes: they come as they are.
//   - synchronous_commit: what is reported as written is on the server's disk.
const pins = `pg_catalog.set_config('search_path', pg_catalog.concat_ws(', ', 'pg_catalog', pg_catalog.substring(pg_catalog.current_setting('search_path'), '.+')), true), ` +
	`pg_catalog.set_config('client_encoding', coalesce(pg_catalog.substring(pg_catalog.current_setting('server_encoding'), '^` + bytesOnly + `$'), 'UTF8'), true), ` +
	`pg_catalog.set_config('synchronous_commit', pg_catalog.replace(pg_catalog.current_setting('synchronous_commit'), 'off', 'local'), true)`

// connectionOnly are libpq's parameters that the driver does not know and would take for settings of
// the server. They tune a connection, and do not change where it leads.
var connectionOnly = map[string]bool{
	"channel_binding": true, "fallback_application_name": true, "gssdelegation": true, "gssencmode": true,
	"gsslib": true, "keepalives": true, "keepalives_count": true, "keepalives_idle": true,
	"keepalives_interval": true, "requiressl": true, "sslcompression": true, "tcp_user_timeout": true,
}

// parseOptions reads libpq's options parameter: -c name=value and --name=value.
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

// beforeLocks are the settings that locks are waited for with. SET takes no snapshot, as set_config would.
var beforeLocks = map[string]bool{"role": true, "statement_timeout": true, "exit_on_error": true}

// preamble is what a transaction begins with, in one message. A transaction that reads one state locks
// its tables before its first snapshot: a rewrite (ALTER TABLE … TYPE, TRUNCATE) that commits while a lock is
// waited for leaves the table empty to an older snapshot. At READ COMMITTED each statement takes its locks first.
// wait is for how long one lock is waited for; --lock-timeout and retryLocked say how often, so lock_timeout in an address says nothing.
func (s *Store) preamble(locks []string, wait time.Duration) string {
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
	if len(locks) > 0 {
		b.WriteString("LOCK TABLE " + strings.Join(locks, ", ") + " IN ACCESS SHARE MODE; ")
	}
	return b.String() + "SELECT " + strings.Join(calls, ", ") + "; SELECT " + pins
}

// literal is a text as SQL wants it, whatever standard_conforming_strings says: the server reads all
// statements of a message before it runs the first.
func literal(text string) string {
	return "E'" + strings.NewReplacer(`\`, `\\`, `'`, `''`).Replace(text) + "'"
}

// encodable is a text that rules, counts or results are kept as, so that every encoding has it: what is not ASCII
// stands in strings of JSON there, and is escaped.
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
