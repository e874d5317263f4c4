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
	Server     string // kind and version of the database
	Migration  string // the newest of the node's
	OwnVersion int64  // version of decayctl's own tables; 0 where there are none, below 0 where they cannot be read
	OwnBroken  bool   // no job can be read, or made; the store's notes say why

	Role              string   // who asks; "" where the store knows no roles
	HeldPrivileges    []string // what a sweep and an undo need and the role may do, such as "UPDATE on public.jobs"
	MissingPrivileges []string // and may not

	MissingIndexes []MissingIndex // without which sweeps are slower

	// Triggers and rules on the tables that an undo reads, such as "touch on entity_edges". Most are harmless: a batch
	// looks whether they change what an undo compares.
	Triggers []string

	Clock         *time.Duration // how far the database's clock is ahead of this host's; nil where they are one
	Facts         int64          // an estimate
	Tenants       []TenantFacts  // those with the most facts, at most MaxTenants
	OtherTenants  int64          // tenants beyond these
	Stamps        Stamps
	BeforeImages  int64 // rows kept for undos
	BeforeImageMB float64
}

// TenantFacts is how many facts a tenant has, in whatever scope and state.
type TenantFacts struct {
	Tenant string // the first TenantChars of the name; hostile text
	Facts  int64
}

// MaxTenants is how many tenants a Diagnosis lists: there may be a million of them.
const MaxTenants = 1000

// TenantChars is how much of a tenant's name a Diagnosis holds: a name may take megabytes.
const TenantChars = 201

// Stamps counts the times in a store that are not in the node's own form.
type Stamps struct {
	OddTimestamps        int64 // another form that can be read
	UnreadableTimestamps int64
	OddExpiries          int64
	UnreadableExpiries   int64
}

// CountFacts reads how many facts the tenants with the most have, and then the facts whose timestamp or effective expiry is not
// in the node's own form.
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
