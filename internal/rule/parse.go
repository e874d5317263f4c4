package rule

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// TTL is a time to live in whole seconds, 0 or more.
type TTL int64

// Floor is a confidence floor, above 0 and up to 1. A fact whose confidence is equal to the floor is not selected.
type Floor float64

// Seconds in each unit of a duration, longest first. A year is 365 days, a week 7.
var units = []struct {
	name    string
	seconds int64
}{
	{"y", 365 * 86400}, {"w", 7 * 86400}, {"d", 86400}, {"h", 3600}, {"m", 60}, {"s", 1},
}

var errNoUnit = errors.New("a duration needs a unit: y, w, d, h, m or s, as in 90d or 1d12h")

// ParseTTL parses a duration such as 90d, 12h, 3600s or 1d12h, or a plain 0. "off" is nil. Units go from long to short, each at
// most once, with whole numbers. A duration of more seconds than an int64 holds becomes the largest int64; like every ttl before
// the year 1, it selects nothing.
func ParseTTL(text string) (*TTL, error) {
	if text == "off" {
		return nil, nil
	}
	seconds, err := ParseSeconds(text)
	if err != nil {
		return nil, err
	}
	ttl := TTL(seconds)
	return &ttl, nil
}

// ParseSeconds parses a duration as ParseTTL does, without "off". It returns seconds.
func ParseSeconds(text string) (int64, error) {
	switch {
	case text == "":
		return 0, errors.New("it is empty; a duration looks like 90d or 1d12h")
	case text == "0":
		return 0, nil
	case text[0] == '-':
		return 0, errors.New("a duration cannot be negative")
	}
	total, rest, next := int64(0), text, 0
	for rest != "" {
		digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
		if digits == 0 {
			return 0, errors.New("not a duration; use whole numbers with the units y, w, d, h, m or s, as in 90d or 1d12h")
		}
		number := rest[:digits]
		rest = rest[digits:]
		if rest == "" {
			return 0, errNoUnit
		}
		unit := next
		for unit < len(units) && units[unit].name != rest[:1] {
			unit++
		}
		if unit == len(units) {
			return 0, errors.New("not a duration; its units are y, w, d, h, m and s, each at most once and the longest first")
		}
		total = addSaturating(total, number, units[unit].seconds)
		rest, next = rest[1:], unit+1
	}
	return total, nil
}

// ParseTTLSeconds parses a number of seconds of any size, without a unit.
func ParseTTLSeconds(text string) (TTL, error) {
	digits := strings.TrimPrefix(text, "+")
	switch {
	case strings.HasPrefix(text, "-"):
		return 0, errors.New("a ttl cannot be negative")
	case digits == "" || strings.Trim(digits, "0123456789") != "":
		return 0, errors.New("not a whole number of seconds")
	}
	return TTL(addSaturating(0, digits, 1)), nil
}

// addSaturating is total plus number times unit, at most the largest int64.
func addSaturating(total int64, number string, unit int64) int64 {
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n > (math.MaxInt64-total)/unit {
		return math.MaxInt64
	}
	return total + n*unit
}

// String formats the ttl as ParseTTL parses it, with days as the longest unit: 90d, 1d12h, 0s.
func (t TTL) String() string {
	if t <= 0 {
		return "0s"
	}
	var b strings.Builder
	rest := int64(t)
	for _, u := range units[2:] {
		if n := rest / u.seconds; n > 0 {
			fmt.Fprintf(&b, "%d%s", n, u.name)
			rest %= u.seconds
		}
	}
	return b.String()
}

// ParseSet parses the text of Set.String.
func ParseSet(text string) (s Set, err error) {
	ids := map[string]bool{}
	for rest, more := text, true; more && err == nil; {
		switch {
		case strings.HasPrefix(rest, textPolicy):
			rest, more, err = s.parsePolicy(strings.TrimPrefix(rest, textPolicy), ids)
		case strings.HasPrefix(rest, textOnly) && s.Only == "":
			err, more = json.Unmarshal([]byte(strings.TrimPrefix(rest, textOnly)), &s.Only), false
		default:
			var part string
			part, rest, more = strings.Cut(rest, textBetween)
			err = s.parseRule(part)
		}
	}
	if err == nil && s.Only != "" && !ids[s.Only] {
		err = fmt.Errorf("there is no policy %q", s.Only)
	}
	if err != nil {
		return Set{}, fmt.Errorf("the rules %q cannot be read: %w", text, err)
	}
	return s, nil
}

func (s *Set) parseRule(part string) (err error) {
	name, value, _ := strings.Cut(part, " ")
	switch {
	case name == NameTTL && s.TTL == nil:
		s.TTL, err = ParseTTL(value)
	case name == NameFloor && s.Floor == nil:
		s.Floor, err = ParseFloor(value)
	default:
		err = fmt.Errorf("%q is no rule", part)
	}
	return err
}

// parsePolicy parses the policy at the beginning of text. ids are the ids of earlier policies.
func (s *Set) parsePolicy(text string, ids map[string]bool) (rest string, more bool, err error) {
	p, length, err := parsePolicy(text)
	if err != nil {
		return "", false, err
	}
	if ids[p.ID] {
		return "", false, fmt.Errorf("two policies are called %q", p.ID)
	}
	s.Policies, ids[p.ID] = append(s.Policies, p), true
	if rest = text[length:]; rest == "" {
		return "", false, nil
	}
	if rest, more = strings.CutPrefix(rest, textBetween); !more {
		return "", false, fmt.Errorf("%q follows a policy", rest)
	}
	return rest, true, nil
}

// Round rounds the ttl down to its largest unit, for people.
func (t TTL) Round() TTL {
	for _, u := range units[2:] {
		if int64(t) >= u.seconds {
			return t - TTL(int64(t)%u.seconds)
		}
	}
	return t
}

// ParseFloor parses a confidence floor from 0 to 1. 0 is no floor, and nil.
func ParseFloor(text string) (*Floor, error) {
	value, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	switch {
	case text == "":
		return nil, errors.New("it is empty; a floor is a number from 0 to 1")
	case err != nil && !errors.Is(err, strconv.ErrRange), strings.ContainsAny(text, "xX_"): // forms that only Go has
		return nil, errors.New("not a number from 0 to 1")
	case !(value >= 0 && value <= 1): // written so that NaN fails
		return nil, errors.New("a floor is a number from 0 to 1")
	case value == 0:
		return nil, nil
	}
	floor := Floor(value)
	return &floor, nil
}

// String formats the floor in the shortest form that ParseFloor parses to the same number.
func (f Floor) String() string { return strconv.FormatFloat(float64(f), 'g', -1, 64) }

// selects tells whether a confidence is above 0 and below the floor. A fact with 0 was retracted. A nil floor selects nothing.
func (f *Floor) selects(confidence float64) bool {
	return f != nil && confidence > 0 && confidence < float64(*f)
}
