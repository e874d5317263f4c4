package sweep

import (
	"fmt"
	"strconv"

	"decayctl/internal/rule"
)

// Limit is how many facts a sweep may expire: a number, or a share of the facts live at as-of in
// the sweep's scope and tenant.
type Limit struct {
	Facts   int64   // where Percent is 0
	Percent float64 // above 0 to 100
}

// String writes the limit as its flag takes it.
func (l Limit) String() string {
	if l.Percent > 0 {
		return strconv.FormatFloat(l.Percent, 'f', -1, 64) + "%"
	}
	return strconv.FormatInt(l.Facts, 10)
}

// Refused is a sweep that a guard stopped before the first write.
type Refused struct{ Text string }

func (r *Refused) Error() string { return r.Text }

func (l Limit) check(selected, live int64) error {
	switch {
	case l.Percent > 0 && float64(selected)*100 > l.Percent*float64(live):
		return &Refused{fmt.Sprintf("refused by --max-expire %s: the rules select %d of %d live facts (%.1f%%); look at a dry run, then raise the limit if that is right",
			l, selected, live, float64(selected)*100/float64(live))}
	case l.Percent == 0 && selected > l.Facts:
		return &Refused{fmt.Sprintf("refused by --max-expire %s: the rules select %d facts; look at a dry run, then raise the limit if that is right", l, selected)}
	}
	return nil
}

// Everything says why a sweep would expire nearly all it can reach, or "" if it would not. Such a
// sweep is asked about first.
func Everything(rules rule.Set, scope string) string {
	switch {
	case scope != "":
		return ""
	case rules.TTL != nil && *rules.TTL == 0:
		return "ttl 0 expires every fact that has no expiry of its own, in every scope"
	case rules.Floor != nil && *rules.Floor >= 1:
		return "min-confidence 1 expires every fact that is not fully certain, in every scope"
	}
	return ""
}
