package config

import (
	"errors"
	"net/url"
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

// parseService parses the address of a service to post to.
func parseService(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, secretError{errors.New("it must be an http:// or https:// address")}
	}
	return u, nil
}
