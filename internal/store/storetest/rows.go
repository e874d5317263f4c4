package storetest

import (
	stdcmp "cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"decayctl/internal/fact"
	"decayctl/internal/job"
	"decayctl/internal/rule"
	"decayctl/internal/store"
)

func ptr[T any](value T) *T { return &value }

// Fact is a fact as the node writes one: old, uncertain, and selected by any sensible rule.
func Fact(id string, change ...func(*fact.Candidate)) fact.Candidate {
	c := fact.Candidate{Fact: fact.Fact{
		ID: id, Entity: "stigmem://acme/user/1", Relation: "memory:context", Tenant: "default", Scope: "local",
		Timestamp: "2026-01-01T00:00:00.000000+00:00", Confidence: 0.3,
	}}
	for _, each := range change {
		each(&c)
	}
	return c
}

// Overridden gives a fact an override.
func Overridden(o fact.Override) func(*fact.Candidate) {
	if o.UpdatedAt == "" {
		o.UpdatedAt = "2026-02-01T00:00:00+00:00"
	}
	return func(c *fact.Candidate) { c.Override = &o }
}

// Exec runs a statement that must succeed.
func (d Database) Exec(t testing.TB, query string, args ...any) {
	t.Helper()
	if _, err := d.SQL.ExecContext(context.Background(), query, args...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

// Insert inserts facts with their overrides. A legal hold and a pending quarantine are inserted as the node does: a tombstone
// of the entity, a quarantine status of the fact.
func (d Database) Insert(t testing.TB, candidates ...fact.Candidate) {
	t.Helper()
	tx, err := d.SQL.BeginTx(context.Background(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	exec := func(query string, args ...any) {
		t.Helper()
		if _, err := tx.ExecContext(context.Background(), query, args...); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
	}
	for _, c := range candidates {
		source := stdcmp.Or(c.Source, "stigmem://acme/agent/1")
		exec(`INSERT INTO facts (id, entity, relation, value_type, value_v, source, timestamp, valid_until, confidence, scope, tenant_id)
			VALUES ($1, $2, $3, 'string', 'v', $4, $5, $6, $7, $8, $9)`,
			c.ID, c.Entity, c.Relation, source, c.Timestamp, c.ValidUntil, c.Confidence, c.Scope, c.Tenant)
		if o := c.Override; o != nil {
			exec(`INSERT INTO fact_validity_overrides (fact_id, valid_until, confidence, reason, updated_at, updated_by)
				VALUES ($1, $2, $3, $4, $5, $6)`, c.ID, o.ValidUntil, o.Confidence, o.Reason, o.UpdatedAt, o.UpdatedBy)
		}
		if c.LegalHold {
			exec(holdSQL, "hold-"+c.ID, c.Entity, c.Scope, c.Tenant, 1)
			exec(revocationSQL, "revoked-"+c.ID, "hold-"+c.ID, "another issuer") // lifts nothing
		}
		if c.QuarantinePending {
			exec(pendingSQL, c.ID, "pending")
		}
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
}

const (
	holdSQL = `INSERT INTO tombstones (id, entity_uri, scope, tenant_id, legal_hold, signed_by, signature, created_at)
		VALUES ($1, $2, $3, $4, $5, 'admin', 'x', '2026-01-01T00:00:00+00:00')`
	revocationSQL = `INSERT INTO tombstone_revocations (id, tombstone_id, signed_by, reason, signature, created_at)
		VALUES ($1, $2, $3, 'r', 'x', '2026-01-01T00:00:00+00:00')`
	pendingSQL = `INSERT INTO fact_quarantine_status (fact_id, quarantine_status, updated_at)
		VALUES ($1, $2, '2026-01-01T00:00:00+00:00')`
)

// manyTombstones inserts more than store.MaxTombstones tombstones of entities without facts, so that the holds of each fact are
// looked up.
func (d Database) manyTombstones(t testing.TB) {
	t.Helper()
	d.Exec(t, fmt.Sprintf(`INSERT INTO tombstones (id, entity_uri, scope, legal_hold, signed_by, signature, created_at)
		WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < %d)
		SELECT 'many' || i, 'many' || i, '*', 1, 'admin', 'x', '2026-01-01T00:00:00+00:00' FROM n`, store.MaxTombstones))
}

// Edge inserts the graph edge of a fact.
func (d Database) Edge(t testing.TB, id string, validUntil *string) {
	t.Helper()
	d.Exec(t, `INSERT INTO entity_edges (id, subject, relation, object, scope, tenant_id, valid_until, confidence, created_at)
		VALUES ($1, 'a', 'b', 'c', 'local', 'default', $2, 0.5, 1767225600000)`, id, validUntil)
}

// Card inserts a memory card.
func (d Database) Card(t testing.TB, entity, tenant, scope string, stale int) {
	t.Helper()
	d.Exec(t, `INSERT INTO memory_cards (entity_uri, tenant_id, scope, is_stale) VALUES ($1, $2, $3, $4)`, entity, tenant, scope, stale)
}

// Rows is Query for a query that must succeed.
func (d Database) Rows(t testing.TB, query string, args ...any) []string {
	t.Helper()
	lines, err := d.Query(query, args...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return lines
}

// Query reads the rows of a query as lines of text, with NULL as "-".
func (d Database) Query(query string, args ...any) ([]string, error) {
	rows, err := d.SQL.QueryContext(context.Background(), query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	names, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	var lines []string
	for rows.Next() {
		values := make([]any, len(names))
		for i := range values {
			values[i] = new(any)
		}
		if err := rows.Scan(values...); err != nil {
			return nil, err
		}
		fields := make([]string, len(names))
		for i, value := range values {
			fields[i] = text(*value.(*any))
		}
		lines = append(lines, strings.Join(fields, " | "))
	}
	return lines, rows.Err()
}

// text formats a value in the same way for both databases. A number that float4 holds exactly is formatted as float4, in its
// shortest form.
func text(value any) string {
	switch value := value.(type) {
	case nil:
		return "-"
	case []byte:
		return string(value)
	case float64:
		if float64(float32(value)) == value {
			return strconv.FormatFloat(value, 'g', -1, 32)
		}
		return strconv.FormatFloat(value, 'g', -1, 64)
	}
	return fmt.Sprint(value)
}

// expect compares the rows of a query.
func (d Database) expect(t testing.TB, query string, want ...string) {
	t.Helper()
	d.expectArgs(t, nil, query, want...)
}

func (d Database) expectArgs(t testing.TB, args []any, query string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, d.Rows(t, query, args...)); diff != "" {
		t.Errorf("%s %v (-want +got):\n%s", query, args, diff)
	}
}

// The rows that a sweep may change, in an order that is the same in both databases.
const (
	overrideRows   = `SELECT fact_id, valid_until, confidence, reason, updated_at, updated_by FROM fact_validity_overrides ORDER BY fact_id`
	retractionRows = `SELECT fact_id, retracted_at, retracted_by FROM fact_retractions ORDER BY fact_id, retracted_at`
	edgeRows       = `SELECT id, valid_until, decay_epoch FROM entity_edges ORDER BY id`
	cardRows       = `SELECT entity_uri, tenant_id, scope, is_stale FROM memory_cards ORDER BY entity_uri, tenant_id, scope`
)

// The tables that decayctl may write, without the table of migrations.
var (
	factTables = []string{"fact_validity_overrides", "fact_retractions", "entity_edges", "fact_embedding_status"}
	jobTables  = []string{"decayctl_store", "decayctl_jobs", "decayctl_workers", "decayctl_claims", "decayctl_before", "jobs", "memory_cards"}
)

// rows are all rows of some tables, with all of their columns.
func (d Database) rows(t testing.TB, tables ...string) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	for _, table := range tables {
		all[table] = d.Rows(t, "SELECT * FROM "+table)
		slices.Sort(all[table])
	}
	return all
}

// everything reads all facts of a store, with a prefilter that leaves out none.
func everything(t testing.TB, s store.Store) []fact.Candidate {
	t.Helper()
	return everythingAt(t, s, AsOf)
}

func everythingAt(t testing.TB, s store.Store, asOf time.Time) []fact.Candidate {
	t.Helper()
	var all []fact.Candidate
	var at store.Cursor
	for {
		r, err := s.NextRange(context.Background(), store.RangeParams{After: at, Size: 100})
		if err != nil {
			t.Fatal(err)
		}
		if r.End() {
			return all
		}
		found, err := Candidates(context.Background(), s, store.CandidatesParams{Range: r, AsOf: asOf, Prefilter: store.Prefilter{Live: true}})
		if err != nil {
			t.Fatal(err)
		}
		all, at = append(all, found...), r.Last
	}
}

// batch starts a job that claims the whole store, and returns a batch of the given facts that closes the claim. It first
// pauses the test's open jobs. retract gives each fact a row for the retraction log.
func batch(t testing.TB, s store.Store, candidates []fact.Candidate, retract bool, change ...func(*store.StartParams)) store.Batch {
	t.Helper()
	ctx := context.Background()
	p := store.StartParams{ID: uuid.NewString(), Rules: rule.Set{Floor: ptr(rule.Floor(0.5))}, AsOf: AsOf}
	p.Worker = store.WorkerParams{Owner: job.Owner{Host: "mars", PID: 1, Start: "boot"}, Lease: time.Hour, Gone: everybodyIsGone}
	for _, each := range change {
		each(&p)
	}
	joined, err := s.Start(ctx, p)
	if err != nil {
		t.Fatal(err)
	}
	claim, err := s.Claim(ctx, joined.Lease, 1_000_000)
	if err != nil {
		t.Fatal(err)
	}
	b := store.Batch{Lease: joined.Lease, Claim: claim, UpTo: claim.Last, ClosesClaim: true, AsOf: AsOf, Stamp: stamp}
	for i := range candidates {
		e := store.Expiry{Decision: Decision(&candidates[i], rule.Verdict{Action: rule.Expire})}
		if retract {
			e.Retraction = "retract_" + candidates[i].ID
		}
		b.Expiries = append(b.Expiries, e)
	}
	return b
}

// Decision is the decision on a fact alone.
func Decision(c *fact.Candidate, v rule.Verdict) *store.Decision {
	d := store.Decide(c, v, &store.Shared{Tenant: c.Tenant, Scope: c.Scope, Verdict: v})
	return &d
}

// Touched reads all rows that a sweep may change, sorted, and without values that depend on when the sweep ran.
func (d Database) Touched(t testing.TB) [][]string {
	t.Helper()
	var all [][]string
	for _, query := range []string{
		"SELECT fact_id, valid_until, confidence, reason, CASE WHEN updated_by = '" + store.Actor + "' THEN '' ELSE updated_at END, updated_by FROM fact_validity_overrides",
		"SELECT fact_id, retracted_at, retracted_by FROM fact_retractions",
		"SELECT id, valid_until, confidence, decay_epoch FROM entity_edges",
		"SELECT entity_uri, tenant_id, scope, is_stale FROM memory_cards",
	} {
		rows := d.Rows(t, query)
		slices.Sort(rows)
		all = append(all, rows)
	}
	return all
}

// TouchedCards is the index of the memory cards in the result of Touched. An undo leaves them stale.
const TouchedCards = 3
