package postgres_test

import (
	"strings"
	"testing"

	"decayctl/internal/store"
)

// TestConnectionSettings: what is wrong beside the address is named, and the address is not blamed for it.
func TestConnectionSettings(t *testing.T) {
	const address = "postgres://u:hush@127.0.0.1:1/v"
	for _, test := range []struct{ environment, more, names string }{
		{"PGSSLROOTCERT=/nope/ca.pem PGSSLMODE=verify-full", "", "sslrootcert PGSSLROOTCERT /nope/ca.pem"},
		{"PGSSLCERT=/nope/c.pem PGSSLKEY=/nope/k.pem", "", "sslkey PGSSLKEY /nope/k.pem"},
		{"PGSSLKEY=/nope/k.pem", "", "sslcert PGSSLCERT"},
		{"PGSSLMODE=bogus", "", "sslmode PGSSLMODE"},
		{"PGSSLCERTMODE=bogus", "", "sslcertmode PGSSLCERTMODE bogus"},
		{"PGSERVICE=nowhere PGSERVICEFILE=/nope/services", "", "service PGSERVICE nowhere /nope/services"},
		{"PGCONNECT_TIMEOUT=soon", "", "connect_timeout PGCONNECT_TIMEOUT soon"},
		{"PGTARGETSESSIONATTRS=bogus", "", "target_session_attrs PGTARGETSESSIONATTRS bogus"},
		{"PGMINPROTOCOLVERSION=9", "", "min_protocol_version PGMINPROTOCOLVERSION"},
		{"PGMAXPROTOCOLVERSION=9", "", "max_protocol_version PGMAXPROTOCOLVERSION"},
		{"PGCHANNELBINDING=bogus", "", "channel_binding PGCHANNELBINDING bogus"},
		{"PGREQUIREAUTH=bogus", "", "require_auth PGREQUIREAUTH bogus"},
		{"", "?sslmode=verify-full&sslrootcert=/nope/ca.pem", "sslrootcert /nope/ca.pem"},
		{"", "?connect_timeout=soon", "connect_timeout soon"},
		{"", "?target_session_attrs=bogus", "target_session_attrs bogus"},
	} {
		t.Run(test.environment+test.more, func(t *testing.T) {
			for pair := range strings.FieldsSeq(test.environment) {
				name, value, _ := strings.Cut(pair, "=")
				t.Setenv(name, value)
			}
			_, err := open(t, address+test.more, "public", true)
			refused(t, err, store.Unusable, strings.Fields(test.names)...)
			if text := err.Error(); strings.Contains(text, "string cannot be read") || strings.Contains(text, "hush") || strings.Contains(text, "\n") {
				t.Errorf("%q", text)
			}
		})
	}
	for _, broken := range []string{"postgres://u:hush@h:p:q/x", "host=h password='hush", "postgres://u:hush@%zz/x"} {
		_, err := open(t, broken, "public", true)
		refused(t, err, store.Unusable, "PostgreSQL")
		if strings.Contains(err.Error(), "hush") {
			t.Errorf("%q", err)
		}
	}
}
