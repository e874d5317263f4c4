package sqlite

import (
	"context"

	"decayctl/internal/store"
)

// OtherTenants reads the two ends of the index on tenant_id, beside the tenant. "Unequal" would read all of it.
func (s *Store) OtherTenants(ctx context.Context, tenant string) (o store.OtherTenants, err error) {
	err = s.reading(ctx, func(tx querier) error {
		return tx.QueryRowContext(ctx, `
			SELECT EXISTS (SELECT 1 FROM facts WHERE tenant_id = $1), count(*), coalesce(sum(n), 0)
			FROM (SELECT count(*) AS n FROM facts WHERE tenant_id < $1 GROUP BY tenant_id
				UNION ALL SELECT count(*) FROM facts WHERE tenant_id > $1 GROUP BY tenant_id)`, tenant).Scan(&o.Known, &o.Tenants, &o.Facts)
	})
	return o, s.translate(err, "count the facts of other tenants")
}

func (s *Store) diagnoseTenants(ctx context.Context, tx querier, d *store.Diagnosis) error {
	rows, err := tx.QueryContext(ctx, `
		SELECT substr(tenant_id, 1, $2), count(*), count(*) OVER () FROM facts
		GROUP BY tenant_id ORDER BY count(*) DESC, tenant_id LIMIT $1`, store.MaxTenants, store.TenantChars)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var of store.TenantFacts
		var all int64
		if err := rows.Scan(&of.Tenant, &of.Facts, &all); err != nil {
			return err
		}
		d.Tenants = append(d.Tenants, of)
		d.Others = all - int64(len(d.Tenants))
	}
	return rows.Err()
}
