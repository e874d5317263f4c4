// Package store says what a fact store can do for a sweep: hand out key ranges, read the facts in
// them, write a batch. It knows no rule, no clock and no driver; the packages below it hold one
// database each, with the same files and the same order of methods.
package store

import (
	"context"
	"slices"
	"time"

	"decayctl/internal/fact"
	"decayctl/internal/job"
)

// The marks a sweep leaves on what it writes. They are the node's own, so that the node's readers
// and a later undo recognise a decayed fact whoever swept it.
const (
	Reason       = job.Reason
	PolicyReason = job.PolicyReason // and the policy's id behind it
	Actor        = "stigmem:system:decay"
)

// RequiredMigration is the node's migration that made the override table. Older stores have
// nowhere to write an expiry without touching the append-only facts.
const RequiredMigration = "033_immutability_l1_projections"

// NewestMigration is the last node migration this version was written against. A newer one is no
// refusal: the columns in use are checked instead.
const NewestMigration = "058_federation_audit_first_trust_confirm_rejected"

// Store is one fact store, opened for reading or for writing, with its jobs. Its methods may be called from
// several goroutines. Errors are *Error if their kind matters to the caller.
type Store interface {
	Facts
	Jobs
}

// Facts is what each database brings. Package jobtable has Jobs for all of them. What only some databases have are
// interfaces of their own: Replicated and Unlocked.
type Facts interface {
	// Estimate is a cheap guess at the number of facts, for progress and for time estimates. It
	// never counts.
	Estimate(ctx context.Context) (int64, error)

	// NextRange finds the key range of the next facts beyond a cursor, in the store's own id order.
	NextRange(ctx context.Context, p RangeParams) (Range, error)

	// Candidates reads the facts of a range and hands them over in parts, in any order, each with its place in
	// that of ids, leaving out what surely does not concern the rules. It may hand over more than the rules
	// select, never less. Where it fails, some may have been handed over. Unless InOrder is asked for it may fail
	// with TooLong.
	Candidates(ctx context.Context, p CandidatesParams, use func(part []fact.Candidate) error) error

	// Fact reads one fact with all there is to know of it. Errors: *UnknownFact.
	Fact(ctx context.Context, id string) (fact.Candidate, error)

	// Groups hands over the facts of groups in any order, each with its override but for confidence and
	// reason, and without the rest of its context. It looks every group up, and scans and sorts nothing: a
	// group may be the whole store.
	Groups(ctx context.Context, groups []Group, use func(fact.Candidate)) error

	// ScanAll reads what Candidates would read of all ranges, in any order, and hands it over in parts, each with
	// the number of facts that it is known to stand for. seen is the range that the whole store is. Each fact is
	// read as it was at one moment. Where the store cannot be read so, whole is false and nothing was read.
	ScanAll(ctx context.Context, p CandidatesParams, use func(found []fact.Candidate, covered int) error) (seen Range, whole bool, err error)

	// Apply writes one batch in one transaction: all of it with the claim moved on and the job's counts,
	// or nothing and an error. Facts whose expiry has passed by Now are left alone. It fails with *job.Lost where the claim is not the worker's any more,
	// its lease has ended, or the job is not running.
	Apply(ctx context.Context, b Batch) (Applied, error)

	// Changes reads what a job did to the facts of a key range, in id order. Only the rows that are
	// still what the job wrote tell of it.
	Changes(ctx context.Context, p ChangesParams) (Changes, error)

	// Restore undoes changes in one transaction, each of them only if the override still is what
	// Changes read, and moves the job's place in the undo.
	Restore(ctx context.Context, p RestoreParams) (Restored, error)

	Doctor

	// Now is the clock that expiries are compared with when they are written: the server's on PostgreSQL, which
	// all hosts share, and this host's on SQLite.
	Now(ctx context.Context) (time.Time, error)

	// OtherTenants counts the facts that a sweep of one tenant leaves alone. The cost grows with those facts,
	// not with the facts of the tenant itself, if tenant_id is indexed.
	OtherTenants(ctx context.Context, tenant string) (OtherTenants, error)

	// Tuning is what suits this kind of store.
	Tuning() Tuning

	// Notes are things the operator should know about this store, one sentence each: what a sweep
	// cannot do here, or what it does not know.
	Notes() []string

	Close() error
}

// Replicated is a store with replicas that a sweep may have to wait for.
type Replicated interface {
	// Lag is how far the slowest replica is behind. It is zero if there is none, or if the role may not see them.
	Lag(ctx context.Context) (Lag, error)
}

// LagOf is how far the slowest replica of a store is behind.
func LagOf(ctx context.Context, s Store) (Lag, error) {
	if replicated, ok := s.(Replicated); ok {
		return replicated.Lag(ctx)
	}
	return Lag{}, nil
}

// Unlocked is a store that may be read without locks.
type Unlocked interface {
	// Unchanged tells whether everything read so far came from an unchanging store. If not, the store has
	// been reopened with locks, and the caller reads again from the start.
	Unchanged(ctx context.Context) (bool, error)
}

// Unchanged tells whether everything read so far came from an unchanging store; see Unlocked. It is true if the store
// is read with locks, or in snapshots.
func Unchanged(ctx context.Context, s Store) (bool, error) {
	if unlocked, ok := s.(Unlocked); ok {
		return unlocked.Unchanged(ctx)
	}
	return true, nil
}

// OpenParams are the ways to open a store, common to all kinds.
type OpenParams struct {
	ReadOnly    bool          // nothing is written, not even beside the store
	LockTimeout time.Duration // how long to wait for a lock that another process holds; 0 is not at all
	Now         func() time.Time
	Workers     int // how many will write at once, PostgreSQL only; 0 is one
}

// OtherTenants is what a store holds beside the facts of one tenant.
type OtherTenants struct {
	Known   bool  // the tenant itself has a fact, in whatever scope and state
	Tenants int64 // the others that have facts
	Facts   int64 // their facts, in whatever scope and state
}

// Lag is how far a replica is behind.
type Lag struct {
	Replica string // as it calls itself; hostile text
	Behind  time.Duration
}

// Group is the facts that say the same of the same thing: keep_last counts within it.
type Group struct{ Entity, Relation, Scope, Tenant string }

// GroupOf is the group that a fact belongs to.
func GroupOf(c *fact.Candidate) Group { return Group{c.Entity, c.Relation, c.Scope, c.Tenant} }

// Text is the length in bytes of what names the group.
func (g Group) Text() int { return len(g.Entity) + len(g.Relation) + len(g.Scope) + len(g.Tenant) }

// Tuning is how a kind of store likes its work cut.
type Tuning struct {
	RangeSize    int           // facts to read at once: large, since reading takes no lock
	LargestRange int           // facts to read at once where they are written within seconds; 0 is RangeSize
	BatchSize    int           // facts to write in the first transaction; later ones follow Target
	Target       time.Duration // how long a transaction should hold its locks, at most
	RowLocks     bool          // other processes may keep single rows locked: a smaller batch may do without them

	ReadersDontBlockWriters bool   // what is being read keeps no process from writing
	SingleWorkerReason      string // why only one worker at a time helps a job; "" if more do
}

// Cursor is a place in the id order: after the fact with this id. The zero Cursor is before the
// first fact. Ids are compared by the store alone, never in Go.
type Cursor struct {
	ID  string
	Set bool
}

// After is the cursor just behind a fact.
func After(id string) Cursor { return Cursor{ID: id, Set: true} }

// RangeParams asks for the next range.
type RangeParams struct {
	After Cursor
	Size  int // facts in the range, at most; 1 or more
}

// Range is the facts with After < id <= Last.
type Range struct {
	After Cursor
	Last  Cursor // not set where no fact is left
	Facts int    // facts in the range, whatever their scope, tenant or state

	// The only facts of the range that are meant, in id order; nil is all of them.
	IDs []string
}

// UpTo is the part of a range up to a cursor that is a fact of it.
func (r Range) UpTo(at Cursor) Range {
	if i := slices.Index(r.IDs, at.ID); i >= 0 {
		r.IDs = r.IDs[:i+1]
	}
	r.Last = at
	return r
}

// Beyond is the part of a range behind a cursor that is a fact of it, or the place where it begins.
func (r Range) Beyond(at Cursor) Range {
	if i := slices.Index(r.IDs, at.ID); i >= 0 && at.Set {
		r.IDs = r.IDs[i+1:]
	}
	r.After = at
	return r
}

// End tells whether the range is behind the last fact.
func (r Range) End() bool { return !r.Last.Set }

// CandidatesParams asks for the facts of a range. The prefilter is an optimisation that must never
// lose a fact: a store leaves out only what the fields below say is surely not concerned.
type CandidatesParams struct {
	Range     Range
	Scope     string // "" is every scope
	Tenant    string // "" is every tenant
	AsOf      time.Time
	Source    bool // read who asserted each fact too
	Prefilter Prefilter

	InOrder bool // parts come in the order of ids, each with at most MaxPartText bytes before its last fact
}

// MaxPartText is how many bytes of text are read at once, unless one fact alone has more.
const MaxPartText = 4 << 20
