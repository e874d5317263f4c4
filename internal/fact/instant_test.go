package fact

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// readings are stamps that real writers store, and what three readers make of them: ours, Python's
// datetime.fromisoformat (which the node uses where it parses at all; naive is taken as UTC), and
// the node's comparison of texts at 2026-06-15T12:00:00.500000+00:00, by which it hides a fact.
// "" is unreadable.
var readings = []struct {
	stamp    string
	ours     string
	python   string
	nodeText string // live or expired
}{
	{"2026-06-15T12:00:00.123456+00:00", "2026-06-15T12:00:00.123456Z", "2026-06-15T12:00:00.123456Z", "expired"},
	{"2026-06-15T12:00:00Z", "2026-06-15T12:00:00Z", "2026-06-15T12:00:00Z", "live"},
	{"2026-06-15T12:00:00.500Z", "2026-06-15T12:00:00.5Z", "2026-06-15T12:00:00.5Z", "live"},
	{"2026-06-15T12:00:00.5Z", "2026-06-15T12:00:00.5Z", "2026-06-15T12:00:00.5Z", "live"},
	{"2026-06-15T12:00Z", "2026-06-15T12:00:00Z", "2026-06-15T12:00:00Z", "live"},
	{"2026-06-15T12:00:00", "2026-06-15T12:00:00Z", "2026-06-15T12:00:00Z", "expired"},
	{"2026-06-15T12:00:00+00:00", "2026-06-15T12:00:00Z", "2026-06-15T12:00:00Z", "expired"},
	{"2026-06-15T20:00:00+09:00", "2026-06-15T11:00:00Z", "2026-06-15T11:00:00Z", "live"},
	{"2026-06-15T11:00:00-05:00", "2026-06-15T16:00:00Z", "2026-06-15T16:00:00Z", "expired"},
	{"2026-06-15 23:00:00+00:00", "2026-06-15T23:00:00Z", "2026-06-15T23:00:00Z", "expired"},
	{"2026-06-15", "2026-06-15T00:00:00Z", "2026-06-15T00:00:00Z", "expired"},
	{"2026-06-15t00:00:00z", "2026-06-15T00:00:00Z", "", "live"},
	{"20260101T000000Z", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z", "live"},
	{"4102444800", "", "", "live"},
	{"1781524800000", "", "", "expired"},
	{"", "", "", "expired"},
	{"tomorrow", "", "", "live"},
	{" 2026-06-15T12:00:00Z", "", "", "expired"},
	// Beyond the table of what is known to be stored: the edges of the reader.
	{"2026-06-15T12:00:00.123456789Z", "2026-06-15T12:00:00.123456789Z", "2026-06-15T12:00:00.123456Z", "expired"},
	{"2026-06-15T12:00:00.1234567891Z", "2026-06-15T12:00:00.123456789Z", "2026-06-15T12:00:00.123456Z", "expired"},
	{"2026-06-15T12:00:00,5Z", "2026-06-15T12:00:00.5Z", "2026-06-15T12:00:00.5Z", "expired"},
	{"2026-06-15T12:00:00+0000", "2026-06-15T12:00:00Z", "2026-06-15T12:00:00Z", "expired"},
	{"2026-06-15T12:00:00+05:30:15", "2026-06-15T06:29:45Z", "2026-06-15T06:29:45Z", "expired"},
	{"20260615T1200Z", "2026-06-15T12:00:00Z", "2026-06-15T12:00:00Z", "live"},
	{"20260615", "", "2026-06-15T00:00:00Z", "live"}, // may be a number
	{"2026-W01-1", "", "2025-12-29T00:00:00Z", "live"},
	{"2026-06-15T12", "", "2026-06-15T12:00:00Z", "expired"},
	{"2026-06-15T24:00:00Z", "", "", "live"},
	{"2026-06-15T12:00:60Z", "", "", "live"},
	{"2026-02-29T12:00:00Z", "", "", "expired"},
	{"2024-02-29T12:00:00Z", "2024-02-29T12:00:00Z", "2024-02-29T12:00:00Z", "expired"},
	{"1900-02-29T12:00:00Z", "", "", "expired"},
	{"2026-04-31T12:00:00Z", "", "", "expired"},
	{"2026-13-01T12:00:00Z", "", "", "live"},
	{"0000-01-01T00:00:00Z", "", "", "expired"},
	{"2026-06-15T12:00:00.Z", "", "2026-06-15T12:00:00Z", "live"},
	{"2026-06-15T12:00:00+24:00", "", "", "expired"},
	{"2026-06-15T12:00:00Z ", "", "", "live"},
	{"2026-06-15T12:00:00Zjunk", "", "", "live"},
	{"２０２６-06-15T12:00:00Z", "", "", "live"},
	{"2026-06-15T12:00:00+00:00\x00", "", "2026-06-15T12:00:00Z", "expired"},
}

func TestParseInstant(t *testing.T) {
	t.Parallel()
	const nodeNow = "2026-06-15T12:00:00.500000+00:00"
	for _, r := range readings {
		got := ""
		if instant, err := ParseInstant(r.stamp); err == nil {
			got = instant.Format(time.RFC3339Nano)
		}
		if got != r.ours {
			t.Errorf("ParseInstant(%q) = %q, want %q", r.stamp, got, r.ours)
		}
		if live := strings.Compare(r.stamp, nodeNow) > 0; live != (r.nodeText == "live") {
			t.Errorf("as text, %q is live: %v, the table says %s", r.stamp, live, r.nodeText)
		}
		// Where both readers read a stamp they agree, but for digits beyond the microsecond.
		if r.ours != "" && r.python != "" {
			ours, _ := time.Parse(time.RFC3339Nano, r.ours)
			python, _ := time.Parse(time.RFC3339Nano, r.python)
			if !ours.Truncate(time.Microsecond).Equal(python) {
				t.Errorf("%q: ours %s and Python's %s differ", r.stamp, ours, python)
			}
		}
	}
}

func TestWrittenStampsReadBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		at := time.Unix(rapid.Int64Range(-62135596800, 253402300799).Draw(t, "s"), rapid.Int64Range(0, 999_999).Draw(t, "µs")*1000)
		got, err := ParseInstant(FormatInstant(at))
		if err != nil || !got.Equal(at) {
			t.Fatalf("%s reads back as %s, %v", FormatInstant(at), got, err)
		}
		if got, err := ParseInstant(FormatSecond(at)); err != nil || !got.Equal(at.Truncate(time.Second)) {
			t.Fatalf("%s reads back as %s, %v", FormatSecond(at), got, err)
		}
	})
}

func TestWrittenStampsSortAsText(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		micros := rapid.Int64Range(0, 4e15)
		a, b := time.UnixMicro(micros.Draw(t, "a")), time.UnixMicro(micros.Draw(t, "b"))
		if a.Compare(b) != strings.Compare(FormatInstant(a), FormatInstant(b)) {
			t.Fatalf("%s and %s sort otherwise than their instants", FormatInstant(a), FormatInstant(b))
		}
	})
}

func FuzzParseInstant(f *testing.F) {
	for _, r := range readings {
		f.Add(r.stamp)
	}
	f.Fuzz(func(t *testing.T, stamp string) {
		got, err := ParseInstant(stamp)
		if err != nil {
			return
		}
		if again, err := ParseInstant(got.Format("2006-01-02T15:04:05.999999999Z07:00")); got.Year() >= 1 && got.Year() <= 9999 && (err != nil || !again.Equal(got)) {
			t.Fatalf("%q reads as %s, which reads as %s, %v", stamp, got, again, err)
		}
		// What the standard library reads, we read the same.
		if standard, err := time.Parse(time.RFC3339Nano, stamp); err == nil && !standard.Equal(got) {
			t.Fatalf("%q reads as %s, the standard library says %s", stamp, got, standard)
		}
	})
}
