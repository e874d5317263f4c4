package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"decayctl/internal/store"
)

// Lag is the largest replay_lag of all replicas. The server reports none for a replica that has caught up.
func (s *Store) Lag(ctx context.Context) (lag store.Lag, err error) {
	err = s.within(ctx, reading, func(tx pgx.Tx) error {
		var seconds float64
		err := tx.QueryRow(ctx, `
			SELECT coalesce(application_name, ''), extract(epoch FROM replay_lag)::float8
			FROM pg_catalog.pg_stat_replication
			WHERE replay_lag IS NOT NULL ORDER BY replay_lag DESC LIMIT 1`).Scan(&lag.Replica, &seconds)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		lag.Behind = time.Duration(seconds * float64(time.Second))
		return err
	})
	return lag, s.translate(err, "read how far replicas are behind")
}

// Now is the server's clock.
func (s *Store) Now(ctx context.Context) (now time.Time, err error) {
	err = s.within(ctx, reading, func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, "SELECT clock_timestamp()").Scan(&now)
	})
	return now, s.translate(err, "read the server's clock")
}
