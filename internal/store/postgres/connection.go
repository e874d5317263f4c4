package postgres

import (
	"crypto/tls"
	"errors"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"decayctl/internal/store"
)

// connectionSettings are the settings that the driver may find wrong, by words of its message. The first match counts.
var connectionSettings = []struct{ words, setting, variable string }{
	{"sslcertmode", "sslcertmode", "PGSSLCERTMODE"},
	{`"sslcert" and "sslkey"`, "sslcert or sslkey", "PGSSLCERT and PGSSLKEY"},
	{"sslkey", "sslkey", "PGSSLKEY"},
	{"sslpassword", "sslpassword", "PGSSLPASSWORD"},
	{"decrypt key", "sslpassword", "PGSSLPASSWORD"},
	{"read cert", "sslcert", "PGSSLCERT"},
	{"load cert", "sslcert", "PGSSLCERT"},
	{"CA file", "sslrootcert", "PGSSLROOTCERT"},
	{"cert pool", "sslrootcert", "PGSSLROOTCERT"},
	{"certificate pool", "sslrootcert", "PGSSLROOTCERT"},
	{"sslmode", "sslmode", "PGSSLMODE"},
	{"connect_timeout", "connect_timeout", "PGCONNECT_TIMEOUT"},
	{"target_session_attrs", "target_session_attrs", "PGTARGETSESSIONATTRS"},
	{"min_protocol_version", "min_protocol_version", "PGMINPROTOCOLVERSION"},
	{"max_protocol_version", "max_protocol_version", "PGMAXPROTOCOLVERSION"},
	{"channel_binding", "channel_binding", "PGCHANNELBINDING"},
	{"require_auth", "require_auth", "PGREQUIREAUTH"},
	{"service", "service (or servicefile)", "PGSERVICE (or PGSERVICEFILE)"},
	{"port", "port", "PGPORT"},
}

// unreadable names what the driver could not parse: the address, or a setting.
func unreadable(err error) error {
	const hint = "the PostgreSQL connection string cannot be read; it looks like postgres://user@host:5432/database"
	var parsing *pgconn.ParseConfigError
	if !errors.As(err, &parsing) {
		return &store.Error{Kind: store.Unusable, Text: hint}
	}
	// The driver's message begins with the address, which may hold a password. Only the rest is shown.
	quoted := pgconn.NewParseConfigError(parsing.ConnString, "", nil).Error()
	reason, ok := strings.CutPrefix(err.Error(), quoted)
	if strings.Contains(reason, "failed to read service file") {
		// The driver does not name the service in this message. For an empty service file it does.
		if _, again := pgconn.ParseConfig("servicefile=" + os.DevNull); again != nil {
			reason += ", for " + strings.TrimPrefix(again.Error(), pgconn.NewParseConfigError("servicefile="+os.DevNull, "", nil).Error())
		}
	}
	for _, each := range connectionSettings {
		if ok && !strings.HasPrefix(reason, "failed to parse") && strings.Contains(reason, each.words) {
			return &store.Error{Kind: store.Unusable, Text: settingText(each.setting, each.variable, "is wrong", reason)}
		}
	}
	return &store.Error{Kind: store.Unusable, Text: hint}
}

func settingText(setting, variable, fault, reason string) string {
	return "the PostgreSQL connection setting " + setting + ", from the address or " + variable + ", " + fault + ": " + oneLine(reason)
}

// unknownSettings are parameters of libpq that the driver does not know and that must not be ignored, with what to do.
var unknownSettings = map[string]string{
	"hostaddr":                 "write the address as host",
	"ssl_min_protocol_version": "leave it out: decayctl asks for TLS 1.2 or newer",
	"ssl_max_protocol_version": "leave it out: decayctl asks for TLS 1.2 or newer",
}

// refuseUnknown refuses unknownSettings.
func refuseUnknown(parameters map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(parameters)) {
		if do, ok := unknownSettings[name]; ok {
			return &store.Error{Kind: store.Unusable, Text: "the PostgreSQL connection string has " + name + ", which decayctl does not know; " + do}
		}
	}
	return nil
}

// unfitSetting names the setting that the server does not meet although it was reached; "" is none.
func unfitSetting(err *pgconn.ConnectError) string {
	const fault = "does not fit the server"
	for _, unfit := range []error{
		pgconn.ErrReadOnlyConnection, pgconn.ErrReadWriteConnection, pgconn.ErrPrimaryConnection, pgconn.ErrStandbyConnection,
	} {
		if errors.Is(err, unfit) {
			return settingText("target_session_attrs", "PGTARGETSESSIONATTRS", fault, unfit.Error())
		}
	}
	var certificate *tls.CertificateVerificationError
	if errors.As(err, &certificate) {
		return settingText("sslmode or sslrootcert", "PGSSLMODE or PGSSLROOTCERT", fault, certificate.Error())
	}
	if reason := connectReason(err); strings.Contains(reason, "server refused TLS connection") {
		return settingText("sslmode", "PGSSLMODE", fault, reason)
	}
	return ""
}
