package store

import (
	"context"
	"time"

	"decayctl/internal/fact"
)

// Doctor looks a store over for an operator.
type Doctor interface {
	// Diagnose reads the store once, and writes nothing.
	Diagnose(ctx context.Context) (Diagnosis, error)
}

// Diagnosis is what was found.
type Diagnosis struct {
	Server    string // kind and version of the database
	Migration string // the newest of the node's
	Own       int64  // version of decayctl's own tables; 0 where there are none, below 0 where they cannot be read
	OwnBroken bool   // no job can be read, or made; the store's notes say why

	Role    string   // who asks; "" where the store knows no roles
	Held    []string // what a sweep and an undo need and the role may do, such as "UPDATE on public.jobs"
	Missing []string // and may not

	Indexes []MissingIndex // without which sweeps are slower

	Clock   *time.Duration // how far the database's clock is ahead of this host's; nil where they are one
	Facts   int64          // an estimate
	Stamps  Stamps
	Images  int64 // rows kept for undos
	ImageMB float64
}

// Stamps counts the times in a store that are not in the node's own form.
type Stamps struct {
	OddTimestamps        int64 // another form that can be read
	UnreadableTimestamps int64
	OddExpiries          int64
	UnreadableExpiries   int64
}

// Count looks at one fact's timestamp and effective expiry, of which one at least is not in the node's
// own form.
func (s *Stamps) Count(timestamp string, until *string) {
	count := func(text string, odd, unreadable *int64) {
		t, err := fact.ParseInstant(text)
		switch {
		case err != nil:
			*unreadable++
		case text != fact.FormatInstant(t) && text != fact.FormatSecond(t):
			*odd++
		}
	}
	count(timestamp, &s.OddTimestamps, &s.UnreadableTimestamps)
	if until != nil {
		count(*until, &s.OddExpiries, &s.UnreadableExpiries)
	}
}
