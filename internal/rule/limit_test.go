package rule

import "testing"

func TestLimitExceeded(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		limit          string
		selected, live int64
		want           bool
	}{
		{"10", 10, 0, false}, {"10", 11, 0, true}, {"0", 0, 0, false}, {"0", 1, 100, true},
		{"5%", 5, 100, false}, {"5%", 6, 100, true}, {"0.5%", 1, 200, false}, {"0.5%", 2, 200, true},
		{"0%", 0, 100, false}, {"0%", 1, 100, true}, {"100%", 100, 100, false}, {"5%", 0, 0, false},
	} {
		limit, err := ParseLimit(test.limit)
		if err != nil {
			t.Fatal(err)
		}
		if got := limit.Exceeded(test.selected, test.live); got != test.want {
			t.Errorf("%s: %d of %d exceeds: %v, want %v", test.limit, test.selected, test.live, got, test.want)
		}
		if again, err := ParseLimit(limit.String()); err != nil || again.Exceeded(test.selected, test.live) != test.want {
			t.Errorf("%s is written %s, which reads otherwise (%v)", test.limit, limit, err)
		}
	}
	for _, text := range []string{"", "%", "-1", "101%", "1e2%", "nan%", "5 %", "x", "99999999999999999999"} {
		if limit, err := ParseLimit(text); err == nil {
			t.Errorf("ParseLimit(%q) = %v, want an error", text, limit)
		}
	}
}
