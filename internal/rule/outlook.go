package rule

import (
	"math"
	"sort"
	"time"

	"decayctl/internal/fact"
)

// Outlook is when the fact will change if sweeps go on with the same rules, and no other process changes it.
type Outlook struct {
	Expires time.Time // by age; zero is never
	By      string    // name of the rule by which it expires
	Fades   []Ahead   // confidences on some later days; empty if it does not fade
	Crosses time.Time // when the fading confidence gets below the floor; zero is never
}

// Ahead is a confidence some days after as-of.
type Ahead struct {
	Days       int
	Confidence float64
}

// Change is what becomes of a fact on a day to come.
type Change struct {
	Day    int    // 0 is at as-of, 1 within the next 24 hours, and so on
	Action Action // Expire, Retract or Reduce
	Rule   string // the rule that does it; "" is the fact's own expiry
}

// Forecast adds to changes what becomes of a fact if a sweep by these rules runs at as-of and once a day for so many days,
// and no other process writes: in the order of days, and what ends the fact last. A fact that has ended by now has none.
// Whether keep_last protects the fact is told by its Newest, today and on all days.
func (j *Judge) Forecast(c *fact.Candidate, days int, changes []Change) []Change {
	r := parsed{Candidate: c}
	r.parseExpiry()
	if r.expiredBy(j.now) {
		return changes
	}
	last, end := days, Change{}
	if r.hasUntil && r.untilReadable {
		if at := j.dayOf(r.end); at <= days {
			last, end = at-1, Change{Day: at, Action: Expire}
		}
	}
	if p, acts := j.acting(&r); acts {
		if by, ends := j.ending(&r, p, last); ends && !p.keeps(c) {
			last, end = by.Day-1, by
		}
		changes = j.fadings(&r, p, last, changes)
	}
	if end.Action != Ignore {
		changes = append(changes, end)
	}
	return changes
}

// NeedsRank tells whether Forecast turns on the fact's Newest.
func (j *Judge) NeedsRank(c *fact.Candidate, days int) bool {
	if len(j.compiled) == 0 {
		return false
	}
	r := parsed{Candidate: c}
	r.parseExpiry()
	p, acts := j.acting(&r)
	if !acts || p == nil || p.KeepLast == 0 || r.expiredBy(j.now) {
		return false
	}
	_, ends := j.ending(&r, p, days)
	return ends
}

// keeps tells whether keep_last of a policy keeps a fact from ending.
func (p *compiled) keeps(c *fact.Candidate) bool { return p != nil && p.KeepLast > 0 && c.Newest }

// acting is the policy that decides on a live fact, or nil for ttl. acts is false if a protection holds, whatever selects
// the fact, or if rules that act do not concern it.
func (j *Judge) acting(r *parsed) (p *compiled, acts bool) {
	if len(j.compiled) > 0 {
		p, _ = j.policies(r.Candidate)
	}
	exempt := p != nil && p.exempts(r.Relation)
	chosen := j.set.Only == "" || p != nil && p.ID == j.set.Only
	return p, chosen && !exempt && protected(r.Candidate) == "" && (!r.hasUntil || r.untilReadable)
}

// ending is how a rule ends a fact by a day, unless keep_last protects the fact.
func (j *Judge) ending(r *parsed, p *compiled, last int) (end Change, ends bool) {
	if at, by, ages := j.aging(r, p); ages {
		if aged := j.dayOf(at); aged <= last {
			end, ends, last = Change{aged, Expire, by}, true, aged-1
			if p != nil && p.Mode == ModeRetract {
				end.Action = Retract
			}
		}
	}
	if fallen, falls := j.falling(r, p, last); falls {
		return Change{fallen, Expire, NameFloor}, true
	}
	return end, ends
}

const day = 24 * time.Hour

// dayOf is the day of an instant: 0 by as-of, 1 in the 24 hours after it.
func (j *Judge) dayOf(at time.Time) int {
	after := at.Sub(j.asOf) // cut at 292 years
	if after <= 0 {
		return 0
	}
	return int((after-1)/day) + 1
}

// aging is when a fact reaches its ttl, and the rule that it then expires by.
func (j *Judge) aging(r *parsed, p *compiled) (at time.Time, by string, ages bool) {
	ttl, by := j.set.TTL, NameTTL
	if p != nil {
		ttl, by = p.TTL, p.rules[1][0]
	}
	if ttl == nil || !r.noExpiry() {
		return at, "", false
	}
	stamp, dated := r.timestamp()
	if !dated {
		return at, "", false
	}
	at, ages = addSeconds(stamp, float64(*ttl))
	return at, by, ages
}

// falling is the first day, by the last one, on which a fact's confidence is below the floor.
func (j *Judge) falling(r *parsed, p *compiled, last int) (fallen int, falls bool) {
	if j.set.Floor == nil || last < 0 {
		return 0, false
	}
	selects := func(day int) bool { return j.set.Floor.selects(r.confidenceAt(p, j.day(day))) }
	if selects(0) {
		return 0, true
	}
	stamp, fades := r.fades(p)
	if !fades || roundUp(p.MinConfidence) >= float64(*j.set.Floor) {
		return 0, false
	}
	guess := j.dayOf(p.halved(r.Confidence, stamp, float64(*j.set.Floor)))
	return earliest(1, last, guess, selects)
}

// fadings adds the days by the last one on which sweeps lower a fact's confidence.
func (j *Judge) fadings(r *parsed, p *compiled, last int, changes []Change) []Change {
	stamp, fades := r.fades(p)
	if !fades {
		return changes
	}
	effective := r.EffectiveConfidence()
	least := min(effective, max(roundUp(p.MinConfidence), minFaded))
	for from := 0; from <= last && p.exceedsMinStep(effective, least); from++ {
		faded := func(n int) float64 { return p.faded(r.Confidence, effective, stamp, j.day(n)) }
		guess := j.dayOf(p.halved(r.Confidence, stamp, effective-p.MinStep))
		on, fades := earliest(from, last, guess, func(n int) bool { return p.exceedsMinStep(effective, faded(n)) })
		if !fades {
			break
		}
		changes = append(changes, Change{on, Reduce, p.rules[1][0]})
		effective, from = faded(on), on
	}
	return changes
}

func (j *Judge) day(n int) time.Time { return j.asOf.Add(time.Duration(n) * day) }

// fades is the stamp of a fact that a policy lets fade.
func (r *parsed) fades(p *compiled) (stamp time.Time, fades bool) {
	if p == nil || !p.fades() || !(r.Confidence > 0) {
		return stamp, false
	}
	return r.timestamp()
}

// confidenceAt is the confidence by which the floor judges a fact at an instant.
func (r *parsed) confidenceAt(p *compiled, at time.Time) float64 {
	effective := r.EffectiveConfidence()
	if stamp, fades := r.fades(p); fades {
		return p.faded(r.Confidence, effective, stamp, at)
	}
	return effective
}

// halved is about when a half-life has left so much of a base confidence; the end of the calendar if it never does.
func (p *Policy) halved(base float64, stamp time.Time, left float64) time.Time {
	if at, within := addSeconds(stamp, max(0, math.Log2(base/left))*float64(p.HalfLife)); within {
		return at
	}
	return time.Unix(endOfTime, 0)
}

const endOfTime = 253402300799 // 9999-12-31, in seconds since 1970

// addSeconds adds seconds, rounded up to a whole number. It is false if the result is after the year 9999.
func addSeconds(t time.Time, seconds float64) (time.Time, bool) {
	if !(float64(t.Unix())+seconds < endOfTime) {
		return time.Time{}, false
	}
	return time.Unix(t.Unix()+int64(math.Ceil(seconds)), int64(t.Nanosecond())).UTC(), true
}

// earliest is the first number from one to another for which something holds that also holds for all later ones. It asks
// around a guess: rounding moves what halved says by a little.
func earliest(from, to, guess int, holds func(int) bool) (n int, found bool) {
	if from > to {
		return 0, false
	}
	below, n, step := from-1, max(from, min(guess, to)), 1
	for !holds(n) {
		if n == to {
			return 0, false
		}
		below, n, step = n, min(to, n+step), 2*step
	}
	for step = 1; n-below > 1; step *= 2 {
		at := max(below+1, n-step)
		if !holds(at) {
			return at + 1 + sort.Search(n-at-1, func(i int) bool { return holds(at + 1 + i) }), true
		}
		n = at
	}
	return n, true
}

// outlook looks ahead for a live fact that rules may change.
func (j *Judge) outlook(r *parsed, p *compiled) (o Outlook) {
	stamp, dated := r.timestamp()
	if !dated {
		return o
	}
	if at, by, ages := j.aging(r, p); ages && !p.keeps(r.Candidate) {
		o.Expires, o.By = at, by
	}
	if p == nil || !p.fades() {
		return o
	}
	for _, days := range []int{0, 7, 30, 90} {
		o.Fades = append(o.Fades, Ahead{days, r.confidenceAt(p, j.day(days))})
	}
	if j.set.Floor == nil || !(r.EffectiveConfidence() > 0) {
		return o
	}
	o.Crosses, _ = p.crossing(r.Confidence, r.EffectiveConfidence(), stamp, *j.set.Floor)
	// The confidence of an override may be below the floor long before the fact's own confidence fades to it.
	if j.set.Floor.selects(o.Fades[0].Confidence) && (o.Crosses.IsZero() || !o.Crosses.Before(j.asOf)) {
		o.Crosses = j.asOf
	}
	return o
}

// crossing is the first whole second after a stamp at which a policy has left less than a floor of a base confidence.
// false: it never does, or not within the calendar.
func (p *Policy) crossing(base, effective float64, stamp time.Time, floor Floor) (at time.Time, crosses bool) {
	if !(base > 0) || roundUp(p.MinConfidence) >= float64(floor) {
		return at, false
	}
	to := int(endOfTime - 1 - stamp.Unix())
	guess := int(p.halved(base, stamp, float64(floor)).Unix() - stamp.Unix())
	later := func(seconds int) time.Time {
		return time.Unix(stamp.Unix()+int64(seconds), int64(stamp.Nanosecond())).UTC()
	}
	effective = max(base, effective) // which fades from the stamp on, also to a base below the floor
	seconds, crosses := earliest(0, to, guess, func(n int) bool { return floor.selects(p.faded(base, effective, stamp, later(n))) })
	if !crosses {
		return at, false
	}
	return later(seconds), true
}
