package rule

import (
	"errors"
	"strconv"
	"strings"
)

// Limit is how many facts a sweep may expire: a share of the unexpired facts in its scope and tenant if Percent is above 0, else
// a number of facts.
type Limit struct {
	Facts   int64
	Percent float64 // 0 to 100
}

// ParseLimit parses a number of facts, or a percentage such as 5%.
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

// String formats the limit as ParseLimit parses it.
func (l Limit) String() string {
	if l.Percent > 0 {
		return strconv.FormatFloat(l.Percent, 'f', -1, 64) + "%"
	}
	return strconv.FormatInt(l.Facts, 10)
}

// Exceeded tells whether the limit allows less than selected facts of live unexpired ones.
func (l Limit) Exceeded(selected, live int64) bool {
	if l.Percent > 0 {
		return float64(selected)*100 > l.Percent*float64(live)
	}
	return selected > l.Facts
}
