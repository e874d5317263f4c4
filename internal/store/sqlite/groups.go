package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"decayctl/internal/fact"
	"decayctl/internal/store"
)

// Fact reads one fact as Candidates would, with its source.
func (s *Store) Fact(ctx context.Context, id string) (fact.Candidate, error) {
	c, err := scanCandidate(s.read.QueryRowContext(ctx, `
		SELECT `+candidateColumns(overrideSQL, heldSQL, statusSQL, "f.source", "0")+`
		FROM facts f LEFT JOIN fact_validity_overrides o ON o.fact_id = f.id
		WHERE f.id = $1`, id))
	if errors.Is(err, sql.ErrNoRows) {
		return c, &store.UnknownFact{ID: id}
	}
	c.QuarantinePending = c.Quarantine != nil && *c.Quarantine == "pending"
	return c, s.translate(err, "read the fact")
}

// Groups reads the facts of all groups in one statement. The plus keeps the index on the tenant out of
// it: nearly every fact is of the same one.
func (s *Store) Groups(ctx context.Context, groups []store.Group, use func(fact.Candidate)) error {
	keys := jsonArray{}
	for _, g := range groups {
		keys.hexes(g.Entity, g.Relation, g.Scope, g.Tenant)
	}
	s.reads.RLock()
	defer s.reads.RUnlock()
	var c fact.Candidate
	var o fact.Override
	var overridden bool
	err := onRows(ctx, s.passed(s.read))(`
		SELECT f.id, f.entity, f.relation, f.tenant_id, f.scope, f.source, f.timestamp, f.valid_until,
			o.fact_id IS NOT NULL, o.valid_until, coalesce(o.updated_at, ''), o.updated_by
		FROM (SELECT CAST(unhex(value ->> 0) AS TEXT) AS entity, CAST(unhex(value ->> 1) AS TEXT) AS relation,
				CAST(unhex(value ->> 2) AS TEXT) AS scope, CAST(unhex(value ->> 3) AS TEXT) AS tenant_id
			FROM json_each($1)) g
		CROSS JOIN facts f ON f.entity = g.entity AND f.relation = g.relation AND f.scope = g.scope AND +f.tenant_id = g.tenant_id
		LEFT JOIN fact_validity_overrides o ON o.fact_id = f.id`, []any{keys.String()}, []any{
		&c.ID, &c.Entity, &c.Relation, &c.Tenant, &c.Scope, &c.Source, &c.Timestamp, &c.ValidUntil, &overridden, &o.ValidUntil, &o.UpdatedAt, &o.UpdatedBy,
	}, func() error {
		each := c
		if overridden {
			each.Override = &fact.Override{ValidUntil: o.ValidUntil, UpdatedAt: o.UpdatedAt, UpdatedBy: o.UpdatedBy}
		}
		use(each)
		return nil
	})
	return s.translate(err, "read groups of facts")
}

func (a *jsonArray) hexes(values ...string) {
	a.next()
	for i, value := range values {
		a.buf = append(a.buf, "[,"[min(i, 1)])
		a.quoteHex(value)
	}
	a.buf = append(a.buf, ']')
}
