package config

import (
	"errors"
	"net/url"
	"regexp"
	"strings"
)

// The parsers here follow libpq, as the driver does. net/url does not know lists of hosts, and ends a password at other
// characters. Their errors repeat nothing of the address.

func isPostgresURL(text string) bool {
	text = strings.TrimSpace(text)
	return strings.HasPrefix(text, "postgres://") || strings.HasPrefix(text, "postgresql://")
}

// isKeywordDSN tells host=… dbname=… from a file's name. A file with such a name can be given as ./NAME.
func isKeywordDSN(text string) bool {
	begins := regexp.MustCompile(`^\s*[a-z_]+\s*=`)
	telling := regexp.MustCompile(`(^|\s)(host|hostaddr|port|dbname|user|password|passfile|sslpassword|service)\s*=`)
	return begins.MatchString(text) && telling.MatchString(text)
}

// parseURL parses [postgres:]//[user[:password]@][host[:port],…][/database][?key=value&…].
func parseURL(text string) (address, error) {
	if strings.ContainsAny(text, " \t\r\n\x00") {
		return nil, errors.New("it has a blank in it; write %20 instead")
	}
	_, rest, _ := strings.Cut(text, "://")
	found := address{}
	raw := map[string]string{}
	if i := strings.IndexAny(rest, "@/"); i >= 0 && rest[i] == '@' {
		raw["user"], _, _ = strings.Cut(rest[:i], ":")
		if _, err := decode(rest[:i]); err != nil {
			return nil, err
		}
		rest = rest[i+1:]
	}
	// Mostly a password that has an @ or a /: its end would be taken for a host or a database, and be shown.
	if strings.Contains(rest, "@") {
		return nil, errors.New("it has one @ too many; in a password, write @ as %40 and / as %2F")
	}
	rest, query, _ := strings.Cut(rest, "?")
	netlocs, database, _ := strings.Cut(rest, "/")
	raw["database"] = database
	var err error
	if raw["host"], raw["port"], err = splitHosts(netlocs); err != nil {
		return nil, err
	}
	for key, part := range raw {
		if part == "" {
			continue
		}
		if found[key], err = decode(part); err != nil {
			return nil, err
		}
	}
	return found, parseQuery(strings.TrimSuffix(query, "&"), found)
}

// splitHosts splits host:port,host:port into two lists.
func splitHosts(netlocs string) (hosts, ports string, err error) {
	for i, netloc := range strings.Split(netlocs, ",") {
		host, port, _ := strings.Cut(netloc, ":")
		if inner, ok := strings.CutPrefix(netloc, "["); ok {
			var behind string
			host, behind, ok = strings.Cut(inner, "]")
			if port = strings.TrimPrefix(behind, ":"); !ok || host == "" || port == behind && port != "" {
				return "", "", errors.New("it has an IPv6 address without its closing ]")
			}
		}
		if i > 0 {
			hosts, ports = hosts+",", ports+","
		}
		hosts, ports = hosts+host, ports+port
	}
	return hosts, ports, nil
}

// parseQuery parses the parameters of a URL, which win over its earlier parts.
func parseQuery(query string, found address) error {
	if query == "" {
		return nil
	}
	for pair := range strings.SplitSeq(query, "&") {
		rawKey, rawText, ok := strings.Cut(pair, "=")
		if !ok || strings.Contains(rawText, "=") {
			return errors.New("its parameters behind the ? are not key=value&key=value")
		}
		key, err := decode(rawKey)
		if err != nil {
			return err
		}
		text, err := decode(rawText)
		if err != nil {
			return err
		}
		found.keep(key, text)
	}
	return nil
}

func decode(text string) (string, error) {
	plain, err := url.PathUnescape(text)
	if err != nil || strings.Contains(plain, "\x00") {
		return "", errors.New("it has a % that no two hexadecimal digits follow; write a % itself as %25")
	}
	return plain, nil
}

// parseKeywords parses key=value key='value'…. A character after a backslash stands for itself.
func parseKeywords(text string) (address, error) {
	const blanks = " \t\n\r\v\f"
	if strings.Contains(text, "\x00") {
		return nil, errors.New("it has a zero byte in it")
	}
	found := address{}
	rest := strings.TrimLeft(text, blanks)
	if rest == "" {
		return nil, errors.New("it is empty")
	}
	for rest != "" {
		key, behind, ok := strings.Cut(rest, "=")
		key = strings.Trim(key, blanks)
		if !ok || key == "" || strings.ContainsAny(key, blanks) {
			return nil, errors.New("write postgres://user@host:5432/database, or key=value parts with quotes '' around values that have blanks")
		}
		rest = strings.TrimLeft(behind, blanks)
		ends, quoted := blanks, strings.HasPrefix(rest, "'")
		if quoted {
			ends, rest = "'", rest[1:]
		}
		var value string
		value, rest, ok = cutValue(rest, ends)
		if quoted && !ok {
			return nil, errors.New("it has a ' without its counterpart")
		}
		rest = strings.TrimLeft(rest, blanks)
		found.keep(key, value)
	}
	return found, nil
}

// cutValue cuts a value that ends before the first of some bytes, and drops that byte. It is false if there is no such
// byte.
func cutValue(text, ends string) (value, rest string, ended bool) {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '\\' && i+1 < len(text):
			i++
			b.WriteByte(text[i])
		case text[i] == '\\': // a backslash at the end is dropped
		case strings.IndexByte(ends, text[i]) >= 0:
			return b.String(), text[i+1:], true
		default:
			b.WriteByte(text[i])
		}
	}
	return b.String(), "", false
}
