package main

import (
	"slices"
	"time"

	"decayctl/internal/fact"
)

// The stores, as in -stores.
const (
	sqliteStore   = "sqlite"
	postgresStore = "postgres"
)

var storeNames = []string{sqliteStore, postgresStore}

// The cases, as in -cases.
const (
	dryRunCase    = "dry-run"   // nothing is written
	firstCase     = "first"     // the first sweep, which expires most facts
	nothingCase   = "nothing"   // the same sweep again, which finds nothing to do
	nightlyCase   = "nightly"   // a sweep nightAfter later, when 0.3 % more facts are stale
	undoCase      = "undo"      // the undo of the first sweep
	neighbourCase = "neighbour" // the first sweep at the default pace, beside a writer
	nodeCase      = "node"      // the same for the tenant default, beside a node and its clients; SQLite only
)

var caseNames = []string{dryRunCase, firstCase, nothingCase, nightlyCase, undoCase, neighbourCase, nodeCase}

// The contestants, as in -contestants.
const (
	decayctl     = "decayctl"
	before       = "before"           // the decayctl of -against
	decayctlTwo  = "decayctl-2"       // two workers; PostgreSQL only
	decayctlNoFK = "decayctl-2-no-fk" // two workers with --no-fk-checks; PostgreSQL only
	nodeMethod   = "row-by-row"
	script       = "script"
	ownSweep     = "own-sweep" // the node's own sweep, in the case node
	noSweep      = "nobody"    // the writer or the clients alone
)

var contestantNames = []string{decayctl, before, decayctlTwo, decayctlNoFK, nodeMethod, script, ownSweep, noSweep}

// takesPart tells whether a contestant can be measured in a case on a store.
func takesPart(contestant, store, of string) bool {
	if of == nodeCase {
		return store == sqliteStore && slices.Contains([]string{decayctl, before, ownSweep, noSweep}, contestant)
	}
	switch contestant {
	case decayctlTwo, decayctlNoFK:
		return store == postgresStore && slices.Contains([]string{firstCase, neighbourCase}, of)
	case nodeMethod:
		return of != dryRunCase && of != undoCase
	case script:
		return of != undoCase
	case ownSweep:
		return false
	case noSweep:
		return of == neighbourCase
	default:
		return true
	}
}

// The rules of every sweep, and the seed of the sample.
const (
	ttl        = 90 * 24 * time.Hour
	ttlText    = "90d"
	floor      = "0.4"
	seed       = 1
	nightAfter = 44 * time.Hour // 0.3 % of the facts pass the ttl meanwhile
)

// asOf is the instant of the first sweep. The store is a year old by then.
var asOf = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// instants are the instants of a sweep, as the stores write them.
type instants struct{ asOf, cutoff, stamp string }

func instantsOf(at time.Time) instants {
	return instants{fact.FormatInstant(at), fact.FormatInstant(at.Add(-ttl)), fact.FormatSecond(at)}
}

// instantOf is the as-of of a case's sweep.
func instantOf(of string) time.Time {
	if of == nightlyCase {
		return asOf.Add(nightAfter)
	}
	return asOf
}
