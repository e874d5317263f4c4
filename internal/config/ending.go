package config

import (
	"errors"
	"net/url"
	"strings"

	"github.com/spf13/viper"
)

// secretError is the error for a value that must not be repeated: the address of a service may be its only secret.
type secretError struct{ error }

func (s *settings) ending() Ending {
	e := Ending{
		MetricsTenants: value(s, "metrics_tenants", parseToggle),
		OnSuccess:      value(s, "on_success", parseService),
		OnFailure:      value(s, "on_failure", parseService),
		Ping:           value(s, "ping", parseService),
	}
	if file := value(s, "metrics_file", parseStored); file != "" {
		e.MetricsFile = s.path(file)
	}
	return e
}

// endingAlone is as much of the ending as flags and variables say: what else is wrong with the settings may be in a file.
func endingAlone(src Source) Ending {
	s := &settings{viper: viper.New(), origins: map[string]origin{}, dir: src.Dir}
	environ := environMap(src.Environ)
	for _, known := range endingSettings() {
		if flag := src.Flags.Lookup(known.flag()); flag != nil && flag.Changed {
			s.viper.SetDefault(known.key, flag.Value.String())
			s.origins[known.key] = origin{byFlag, known.flag()}
		} else if text, given := environ[known.variable()]; given {
			s.viper.SetDefault(known.key, text)
			s.origins[known.key] = origin{byVariable, known.variable()}
		}
	}
	return s.ending()
}

// parseService parses the address of a service to post to.
func parseService(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil, u.Host == "", u.Scheme != "http" && u.Scheme != "https":
		return nil, secretError{errors.New("it must be an http:// or https:// address")}
	case strings.Contains(u.EscapedPath(), "@"): // a part of a password would be taken for the host
		return nil, secretError{errors.New("it has an @ after its host; in a password, write @ as %40 and / as %2F")}
	}
	return u, nil
}
