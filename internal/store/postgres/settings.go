package postgres

import (
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// setting is a run-time parameter that every transaction begins with.
type setting struct{ name, value string }

// transactionSettings takes run-time parameters out of what is sent at the start of a connection:
// poolers refuse most of them there, and a pooled session would not keep them. They begin every
// transaction instead, after our own, so that an operator's word wins.
func (s *Store) transactionSettings(config *pgx.ConnConfig) []setting {
	lockTimeout := max(1, s.params.LockTimeout.Milliseconds()) // 0 would wait for ever
	settings := []setting{
		{"lock_timeout", fmt.Sprint(lockTimeout)},
		{"statement_timeout", fmt.Sprint(lockTimeout + (5 * time.Minute).Milliseconds())},
		{"idle_in_transaction_session_timeout", "60000"}, // a client that hangs must not hold locks
		{"extra_float_digits", "1"},                      // float4 as its shortest decimal
		{"jit", "off"},                                   // compiling takes longer than a batch gains by it
		{"row_security", "off"},                          // a policy must not hide a legal hold: rather an error
	}
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
	return settings
}

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
var beforeLocks = map[string]bool{"role": true, "lock_timeout": true, "statement_timeout": true}

// preamble is what a transaction begins with, in one message. A transaction that reads one state locks
// its tables before its first snapshot: a rewrite (ALTER TABLE … TYPE, TRUNCATE) that commits while a lock is
// waited for leaves the table empty to an older snapshot. At READ COMMITTED each statement takes its locks first.
func (s *Store) preamble(level pgx.TxIsoLevel) string {
	var b strings.Builder
	var calls []string
	for _, each := range s.settings {
		if beforeLocks[strings.ToLower(each.name)] {
			fmt.Fprintf(&b, "SET LOCAL %s = %s; ", pgx.Identifier{each.name}.Sanitize(), literal(each.value))
			continue
		}
		calls = append(calls, fmt.Sprintf("pg_catalog.set_config(%s, %s, true)", literal(each.name), literal(each.value)))
	}
	if level == pgx.RepeatableRead {
		b.WriteString("LOCK TABLE " + strings.Join(s.locks, ", ") + " IN ACCESS SHARE MODE; ")
	}
	return b.String() + "SELECT " + strings.Join(calls, ", ")
}

// literal is a text as SQL wants it, whatever standard_conforming_strings says: the server reads all
// statements of a message before it runs the first.
func literal(text string) string {
	return "E'" + strings.NewReplacer(`\`, `\\`, `'`, `''`).Replace(text) + "'"
}
