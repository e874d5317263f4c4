// Package store says what a fact store can do for a sweep: hand out ranges of ids, read their facts, write a batch.
// It has no clock and no driver. Packages sqlite and postgres hold one database each. A method has the same file and
// the same place in both.
package store

import (
	"context"
	"slices"
	"time"

	"decayctl/internal/fact"
	"decayctl/internal/job"
)

// The marks that a sweep leaves on the rows that it writes. The node's own sweep leaves the same, so that the node's
// readers treat facts alike, whichever program expired them.
const (
	Reason       = job.Reason       // reason of an override
	PolicyReason = job.PolicyReason // reason of an override that a policy wrote: this, then the policy's id
	Actor        = "stigmem:system:decay"
)

// RequiredMigration is the node's migration that made the override table. An older store has no place for an expiry,
// since rows of facts are append-only.
const RequiredMigration = "033_immutability_l1_projections"

// NewestMigration is the last migration of the node that this version was written against. A store with a newer one
// is not refused: CheckSchema checks the columns that decayctl uses.
const NewestMigration = "058_federation_audit_first_trust_confirm_rejected"

// Store is one fact store with its jobs, opened for reading or for writing. Several goroutines may call its methods
// at once. An error whose kind matters to the caller is an *Error.
type Store interface {
	Facts
	Jobs
}

// Facts is the part of a Store that each database brings. Package jobtable brings Jobs for all databases. Replicated,
// KeyChecked and Unlocked are for what only one database has.
type Facts interface {
	// Estimate guesses the number of facts in the store, for progress and for time estimates. It reads statistics
	// and counts nothing.
	Estimate(ctx context.Context) (int64, error)

	// NextRange finds the next p.Size facts after a cursor, in the store's order of ids. Range.End tells that there
	// are none.
	NextRange(ctx context.Context, p RangeParams) (Range, error)

	// Candidates reads the facts of a range and hands them over in parts. It leaves out a fact only if no rule can
	// concern the fact; it may hand over facts that no rule selects. Parts come in any order, unless p.InOrder is set.
	// Candidate.Place is a fact's place in the order of ids. Before an error, some parts may have been handed over.
	// Errors: TooLong, unless p.InOrder is set; an error of use ends the reading.
	Candidates(ctx context.Context, p CandidatesParams, use func(part []fact.Candidate) error) error

	// Fact reads one fact with its source, its override and its protections. Errors: *UnknownFact.
	Fact(ctx context.Context, id string) (fact.Candidate, error)

	// Groups hands over all facts of some groups, in any order. Each fact has its override, but not the override's
	// confidence and reason, and no protections. Groups must use an index and neither scan nor sort: a group may be
	// the whole store.
	Groups(ctx context.Context, groups []Group, use func(fact.Candidate)) error

	// ScanAll visits every fact of the store once, in the cheapest order, and hands over what Candidates would. covered
	// also counts facts that the store filtered out. seen is the range of all facts. If whole is false, this store
	// cannot be scanned at once, and nothing was read: the caller reads range by range. Errors: TooLong; an error of
	// use ends the scan.
	ScanAll(ctx context.Context, p CandidatesParams, use func(found []fact.Candidate, covered int) error) (seen Range, whole bool, err error)

	// Apply writes one batch in one transaction, with its claim and the job's counts: all of it, or nothing. It leaves
	// alone each fact that has changed since it was read, is protected by now, or has expired by now. Errors: *job.Lost
	// if the claim belongs to another worker, the lease has ended, or the job is not running; Busy, Contention,
	// Rejected, Irreversible; Uncertain if the outcome of the COMMIT is not known.
	Apply(ctx context.Context, b Batch) (Applied, error)

	// Changes reads what a job did to the facts of the next p.Size overrides, in the order of ids. It leaves out a row
	// that is not what the job wrote any more.
	Changes(ctx context.Context, p ChangesParams) (Changes, error)

	// Restore undoes changes in one transaction and moves the job's place in the undo. It leaves alone a fact whose
	// override is not what Changes read any more. Errors: as Apply, but for Irreversible.
	Restore(ctx context.Context, p RestoreParams) (Restored, error)

	Doctor

	// Now reads the clock by which Apply decides whether a fact has expired. On PostgreSQL this is the server's clock,
	// which all hosts share; on SQLite this host's.
	Now(ctx context.Context) (time.Time, error)

	// OtherTenants counts the facts that a sweep of one tenant leaves alone. If tenant_id is indexed, the cost grows
	// with the number of those facts.
	OtherTenants(ctx context.Context, tenant string) (OtherTenants, error)

	// TenantNames lists tenants that have facts, in the store's own order: the first of them from a name on, at most
	// so many. "" is before every name. The cost grows with the tenants that it lists, if tenant_id is indexed; else with
	// the store too.
	TenantNames(ctx context.Context, from string, most int) ([]string, error)

	// Tuning is the sizes and times that suit this kind of store.
	Tuning() Tuning

	// Notes are what the operator should know about this store, a sentence each: what a sweep cannot do here, or
	// cannot find out.
	Notes() []string

	// Close ends all connections. Work that is under way fails.
	Close() error
}

// Replicated is a store with replicas that a sweep may have to wait for.
type Replicated interface {
	// Lag is how far the slowest replica is behind. It is zero if there is none, or if the role may not see replicas.
	Lag(ctx context.Context) (Lag, error)
}

// LagOf is Lag of a store that has replicas, and zero for every other store.
func LagOf(ctx context.Context, s Store) (Lag, error) {
	if replicated, ok := s.(Replicated); ok {
		return replicated.Lag(ctx)
	}
	return Lag{}, nil
}

// KeyChecked is a store that checks foreign keys row by row while a batch writes, and can leave that out.
type KeyChecked interface {
	// SkipForeignKeys makes Apply and Restore write without checking foreign keys, as long as the store is open. Apply then
	// leaves alone a fact that is gone. Errors: NotPermitted; Refused if more than foreign keys to facts would be affected.
	SkipForeignKeys(ctx context.Context) error
}

// SkipForeignKeys calls KeyChecked.SkipForeignKeys. can is false for a store that cannot.
func SkipForeignKeys(ctx context.Context, s Store) (can bool, err error) {
	checked, can := s.(KeyChecked)
	if can {
		err = checked.SkipForeignKeys(ctx)
	}
	return can, err
}

// Unlocked is a store that may be read without locks.
type Unlocked interface {
	// Unchanged tells whether no process changed the store since it was opened. If one did, the store has been
	// reopened, and the caller has to read everything again.
	Unchanged(ctx context.Context) (bool, error)
}

// Unchanged calls Unlocked.Unchanged. It is true for a store that is read with locks or in snapshots.
func Unchanged(ctx context.Context, s Store) (bool, error) {
	if unlocked, ok := s.(Unlocked); ok {
		return unlocked.Unchanged(ctx)
	}
	return true, nil
}

// OpenParams say how to open a store of any kind.
type OpenParams struct {
	ReadOnly    bool             // write nothing, not even a file next to the database
	LockTimeout time.Duration    // how long to wait for a lock that another process holds; 0 is not at all
	Now         func() time.Time // this host's clock
	Connections int              // database connections at once, at most, PostgreSQL only; 0 is what one worker needs
}

// OtherTenants is what a store holds of tenants other than a given one.
type OtherTenants struct {
	Known   bool  // the given tenant has a fact, in any scope and state
	Tenants int64 // other tenants that have facts
	Facts   int64 // facts of other tenants, in any scope and state
}

// Lag is how far a replica is behind the primary.
type Lag struct {
	Replica string // application_name of the replica; hostile text
	Behind  time.Duration
}

// Group names the facts with the same entity, relation, scope and tenant. keep_last counts within a group.
type Group struct{ Entity, Relation, Scope, Tenant string }

// GroupOf is the group of a fact.
func GroupOf(c *fact.Candidate) Group { return Group{c.Entity, c.Relation, c.Scope, c.Tenant} }

// Text is the length of the group's name in bytes.
func (g Group) Text() int { return len(g.Entity) + len(g.Relation) + len(g.Scope) + len(g.Tenant) }

// Tuning is the sizes and times that suit a kind of store.
type Tuning struct {
	RangeSize    int           // facts to read at once
	LargestRange int           // facts to read at once if they are written within seconds; 0 is RangeSize
	BatchSize    int           // facts to write in the first transaction; Target decides on later ones
	Target       time.Duration // how long a transaction should hold its locks, at most
	RowLocks     bool          // another process may lock single rows, so a smaller batch may succeed

	ReadersDontBlockWriters bool   // another process can write while decayctl reads
	SingleWorkerReason      string // why only one worker at a time helps a job; "" if more do
}

// Cursor is a place in the store's order of ids: after the fact with this id. The zero Cursor is before the first
// fact. Only the database compares ids: its order need not be that of bytes.
type Cursor struct {
	ID  string
	Set bool
}

// After is the cursor after the fact with an id.
func After(id string) Cursor { return Cursor{ID: id, Set: true} }

// RangeParams ask for the next range.
type RangeParams struct {
	After Cursor
	Size  int // facts in the range, at most; 1 or more
}

// Range is the facts with After < id <= Last, or those of IDs.
type Range struct {
	After Cursor
	Last  Cursor // not set if no fact is left
	Facts int    // facts in the range, in any scope, tenant and state

	IDs []string // the facts that the range is limited to, in the order of ids; nil is all facts
}

// UpTo is the part of a range up to a fact of the range.
func (r Range) UpTo(at Cursor) Range {
	if i := slices.Index(r.IDs, at.ID); i >= 0 {
		r.IDs = r.IDs[:i+1]
	}
	r.Last = at
	return r
}

// Beyond is the part of a range after a cursor. The cursor is a fact of the range, or r.After.
func (r Range) Beyond(at Cursor) Range {
	if i := slices.Index(r.IDs, at.ID); i >= 0 && at.Set {
		r.IDs = r.IDs[i+1:]
	}
	r.After = at
	return r
}

// End tells whether the range is empty because no fact is left.
func (r Range) End() bool { return !r.Last.Set }

// CandidatesParams ask for the facts of a range that the rules may select.
type CandidatesParams struct {
	Range     Range
	Scope     string    // "" is every scope
	Tenant    string    // "" is every tenant
	AsOf      time.Time // facts that have expired by then are left out
	Source    bool      // read each fact's source too
	Prefilter Prefilter // which facts the rules may select

	InOrder bool // parts come in the order of ids, each with at most MaxPartText bytes before its last fact
}

// MaxPartText is how many bytes of text are read at once. A single fact may have more.
const MaxPartText = 4 << 20
