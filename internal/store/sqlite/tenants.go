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
