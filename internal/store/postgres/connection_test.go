package postgres_test

import (
	"crypto/tls"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"decayctl/internal/store"
	"decayctl/internal/store/pgtest"
)

// TestWrongConnectionSettingIsNamed: the error names the wrong setting, and not the address.
func TestWrongConnectionSettingIsNamed(t *testing.T) {
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
		{"", "?keepalives_idle=soon", "keepalives_idle soon"},
		{"", "?tcp_user_timeout=-1", "tcp_user_timeout -1"},
		{"", "?ssl_min_protocol_version=TLSv1.2", "ssl_min_protocol_version TLS"},
		{"", "?ssl_max_protocol_version=TLSv1.3", "ssl_max_protocol_version TLS"},
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

// TestUntrustedCertificateIsNamed: the error does not blame host and port. Any server that speaks TLS shows it.
func TestUntrustedCertificateIsNamed(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(nil)
	server.TLS = &tls.Config{NextProtos: []string{"postgresql"}} //nolint:gosec // the versions are the default ones
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.StartTLS()
	defer server.Close()
	_, err := open(t, "postgres://u@"+server.Listener.Addr().String()+"/v?sslmode=verify-full&sslnegotiation=direct", "public", true)
	refused(t, err, store.Unusable, "sslmode", "PGSSLROOTCERT", "certificate")
	if strings.Contains(err.Error(), "check host") {
		t.Errorf("%q", err)
	}
}

// TestUnmetConnectionSettingIsNamed: if the server answers but does not meet a setting, the error names the setting.
func TestUnmetConnectionSettingIsNamed(t *testing.T) {
	db := pgtest.Start(t).NewDatabase(t, pgtest.DatabaseOptions{})
	for _, test := range []struct{ environment, more, names string }{
		{"PGTARGETSESSIONATTRS=standby", "", "target_session_attrs PGTARGETSESSIONATTRS standby"},
		{"PGTARGETSESSIONATTRS=read-only", "", "target_session_attrs PGTARGETSESSIONATTRS only"},
		{"", "target_session_attrs=standby", "target_session_attrs standby"},
		{"", "target_session_attrs=read-only", "target_session_attrs only"},
		{"", "sslmode=require", "sslmode PGSSLMODE TLS"},
		{"", "sslmode=verify-full", "sslmode PGSSLMODE TLS"},
		{"", "options=-c%20shared_buffers%3D1MB", "shared_buffers connection"},
		{"PGOPTIONS=--shared_buffers=1MB", "", "shared_buffers PGOPTIONS"},
		{"", "transaction_isolation=serializable", "transaction_isolation connection"},
		{"", "a-b.c=1", "a-b.c connection"},
		{"", "no_such_thing=1&work_mem=1MB", "no_such_thing"},
		{"", "work_mem=lots", "work_mem connection"},
	} {
		t.Run(test.environment+test.more, func(t *testing.T) {
			if name, value, ok := strings.Cut(test.environment, "="); ok {
				t.Setenv(name, value)
			}
			address := db.URL + "&" + test.more
			if strings.Contains(test.more, "sslmode") {
				address = strings.ReplaceAll(db.URL, "sslmode=disable", test.more)
			}
			_, err := open(t, address, "public", true)
			refused(t, err, store.Unusable, strings.Fields(test.names)...)
			if text := err.Error(); strings.Contains(text, "check host") || strings.Contains(text, "SQLSTATE") || strings.Contains(text, "ValidateConnect") {
				t.Errorf("%q", text)
			}
		})
	}
}
