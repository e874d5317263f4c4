package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"decayctl/internal/fact"
	"decayctl/internal/store"
)

// Fact reads one row by its id.
func (s *Store) Fact(ctx context.Context, id string) (fact.Candidate, error) {
	var found []fact.Candidate
	err := s.within(ctx, reading, func(tx pgx.Tx) error {
		return s.eachCandidate(ctx, tx, `
			SELECT `+candidateColumns(s.factSQL().Held(), s.factSQL().Status(), "f.source")+`
			FROM `+s.table("facts")+` f
			LEFT JOIN `+s.table("fact_validity_overrides")+` o ON o.fact_id = f.id
			WHERE f.id = $1`, []any{id}, func(c fact.Candidate) error {
			found = append(found, c)
			return nil
		})
	})
	switch {
	case unstorable(err), err == nil && len(found) == 0:
		return fact.Candidate{}, &store.UnknownFact{ID: id}
	case err != nil:
		return fact.Candidate{}, s.translate(err, "read the fact")
	}
	c := found[0]
	c.QuarantinePending = c.Quarantine != nil && *c.Quarantine == "pending"
	return c, nil
}

// groupColumns are the columns that Groups reads.
const groupColumns = `f.id, f.entity, f.relation, f.tenant_id, f.scope, f.source, f.timestamp, f.valid_until,
				o.fact_id IS NOT NULL, o.valid_until, coalesce(o.updated_at, ''), o.updated_by`

// Groups implements store.Facts.
func (s *Store) Groups(ctx context.Context, groups []store.Group, use func(fact.Candidate)) error {
	var entities, relations, scopes, tenants []string
	for _, g := range groups {
		entities, relations, scopes, tenants = append(entities, g.Entity), append(relations, g.Relation), append(scopes, g.Scope), append(tenants, g.Tenant)
	}
	err := s.within(ctx, reading, func(tx pgx.Tx) error {
		if !s.layout.looksUp() {
			if err := s.layout.set(ctx, tx, lookUps...); err != nil {
				return err
			}
		}
		rows, err := tx.Query(ctx, s.layout.groups(s.table("facts"), s.table("fact_validity_overrides")), entities, relations, scopes, tenants)
		if err != nil {
			return err
		}
		var c fact.Candidate
		var overridden bool
		var until, by *string
		var at string
		_, err = eachRow(rows, []any{&c.ID, &c.Entity, &c.Relation, &c.Tenant, &c.Scope, &c.Source, &c.Timestamp, &c.ValidUntil, &overridden, &until, &at, &by}, func() error {
			each := c
			if overridden {
				each.Override = &fact.Override{ValidUntil: until, UpdatedAt: at, UpdatedBy: by}
			}
			use(each)
			return nil
		})
		return err
	})
	return s.translate(err, "read groups of facts")
}
