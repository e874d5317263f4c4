package config

import (
	"strings"
	"testing"
)

// TestAServiceIsAnHTTPAddress: and what is wrong with one is said without the address, which may be its secret.
func TestAServiceIsAnHTTPAddress(t *testing.T) {
	t.Parallel()
	const secret = "5c3b6c0e-secret"
	for _, text := range []string{"hc-ping.com/" + secret, "file:///" + secret, "ftp://host/" + secret, "https:///" + secret, "http://\x7f" + secret, "://" + secret, "http://tok:12/" + secret + "@host/x"} {
		_, _, err := load(t, given{args: []string{"--ping", text}})
		if err == nil || !strings.HasPrefix(err.Error(), "--ping: it ") || strings.Contains(err.Error(), secret) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestTheEndIsKnownAlsoIfAnotherSettingIsWrong: who waits for a run is to hear of that.
func TestTheEndIsKnownAlsoIfAnotherSettingIsWrong(t *testing.T) {
	t.Parallel()
	for _, wrong := range [][]string{{"--ttl", "90"}, {"--store", "mysql://host/db"}, {"--config", "missing.yaml"}} {
		c, _, err := load(t, given{args: append(wrong, "--ping", "https://hc-ping.com/x", "--metrics-file", "/run/main.prom")})
		if err == nil || c.Ending.Ping == nil || c.Ending.Ping.String() != "https://hc-ping.com/x" || c.Ending.MetricsFile != "/run/main.prom" {
			t.Errorf("%v: %+v, %v", wrong, c.Ending, err)
		}
	}
}
