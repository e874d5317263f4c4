package rule

import (
	"fmt"
	"math"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestParseTTL(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]TTL{
		"0": 0, "0s": 0, "1s": 1, "90d": 7776000, "12h": 43200, "3600s": 3600, "2w": 1209600,
		"1y": 31536000, "1d12h": 129600, "1y2w3d4h5m6s": 31536000 + 1209600 + 3*86400 + 4*3600 + 5*60 + 6,
		"100000000000s":         100000000000,
		"99999999999999999999d": math.MaxInt64,
		"9223372036854775807s":  math.MaxInt64, "1d9223372036854775807s": math.MaxInt64,
	} {
		got, err := ParseTTL(text)
		if err != nil || got == nil || *got != want {
			t.Errorf("ParseTTL(%q) = %v, %v; want %d", text, got, err, want)
		}
	}
	if got, err := ParseTTL("off"); got != nil || err != nil {
		t.Errorf("off = %v, %v", got, err)
	}
	for text, part := range map[string]string{
		"": "empty", "90": "needs a unit", "-1d": "negative", "-0": "negative", "1d 2h": "not a duration", "1h1d": "longest first",
		"1d1d": "at most once", "1.5d": "not a duration", "90D": "not a duration", "1ms": "not a duration", "d": "not a duration",
		"１d": "not a duration", "1d2": "needs a unit", "OFF": "not a duration", "+1d": "not a duration", "1e3s": "not a duration",
	} {
		if got, err := ParseTTL(text); err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("ParseTTL(%q) = %v, %v; want an error with %q", text, got, err, part)
		}
	}
}

func TestParseTTLSeconds(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]TTL{"0": 0, "60": 60, "+5": 5, "999999999999999999999999": math.MaxInt64} {
		if got, err := ParseTTLSeconds(text); err != nil || got != want {
			t.Errorf("ParseTTLSeconds(%q) = %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "-1", "1s", "1.5", " 1", "+", "0x10", "１"} {
		if got, err := ParseTTLSeconds(text); err == nil {
			t.Errorf("ParseTTLSeconds(%q) = %d, want an error", text, got)
		}
	}
}

func TestParseFloor(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Floor{"0.4": 0.4, "1": 1, "1.0": 1, " 0.5 ": 0.5, "1e-3": 0.001} {
		if got, err := ParseFloor(text); err != nil || got == nil || *got != want {
			t.Errorf("ParseFloor(%q) = %v, %v; want %g", text, got, err, float64(want))
		}
	}
	for _, text := range []string{"0", "0.0", "-0", "1e-400"} {
		if got, err := ParseFloor(text); err != nil || got != nil {
			t.Errorf("ParseFloor(%q) = %v, %v; want off", text, got, err)
		}
	}
	for _, text := range []string{"", " ", "NaN", "nan", "inf", "-0.1", "1.0001", "7", "1e400", "half", "0,4", "0x1p-1", "1_0e-1"} {
		if got, err := ParseFloor(text); err == nil {
			t.Errorf("ParseFloor(%q) = %v, want an error", text, got)
		}
	}
}

func TestTTLTextReadsBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := TTL(rapid.Int64Range(0, math.MaxInt64).Draw(t, "seconds"))
		got, err := ParseTTL(want.String())
		if err != nil || *got != want {
			t.Fatalf("%d is written %q, which reads as %v, %v", want, want, got, err)
		}
	})
}

func FuzzParseTTL(f *testing.F) {
	for _, text := range []string{"0", "off", "90d", "1d12h", "1y2w3d4h5m6s", "-1d", "90", "99999999999999999999d", "1h1d", "１d"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		ttl, err := ParseTTL(text)
		if err != nil || ttl == nil {
			return
		}
		if *ttl < 0 {
			t.Fatalf("%q reads as %d seconds", text, *ttl)
		}
		if again, err := ParseTTL(ttl.String()); err != nil || *again != *ttl {
			t.Fatalf("%q is written %q, which reads as %v, %v", text, ttl, again, err)
		}
	})
}

// TestSetsSurviveTheirText: a job keeps its rules as text, and is judged by what that reads as.
func TestSetsSurviveTheirText(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var s Set
		if rapid.Bool().Draw(t, "ttl is on") {
			ttl := TTL(rapid.Int64Range(0, math.MaxInt64).Draw(t, "ttl"))
			s.TTL = &ttl
		}
		if s.TTL == nil || rapid.Bool().Draw(t, "floor is on") {
			floor := Floor(rapid.Float64Range(5e-324, 1).Draw(t, "floor"))
			s.Floor = &floor
		}
		again, err := ParseSet(s.String())
		if err != nil || !reflect.DeepEqual(s, again) || s.Fingerprint() != again.Fingerprint() {
			t.Fatalf("%q reads as %q, %v", s, again, err)
		}
	})
	for _, text := range []string{"", "ttl", "ttl 90", "ttl 90d, ttl 80d", "age 90d", "min_confidence 2", "ttl 90d,min_confidence 0.4"} {
		if s, err := ParseSet(text); err == nil {
			t.Errorf("%q reads as %q", text, s)
		}
	}
}

// TestParseSetGrowsWithItsText: every transaction of a job reads the job's rules. Twice as many policies may
// take twice the memory, and not four times.
func TestParseSetGrowsWithItsText(t *testing.T) { // not parallel: others allocate too
	allocated := func(policies int) uint64 {
		var s Set
		for i := range policies {
			s.Policies = append(s.Policies, expire(fmt.Sprint("p", i), "memory:*", ""))
		}
		text := s.String()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if _, err := ParseSet(text); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	if some, twice := allocated(1000), allocated(2000); twice > 3*some {
		t.Errorf("%d bytes for 1000 policies, %d for 2000", some, twice)
	}
}

// TestFingerprint: it is in job tables, so it may never change for the same rules.
func TestFingerprint(t *testing.T) {
	t.Parallel()
	ttl, floor := TTL(90*86400), Floor(0.4)
	if got := (Set{TTL: &ttl, Floor: &floor}).Fingerprint(); got != "8e031e8a5503" {
		t.Errorf("got %s", got)
	}
	if a, b := (Set{TTL: &ttl}).Fingerprint(), (Set{Floor: &floor}).Fingerprint(); a == b {
		t.Errorf("both are %s", a)
	}
}
