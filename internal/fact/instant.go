package fact

import (
	"errors"
	"time"
)

// ErrUnreadable is the error for a stored stamp that is not a date. An unreadable stamp never makes a fact expire.
var ErrUnreadable = errors.New("unreadable timestamp")

// FormatInstant formats a stamp as the node does: in UTC with six digits, rounded down to microseconds. The node compares
// stamps as text, so the length must not vary.
func FormatInstant(t time.Time) string {
	return t.UTC().Format("2006-01-02T15:04:05.000000+00:00")
}

// FormatSecond formats a stamp in whole seconds, rounded down, as the node does for updated_at.
func FormatSecond(t time.Time) string {
	return t.UTC().Format("2006-01-02T15:04:05+00:00")
}

// ParseInstant parses a stored stamp. The node writes one form, but it stores the stamps of callers and federated peers
// unread. So ParseInstant reads the forms of ISO 8601 that they are known to write:
//
//	2026-06-15T12:00:00.123456+00:00   the node; one to any number of fraction digits, '.' or ','
//	2026-06-15T12:00:00Z               also z, t or a blank between date and time, and no seconds
//	2026-06-15T12:00:00+02:00          also +0200, +02 and +02:00:30
//	2026-06-15T12:00:00                no offset: UTC
//	2026-06-15                         the start of that day, UTC
//	20260615T120000Z                   the compact form, with a time only: eight digits alone may be a number
//
// Anything else is ErrUnreadable: surrounding blanks, numbers since the epoch, dates that do not exist, the year 0, a leap
// second. Digits beyond the nanosecond are dropped.
//
// store.FactDialect.Canonical must accept only stamps that ParseInstant reads as the instant by which their text sorts.
func ParseInstant(s string) (time.Time, error) {
	p := stampReader{rest: s}
	year := p.digits(4)
	compact := !p.accept('-')
	month := p.digits(2)
	if !compact {
		p.expect('-')
	}
	day := p.digits(2)
	if p.bad || year < 1 || month < 1 || month > 12 || day < 1 || day > daysIn(year, month) {
		return time.Time{}, ErrUnreadable
	}
	if p.rest == "" && !compact {
		return time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC), nil
	}
	if !p.accept('T') && !p.accept('t') && !p.accept(' ') {
		return time.Time{}, ErrUnreadable
	}
	hour, minute, second, nanos := p.clock(compact)
	offset := p.offset()
	if p.bad || p.rest != "" {
		return time.Time{}, ErrUnreadable
	}
	t := time.Date(year, time.Month(month), day, hour, minute, second, nanos, time.UTC)
	return t.Add(-offset), nil
}

// stampReader parses a stamp from the left. The first character that does not fit sets bad. After that every method
// returns zero, so that callers check once.
type stampReader struct {
	rest string
	bad  bool
}

func (p *stampReader) accept(c byte) bool {
	if p.rest == "" || p.rest[0] != c {
		return false
	}
	p.rest = p.rest[1:]
	return true
}

func (p *stampReader) expect(c byte) {
	if !p.accept(c) {
		p.bad = true
	}
}

// startsWithDigit tells whether an ASCII digit comes next. Other digits of Unicode do not count.
func (p *stampReader) startsWithDigit() bool {
	return p.rest != "" && p.rest[0] >= '0' && p.rest[0] <= '9'
}

func (p *stampReader) digits(n int) int {
	value := 0
	for range n {
		if !p.startsWithDigit() {
			p.bad = true
			return 0
		}
		value = value*10 + int(p.rest[0]-'0')
		p.rest = p.rest[1:]
	}
	return value
}

// clock reads HH:MM[:SS[.fraction]], or HHMM[SS[.fraction]] in the compact form.
func (p *stampReader) clock(compact bool) (hour, minute, second, nanos int) {
	hour = p.digits(2)
	if !compact {
		p.expect(':')
	}
	minute = p.digits(2)
	if compact && p.startsWithDigit() || !compact && p.accept(':') {
		second = p.digits(2)
		if p.accept('.') || p.accept(',') {
			nanos = p.fraction()
		}
	}
	if hour > 23 || minute > 59 || second > 59 {
		p.bad = true
	}
	return hour, minute, second, nanos
}

func (p *stampReader) fraction() int {
	if !p.startsWithDigit() {
		p.bad = true
		return 0
	}
	nanos := 0
	for unit := 100_000_000; p.startsWithDigit(); unit /= 10 {
		nanos += int(p.rest[0]-'0') * unit
		p.rest = p.rest[1:]
	}
	return nanos
}

// offset reads Z, nothing (UTC), or ±HH[[:]MM[[:]SS]], less than a day either way.
func (p *stampReader) offset() time.Duration {
	if p.rest == "" || p.accept('Z') || p.accept('z') {
		return 0
	}
	sign := time.Duration(1)
	if p.accept('-') {
		sign = -1
	} else {
		p.expect('+')
	}
	var parts [3]int // hours, minutes, seconds
	parts[0] = p.digits(2)
	for i := 1; i < len(parts) && !p.bad && p.rest != ""; i++ {
		p.accept(':')
		parts[i] = p.digits(2)
	}
	if parts[0] > 23 || parts[1] > 59 || parts[2] > 59 {
		p.bad = true
	}
	return sign * (time.Duration(parts[0])*time.Hour +
		time.Duration(parts[1])*time.Minute + time.Duration(parts[2])*time.Second)
}

func daysIn(year, month int) int {
	switch month {
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	default:
		return 31
	}
}
