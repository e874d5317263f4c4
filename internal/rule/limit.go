package rule

import (
	"errors"
	"strconv"
	"strings"
)

// Limit is the most that a sweep may expire: a share of the facts live at as-of in its scope and
// tenant where Percent is above 0, else a number of facts.
type Limit struct {
	Facts   int64
	Percent float64 // to 100
}

// ParseLimit reads a number of facts or a percentage of them.
func ParseLimit(text string) (*Limit, error) {
	if number, ok := strings.CutSuffix(text, "%"); ok {
		percent, err := strconv.ParseFloat(number, 64)
		if err != nil || strings.Trim(number, "0123456789.") != "" || percent > 100 {
			return nil, errors.New("write a percentage from 0% to 100%, as in 5%")
		}
		return &Limit{Percent: percent}, nil
	}
	facts, err := strconv.ParseInt(text, 10, 64)
	if err != nil || facts < 0 {
		return nil, errors.New("write a number of facts, or a percentage of them as in 5%")
	}
	return &Limit{Facts: facts}, nil
}

// String writes the limit as ParseLimit reads it.
func (l Limit) String() string {
	if l.Percent > 0 {
		return strconv.FormatFloat(l.Percent, 'f', -1, 64) + "%"
	}
	return strconv.FormatInt(l.Facts, 10)
}

// Exceeded tells whether selected facts of live ones are more than the limit allows.
func (l Limit) Exceeded(selected, live int64) bool {
	if l.Percent > 0 {
		return float64(selected)*100 > l.Percent*float64(live)
	}
	return selected > l.Facts
}
