package config

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"strings"
)

// DSN is a PostgreSQL address. However it is printed, logged or encoded, it shows user, host, port
// and database and nothing else; only Reveal gives the whole.
type DSN struct {
	// A pointer: fmt cannot call methods on unexported fields, and where a DSN is inside of one, it
	// prints an address in memory in place of the secret.
	secret  *string
	display string
}

func newDSN(text string, parts address) DSN { return DSN{secret: &text, display: parts.String()} }

// Reveal gives the address with its password, for the driver.
func (d DSN) Reveal() string {
	if d.secret == nil {
		return ""
	}
	return *d.secret
}

func (d DSN) String() string { return d.display }

// GoString keeps the secret out of %#v.
func (d DSN) GoString() string { return d.display }

// Format gives the masked form for every verb.
func (d DSN) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, d.display) }

// MarshalJSON gives the masked form.
func (d DSN) MarshalJSON() ([]byte, error) { return json.Marshal(d.display) }

// LogValue gives the masked form.
func (d DSN) LogValue() slog.Value { return slog.StringValue(d.display) }

// address is the part of a DSN that may be seen: user, host, port, database and service, under
// these names. Hosts and ports may be lists with commas.
type address map[string]string

// keep takes over a parameter if it may be seen.
func (a address) keep(key, text string) {
	switch key {
	case "user", "host", "port", "database", "service":
		a[key] = text
	case "dbname":
		a["database"] = text
	}
}

// complete checks the parts, and adds what the driver would take from the environment: the target
// that is shown must be the one that is meant. Its errors blame the variable that a part is from; from is
// the setting with the address.
func (a address) complete(environ map[string]string, from string) error {
	taken := map[string]string{} // variables, by the part
	wrong := func(part, variable, inAddress string) error {
		if name, ok := taken[part]; ok {
			return errorf("%s%s", name, variable)
		}
		return errorf("%s is not a PostgreSQL address: %s", from, inAddress)
	}
	if a["service"] == "" && environ["PGSERVICE"] != "" {
		a["service"] = environ["PGSERVICE"]
	}
	// A service's own host and database come before the environment's. They are not known here.
	if a["service"] == "" {
		for key, name := range map[string]string{"user": "PGUSER", "host": "PGHOST", "port": "PGPORT", "database": "PGDATABASE"} {
			if a[key] == "" && environ[name] != "" {
				a[key], taken[key] = environ[name], name
			}
		}
	}
	ports := strings.Split(a["port"], ",")
	if len(ports) > 1 && len(ports) != len(strings.Split(a["host"], ",")) {
		return wrong("port", " has not as many ports as there are hosts; write one for each, or one for all", "it has not as many ports as hosts")
	}
	for _, port := range ports {
		if strings.Trim(port, "0123456789") != "" || len(port) > 5 {
			return wrong("port", " is "+quote(a["port"])+": write the number of a port, as in 5432", "its port is not a number; in a password, write / as %2F and @ as %40")
		}
	}
	// libpq takes an address for a database name too, password and all.
	if strings.Contains(a["database"], "://") || strings.Contains(a["database"], "=") {
		return wrong("database", " is an address; write a database's name, or give the address as the store", "its database is an address of its own; write that one only")
	}
	return nil
}

// String is an address that psql would understand, on one line.
func (a address) String() string {
	var b strings.Builder
	b.WriteString("postgres://")
	if a["user"] != "" {
		b.WriteString(url.User(a["user"]).String() + "@")
	}
	query := url.Values{}
	if a["service"] != "" {
		query.Set("service", a["service"])
	}
	if isSocket := strings.ContainsAny(a["host"], "/@"); isSocket {
		query.Set("host", a["host"])
		if a["port"] != "" {
			query.Set("port", a["port"])
		}
	} else {
		b.WriteString(a.hosts())
	}
	b.WriteString("/" + url.PathEscape(a["database"]))
	if len(query) > 0 {
		b.WriteString("?" + strings.ReplaceAll(query.Encode(), "%2F", "/"))
	}
	return clean(b.String())
}

// hosts pairs hosts and ports; a single port goes with every host.
func (a address) hosts() string {
	ports := strings.Split(a["port"], ",")
	hosts := strings.Split(a["host"], ",")
	for i, host := range hosts {
		port := ports[min(i, len(ports)-1)]
		switch {
		case port != "":
			hosts[i] = net.JoinHostPort(host, port)
		case strings.Contains(host, ":"):
			hosts[i] = "[" + host + "]"
		}
	}
	return strings.Join(hosts, ",")
}
