package store

import (
	"context"
	"slices"
	"time"

	"decayctl/internal/fact"
)

// Doctor examines a store for the operator.
type Doctor interface {
	// Diagnose reads all facts once and writes nothing.
	Diagnose(ctx context.Context) (Diagnosis, error)
}

// Diagnosis is the result of Diagnose.
type Diagnosis struct {
	Server     string // kind and version of the database
	Migration  string // the node's newest
	OwnVersion int64  // of decayctl's own tables; 0 if there are none, below 0 if the role may not read them
	OwnBroken  bool   // jobs can be neither read nor started; the store's notes say why

	Role              string   // of the connection; "" if the database has no roles
	HeldPrivileges    []string // of those that a sweep, an undo and a removal of jobs need, such as "UPDATE on public.jobs"
	MissingPrivileges []string // of the same

	MissingIndexes []MissingIndex // without which sweeps are slower
	Cluster        *Cluster       // nil if the tables are on one server

	// Triggers are the triggers and rules on the tables that an undo reads, such as "touch on entity_edges". Most are
	// harmless: each batch checks whether they change what an undo compares.
	Triggers []string

	FirstSweep *WriteCost // if all facts without an override expire; nil if these are few, or the cost is not known

	KeyChecks *KeyChecks // nil if the database checks no foreign keys that a batch could skip

	Clock         *time.Duration // how far the database's clock is ahead of this host's; nil if they are the same
	Facts         int64          // an estimate
	Tenants       []TenantFacts  // with the most facts, at most MaxTenants
	OtherTenants  int64          // tenants that are not in Tenants
	Stamps        Stamps
	BeforeImages  int64   // rows kept for undos
	BeforeImageMB float64 // size of these rows in MiB
}

// Cluster is a store whose tables are distributed over several servers.
type Cluster struct {
	Workers   int         // servers that hold shards
	Misplaced []Misplaced // tables that are not where a sweep needs them: it is refused

	Unfinished int  // transactions that a node has prepared, and neither committed nor rolled back after a second
	Maintained bool // the daemon runs that finishes such transactions
}

// HidesJobs tells whether jobs may not be readable because their tables are misplaced. c may be nil.
func (c *Cluster) HidesJobs() bool {
	return c != nil && slices.ContainsFunc(c.Misplaced, func(m Misplaced) bool {
		return m.Table == "jobs" || slices.Contains(OwnTables(), m.Table)
	})
}

// Misplaced is a table that is not where a sweep needs it.
type Misplaced struct {
	Table      string
	Problem    string   // the rest of a sentence that begins with the table's name
	Statements []string // move the table, if those of the tables before it were run
}

// KeyChecks says whether batches could skip foreign keys; see KeyChecked.
type KeyChecks struct {
	Permitted bool   // the role may skip them
	Grant     string // the statement that permits it; "" if it is permitted, or if only a superuser may here

	// Obstacles are the triggers, rules and other keys because of which it is refused, such as "the trigger touch on entity_edges".
	Obstacles []string

	// Orphans are overrides, retractions and embedding states whose fact is gone, as batches without foreign keys may leave
	// them, in the tables that the role may read.
	Orphans int64
}

// TenantFacts is how many facts a tenant has, in any scope and state.
type TenantFacts struct {
	Tenant string // the first TenantChars of the name; hostile text
	Facts  int64
}

// MaxTenants is how many tenants a Diagnosis lists. A store may have a million.
const MaxTenants = 1000

// TenantChars is how many characters of a tenant's name a Diagnosis holds. A name may have megabytes.
const TenantChars = 201

// Stamps counts facts whose timestamp or effective expiry is not in the node's own form.
type Stamps struct {
	OddTimestamps        int64 // in another form that ParseInstant reads
	UnreadableTimestamps int64
	OddExpiries          int64 // in another form that ParseInstant reads
	UnreadableExpiries   int64
}

// CountFacts fills in Tenants, OtherTenants and Stamps.
func (d FactDialect) CountFacts(found *Diagnosis, query Query) error {
	var tenant TenantFacts
	var all int64
	if err := query(`
		SELECT substr(tenant_id, 1, $2), count(*), count(*) OVER () FROM `+d.Table("facts")+`
		GROUP BY tenant_id ORDER BY count(*) DESC, tenant_id`+d.ByteOrder+` LIMIT $1`, []any{MaxTenants, TenantChars}, []any{&tenant.Tenant, &tenant.Facts, &all}, func() error {
		found.Tenants = append(found.Tenants, tenant)
		found.OtherTenants = all - int64(len(found.Tenants))
		return nil
	}); err != nil {
		return err
	}
	until := EffectiveColumns.ValidUntil
	var timestamp string
	var validUntil *string
	return query(`
		SELECT f.timestamp, `+until+`
		FROM `+d.Table("facts")+` f LEFT JOIN `+d.Table("fact_validity_overrides")+` o ON o.fact_id = f.id
		WHERE NOT `+d.CanonicalSQL("f.timestamp")+` OR `+until+` IS NOT NULL AND NOT `+d.CanonicalSQL(until), nil, []any{&timestamp, &validUntil}, func() error {
		found.Stamps.Count(timestamp, validUntil)
		return nil
	})
}

// TenantNames is Facts.TenantNames. It looks up one name behind the other: to list distinct names, a database would read the whole
// index.
func (d FactDialect) TenantNames(from string, most int, query Query) (names []string, err error) {
	var name string
	facts := d.Table("facts")
	err = query(`
		WITH RECURSIVE tenants (name) AS (
			SELECT min(tenant_id) FROM `+facts+` WHERE tenant_id >= $1
			UNION ALL
			SELECT (SELECT min(tenant_id) FROM `+facts+` WHERE tenant_id > tenants.name) FROM tenants WHERE tenants.name IS NOT NULL
		)
		SELECT name FROM tenants WHERE name IS NOT NULL LIMIT $2`, []any{from, most}, []any{&name}, func() error {
		names = append(names, name)
		return nil
	})
	return names, err
}

// Count counts one fact's timestamp and effective expiry, if they are not in the node's own form.
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
