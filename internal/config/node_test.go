package config

import (
	"testing"
)

// What pydantic makes of a number, tried out with pydantic 2.14.
func TestNodeTTL(t *testing.T) {
	t.Parallel()
	const off, bad = "off", "bad"
	for text, want := range map[string]string{
		"60": "1m", " 60 ": "1m", "\t60\n": "1m", "60.0": "1m", "60.00": "1m", "1_000": "16m40s", "1_0.0": "10s",
		"+60": "1m", " +60": "1m", "007": "7s", "99999999999999999999999": "106751991167300d15h30m7s",
		"0": off, "-0": off, "0.0": off, "-0.0": off, "-5": off, "-99999999999999999999999": off,
		"60.": bad, "60.5": bad, "1__0": bad, "_1": bad, "1_": bad, "- 5": bad, "+ 5": bad, "++5": bad, "1e3": bad, "0x10": bad,
		"٣": bad, ".0": bad, "+": bad, "1,000": bad, "true": bad, "60.0_0": bad, "60s": bad, "off": bad,
	} {
		got := bad
		if ttl, err := parseNodeTTL(text); err == nil && ttl == nil {
			got = off
		} else if err == nil {
			got = ttl.String()
		}
		if got != want {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
	}
}

func TestNodeFloor(t *testing.T) {
	t.Parallel()
	const off, bad = "off", "bad"
	for text, want := range map[string]string{
		"0.5": "0.5", " .5 ": "0.5", "1.": "1", "1e-1": "0.1", "+0.5": "0.5", "1": "1",
		"0": off, "-1": off, "nan": off, "NaN": off, "-nan": off, "+nan": off, "-inf": off, "-Infinity": off, "1e-400": off, "-1e400": off,
		"inf": bad, "Infinity": bad, "iNf": bad, "1.5": bad, "1e400": bad, "1.0000000001": bad,
		"0x1p-2": bad, "_0.5": bad, "٠": bad, "0,5": bad, "half": bad, "80%": bad,
	} {
		got := bad
		if floor, err := parseNodeFloor(text); err == nil && floor == nil {
			got = off
		} else if err == nil {
			got = floor.String()
		}
		if got != want {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
	}
}
