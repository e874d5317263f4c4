package config

import (
	"errors"
	"net/url"
)

// secretError is what is wrong with a value that must not be repeated: its address may be all that a service asks for.
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

// parseService reads an address to post to.
func parseService(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, secretError{errors.New("it must be an http:// or https:// address")}
	}
	return u, nil
}
