package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"decayctl/internal/store"
)

var _ store.Costly = (*Store)(nil)

// WriteCost implements store.Costly.
func (s *Store) WriteCost(ctx context.Context, facts int64) (cost *store.WriteCost, err error) {
	if s.cluster != nil { // each server has its own log
		return nil, nil
	}
	err = s.within(ctx, reading, func(tx pgx.Tx) error {
		cost, err = s.writeCost(ctx, tx, facts)
		return err
	})
	return cost, s.translate(err, "estimate what a sweep costs")
}

// costOfFirst is the cost of a sweep that expires all facts without an override.
func (s *Store) costOfFirst(ctx context.Context, facts int64) (*store.WriteCost, error) {
	if s.cluster != nil {
		return nil, nil
	}
	var overrides int64
	if err := s.within(ctx, reading, func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, s.layout.estimate(), s.table("fact_validity_overrides")).Scan(&overrides)
	}); err != nil {
		return nil, s.translate(err, "estimate the number of overrides")
	}
	return store.CostOf(ctx, s, facts-overrides)
}

func (s *Store) writeCost(ctx context.Context, tx pgx.Tx, facts int64) (*store.WriteCost, error) {
	var m store.LogModel
	var slots []string
	var archived bool
	if err := tx.QueryRow(ctx, `
		SELECT pg_size_bytes(current_setting('max_wal_size'))::float8, pg_size_bytes(current_setting('wal_segment_size'))::float8,
		       current_setting('checkpoint_completion_target')::float8, extract(epoch FROM current_setting('checkpoint_timeout')::interval)::float8,
		       current_setting('full_page_writes')::boolean, current_setting('wal_compression') <> 'off',
		       ARRAY(SELECT pg_catalog.concat('the replication slot ', slot_name, ' (', CASE WHEN NOT active THEN 'inactive, ' END, 'no max_slot_wal_keep_size)')
		             FROM pg_catalog.pg_replication_slots
		             WHERE current_setting('max_slot_wal_keep_size') = '-1' AND wal_status <> 'lost' ORDER BY active, slot_name),
		       current_setting('archive_mode') <> 'off'`).
		Scan(&m.MaxSize, &m.Segment, &m.Target, &m.Timeout, &m.FullPages, &m.Compressed, &slots, &archived); err != nil {
		return nil, err
	}
	if err := s.readPages(ctx, tx, &m); err != nil {
		return nil, err
	}
	var err error
	if m.Keys, err = s.checksKeys(ctx, tx); err != nil {
		return nil, err
	}
	may, err := s.keyChecks(ctx, tx)
	if err != nil {
		return nil, err
	}
	m.MaySkip = may.Permitted && len(may.Obstacles) == 0
	cost := m.Cost(facts)
	cost.Keeps = slots
	if archived {
		cost.Keeps = append(cost.Keeps, "the archive")
	}
	return cost, nil
}

// readPages reads how many pages may be touched at random. A batch goes through primary keys in their order.
func (s *Store) readPages(ctx context.Context, tx pgx.Tx, m *store.LogModel) error {
	rows, err := tx.Query(ctx, withRelations+`
		SELECT r.root_name, false, pg_catalog.pg_relation_size(c.oid) / 8192.0::float8, greatest(c.reltuples, 0)::float8
		FROM relation r JOIN pg_catalog.pg_class c ON c.oid = r.oid AND c.relkind = 'r'
		UNION ALL
		SELECT r.root_name, true, pg_catalog.pg_relation_size(i.indexrelid) / 8192.0::float8, 0
		FROM relation r JOIN pg_catalog.pg_class c ON c.oid = r.oid AND c.relkind = 'r'
		JOIN pg_catalog.pg_index i ON i.indrelid = r.oid AND NOT i.indisprimary
		WHERE r.root_name <> 'facts'`, s.schema, []string{"facts", "entity_edges", "memory_cards"})
	if err != nil {
		return err
	}
	var table string
	var t store.Touched
	var tuples float64
	counts, touched := map[string]float64{}, map[string][]store.Touched{}
	if _, err := pgx.ForEachRow(rows, []any{&table, &t.Index, &t.Pages, &tuples}, func() error {
		counts[table] += tuples
		touched[table] = append(touched[table], t)
		return nil
	}); err != nil {
		return err
	}
	for _, t := range touched["facts"] {
		m.FactPages += t.Pages
	}
	for _, table := range []string{"entity_edges", "memory_cards"} {
		for _, t := range touched[table] {
			t.Rows = counts[table] / max(1, counts["facts"])
			m.Others = append(m.Others, t)
		}
	}
	return nil
}
