package sample

import (
	"time"

	"decayctl/internal/fact"
)

const day = 24 * time.Hour

// form is a form of a stamp.
type form struct {
	layout string
	zone   *time.Location
}

var (
	berlin  = time.FixedZone("", 2*60*60)
	chicago = time.FixedZone("", -5*60*60)

	// peerForms are forms of timestamps of peers, other than the node's own.
	peerForms = []form{
		{"2006-01-02T15:04:05Z", time.UTC},
		{"2006-01-02T15:04:05.000Z", time.UTC},
		{"2006-01-02T15:04:05.000000-07:00", berlin},
		{"2006-01-02T15:04:05-07:00", chicago},
		{"2006-01-02T15:04:05.000000", time.UTC},
		{"2006-01-02 15:04:05", time.UTC},
		{"2006-01-02", time.UTC},
		{"2006-01-02T15:04:05+00:00", time.UTC},
		{"20060102T150405Z", time.UTC},
		{"2006-01-02t15:04:05z", time.UTC},
	}
	// callerForms are forms of expiries of callers. The node stores an expiry unread.
	callerForms = []form{
		{"2006-01-02T15:04:05Z", time.UTC},
		{"2006-01-02T15:04:05Z", time.UTC},
		{"2006-01-02T15:04:05.000Z", time.UTC},
		{"2006-01-02T15:04:05.000000+00:00", time.UTC},
		{"2006-01-02T15:04:05.000000+00:00", time.UTC},
		{"2006-01-02T15:04:05-07:00", berlin},
		{"2006-01-02T15:04:05", time.UTC},
		{"2006-01-02", time.UTC},
	}

	// nodeForm is how the node itself writes a stamp.
	nodeForm = []form{{"2006-01-02T15:04:05.000000+00:00", time.UTC}}

	unreadableStamps   = []string{"not a date", "1718000000", "1718000000000", "2025-02-30T10:00:00Z", "", "yesterday"}
	unreadableExpiries = []string{"", "tomorrow", "4102444800", "never", "2026-13-01", "in 3 days"}
)

func (f form) format(t time.Time) string { return t.In(f.zone).Format(f.layout) }

// stamped gives a fact its timestamp. Facts come in the order of timestamps, as in a store that grew. Only peers send other
// forms than the node's. Rare kinds are chosen by the fact's number, so that a few thousand facts have all of them.
func (g *generator) stamped(d *draft) {
	d.at = g.start.Add(time.Duration(d.k)*g.step + g.upTo(g.step)).Truncate(time.Microsecond)
	peer := true
	switch {
	case !g.mix.odd:
		d.stamp = fact.FormatInstant(d.at)
		peer = g.chance(0.07)
	case d.k%1009 == 500:
		d.stamp = pick(g, unreadableStamps)
	case d.k%499 == 250: // a clock that runs ahead
		d.at = g.o.AsOf.Add(time.Minute + g.upTo(20*day)).Truncate(time.Microsecond)
		d.stamp = fact.FormatInstant(d.at)
	case d.k%5003 == 4000: // never grows old
		d.at = time.Date(2999, 1, 1, 0, 0, 0, 0, time.UTC)
		d.stamp = fact.FormatInstant(d.at)
	case d.k%1501 == 750: // exactly as old as a common ttl
		d.at = g.o.AsOf.Add(-90 * day)
		d.stamp = fact.FormatInstant(d.at)
	case g.chance(0.01):
		d.stamp = pick(g, peerForms).format(d.at)
	default:
		d.stamp = fact.FormatInstant(d.at)
		peer = g.chance(0.07)
	}
	if peer {
		d.peer = pick(g, peers)
	}
}

// expiring gives some facts an expiry, before or after AsOf with the same likelihood.
func (g *generator) expiring(d *draft) {
	forms := callerForms
	if !g.mix.odd {
		forms = nodeForm
	}
	switch {
	case g.mix.odd && d.k%701 == 350:
		d.validUntil = pick(g, unreadableExpiries)
	case g.mix.odd && d.k%1501 == 751:
		d.until = g.o.AsOf
		d.validUntil = fact.FormatInstant(d.until)
	case g.chance(0.1):
		d.until = g.toCome(d.at.Add(g.upTo(2*max(0, g.o.AsOf.Sub(d.at)) + 10*day)))
		d.validUntil = pick(g, forms).format(d.until)
	}
}

// toCome moves an expiry after AsOf far into the future, unless NearExpiries is set. A sweep leaves alone facts that have
// expired by the clock, so that its result would depend on the day.
func (g *generator) toCome(until time.Time) time.Time {
	if !g.o.NearExpiries && until.After(g.o.AsOf) {
		return until.AddDate(1000, 0, 0)
	}
	return until
}

// afterwards is a time up to three days after a fact, but not after AsOf.
func (g *generator) afterwards(d *draft) time.Time {
	room := min(3*day, g.o.AsOf.Sub(d.at))
	if room <= 0 {
		return d.at
	}
	return d.at.Add(g.upTo(room))
}
