package config

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/url"
	"strings"
)

// DSN is a PostgreSQL address. Printed, logged or encoded, it shows user, host, port and database only. Reveal returns
// all of it.
type DSN struct {
	// A pointer, since fmt does not call methods of unexported fields: it prints the pointer and not the secret.
	secret  *string
	display string
	place   string
}

func newDSN(text string, parts address) DSN {
	place := maps.Clone(parts)
	delete(place, "user")
	return DSN{&text, parts.String(), place.String()}
}

// Reveal is the address with its password, for the driver.
func (d DSN) Reveal() string {
	if d.secret == nil {
		return ""
	}
	return *d.secret
}

func (d DSN) String() string { return d.display }

// GoString is the masked form, for %#v.
func (d DSN) GoString() string { return d.display }

// Format prints the masked form for every verb.
func (d DSN) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, d.display) }

// MarshalJSON encodes the masked form.
func (d DSN) MarshalJSON() ([]byte, error) { return json.Marshal(d.display) }

// LogValue is the masked form.
func (d DSN) LogValue() slog.Value { return slog.StringValue(d.display) }

// address is the parts of a DSN that may be shown, by name: user, host, port, database and service. Hosts and ports may
// be lists with commas.
type address map[string]string

// keep adds a parameter if it may be shown.
func (a address) keep(key, text string) {
	switch key {
	case "user", "host", "port", "database", "service":
		a[key] = text
	case "dbname":
		a["database"] = text
	}
}

// complete checks the parts, and adds those that the driver takes from the environment, so that the shown target is the
// real one. Its errors name the variable that a part comes from. from is the setting with the address.
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
	// Host and database of a service win over those of the environment. They are not known here.
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
	// libpq accepts an address, with its password, as the name of a database.
	if strings.Contains(a["database"], "://") || strings.Contains(a["database"], "=") {
		return wrong("database", " is an address; write a database's name, or give the address as the store", "its database is an address of its own; write that one only")
	}
	return nil
}

// String is the masked address on one line, as psql would understand it.
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

// hosts pairs hosts with ports. A single port belongs to every host.
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
