package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"decayctl/internal/store"
)

// OtherTenants reads the index on tenant_id before and after the tenant. With <> it would read the whole table.
func (s *Store) OtherTenants(ctx context.Context, tenant string) (o store.OtherTenants, err error) {
	facts := s.table("facts")
	err = s.within(ctx, reading, func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, `
			SELECT EXISTS (SELECT 1 FROM `+facts+` WHERE tenant_id = $1), count(*), coalesce(sum(n), 0)::bigint
			FROM (SELECT count(*) AS n FROM `+facts+` WHERE tenant_id < $1 GROUP BY tenant_id
				UNION ALL SELECT count(*) FROM `+facts+` WHERE tenant_id > $1 GROUP BY tenant_id) t`, tenant).Scan(&o.Known, &o.Tenants, &o.Facts)
	})
	return o, s.translate(err, "count the facts of other tenants")
}

// TenantNames implements store.Facts.
func (s *Store) TenantNames(ctx context.Context, from string, most int) (names []string, err error) {
	err = s.within(ctx, reading, func(tx pgx.Tx) error {
		names, err = s.layout.tenantNames(s.factSQL(), from, most, onRows(ctx, tx))
		return err
	})
	return names, s.translate(err, "list the tenants")
}
