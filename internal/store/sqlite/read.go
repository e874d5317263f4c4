package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"decayctl/internal/fact"
	"decayctl/internal/store"
)

// Now is this host's clock.
func (s *Store) Now(context.Context) (time.Time, error) { return s.params.Now(), nil }

// Estimate is the largest rowid: the node never deletes rows of facts.
func (s *Store) Estimate(ctx context.Context) (int64, error) {
	var rows sql.NullInt64
	err := s.read.QueryRowContext(ctx, "SELECT max(rowid) FROM facts").Scan(&rows)
	return rows.Int64, s.translate(err, "estimate the number of facts")
}

// OtherTenants reads the index on tenant_id before and after the tenant. With <> it would read the whole index.
func (s *Store) OtherTenants(ctx context.Context, tenant string) (o store.OtherTenants, err error) {
	err = s.reading(ctx, func(tx querier) error {
		return tx.QueryRowContext(ctx, `
			SELECT EXISTS (SELECT 1 FROM facts WHERE tenant_id = $1), count(*), coalesce(sum(n), 0)
			FROM (SELECT count(*) AS n FROM facts WHERE tenant_id < $1 GROUP BY tenant_id
				UNION ALL SELECT count(*) FROM facts WHERE tenant_id > $1 GROUP BY tenant_id)`, tenant).Scan(&o.Known, &o.Tenants, &o.Facts)
	})
	return o, s.translate(err, "count the facts of other tenants")
}

// TenantNames reads the index on tenant_id in steps.
func (s *Store) TenantNames(ctx context.Context, from string, most int) (names []string, err error) {
	err = s.reading(ctx, func(tx querier) error {
		names, err = factSQL.TenantNames(from, most, onRows(ctx, tx))
		return err
	})
	return names, s.translate(err, "list the tenants")
}

// NextRange reads the index on id only.
func (s *Store) NextRange(ctx context.Context, p store.RangeParams) (store.Range, error) {
	next, err := s.nextRange(ctx, s.read, p)
	return next, s.translate(err, "read the facts")
}

// nextRange reads the index on id only. It skips ids that are NULL or blobs, which SQLite allows and a node never writes.
func (s *Store) nextRange(ctx context.Context, tx querier, p store.RangeParams) (store.Range, error) {
	from, args := "id >= ''", []any{p.Size}
	if p.After.Set {
		from, args = "id > $2", append(args, p.After.ID)
	}
	next := store.Range{After: p.After}
	// OFFSET finds the last fact of a full range faster than counting does.
	facts := "FROM facts WHERE " + from + " AND id < x'' ORDER BY id LIMIT "
	var last sql.NullString
	err := tx.QueryRowContext(ctx, "SELECT id "+facts+"1 OFFSET $1 - 1", args...).Scan(&last)
	next.Facts = p.Size
	if errors.Is(err, sql.ErrNoRows) {
		err = tx.QueryRowContext(ctx, "SELECT max(id), count(*) FROM (SELECT id "+facts+"$1)", args...).Scan(&last, &next.Facts)
	}
	if last.Valid {
		next.Last = store.After(last.String)
	}
	return next, err
}

// loadProtections loads the protections of a range, or of all facts if r is nil. It does not load holds if there are more
// than most tombstones, or all quarantine states if there are very many: these are looked up fact by fact.
func (s *Store) loadProtections(ctx context.Context, tx querier, r *store.Range, most int) (*store.Protections, error) {
	p := &store.Protections{}
	var tombstones, statuses int
	if err := tx.QueryRowContext(ctx, `
		SELECT coalesce((SELECT max(rowid) FROM tombstones), 0), coalesce((SELECT max(rowid) FROM fact_quarantine_status), 0)`).Scan(&tombstones, &statuses); err != nil {
		return nil, err
	}
	if tombstones <= most {
		if err := p.LoadHolds(factSQL, onRows(ctx, tx)); err != nil {
			return nil, err
		}
	}
	where, args := "true", store.Args{}
	switch {
	case r != nil:
		where = within(*r, "fact_id", args.Add)
	case statuses > store.MaxTombstones:
		return p, nil
	}
	return p, p.LoadStatuses(factSQL, where, args, onRows(ctx, tx))
}

// Fact reads one row by its id.
func (s *Store) Fact(ctx context.Context, id string) (fact.Candidate, error) {
	c, err := scanCandidate(s.read.QueryRowContext(ctx, `
		SELECT `+candidateColumns(overrideSQL, heldSQL, statusSQL, "f.source")+`
		FROM facts f LEFT JOIN fact_validity_overrides o ON o.fact_id = f.id
		WHERE f.id = $1`, id))
	if errors.Is(err, sql.ErrNoRows) {
		return c, &store.UnknownFact{ID: id}
	}
	c.Place = 0
	c.QuarantinePending = c.Quarantine != nil && *c.Quarantine == "pending"
	return c, s.translate(err, "read the fact")
}

// Groups reads the facts of all groups in one statement. The plus keeps the index on tenant_id from being used, since
// nearly all facts may be of one tenant.
func (s *Store) Groups(ctx context.Context, groups []store.Group, use func(fact.Candidate)) error {
	list := pack([]string{"entity", "relation", "scope", "tenant"}, len(groups), func(i int) []string {
		return []string{groups[i].Entity, groups[i].Relation, groups[i].Scope, groups[i].Tenant}
	})
	s.readLock.RLock()
	defer s.readLock.RUnlock()
	var c fact.Candidate
	var o fact.Override
	var overridden bool
	err := onRows(ctx, s.wrapped(s.read))(`
		SELECT f.id, f.entity, f.relation, f.tenant_id, f.scope, f.source, f.timestamp, f.valid_until,
			o.fact_id IS NOT NULL, o.valid_until, coalesce(o.updated_at, ''), o.updated_by
		FROM (`+list.sql+`) g
		CROSS JOIN facts f ON f.entity = g.entity AND f.relation = g.relation AND f.scope = g.scope AND +f.tenant_id = g.tenant
		LEFT JOIN fact_validity_overrides o ON o.fact_id = f.id`, []any{list.json}, []any{
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
